//! The steps of a run that make unit and drop-in, or remove them.

use std::fs;
use std::path::{Path, PathBuf};

use super::text::{MADE, after, arguments, files};
use super::{DROP_IN, DROP_INS, UNIT, UNITS, path_of};
use crate::docker::DockerError;
use crate::docker::data_root::{names, read_text};
use crate::fs::PinnedFile;
use crate::fs::escape::shell_word;
use crate::host::systemd_unit::{not_nameable, program_of_root};
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::Mode;
use crate::store_move::mtime::mtime_step;

/// Where this program is: a unit names it, finds it there at each boot, and runs it as root.
fn check_program_stays() -> Result<(), DockerError> {
    let program = program_of_root()?;
    match program.is_file() {
        true => Ok(()),
        false => {
            let why = "may not be there at the next boot, when a unit has to run it. Install idshift first, \
            for example in /usr/local/bin";
            Err(DockerError::in_the_way(program, why))
        }
    }
}

const fn made(mode: u32) -> NewDirectory {
    NewDirectory {
        uid: 0,
        gid: 0,
        mode: Mode::from_st_mode(mode),
    }
}

/// The steps that make unit and drop-in, in the root with this number, which is [`UNITS`]. What is as it should be
/// already stays.
///
/// # Errors
/// A file of that name has something else.
pub fn make(top: &Path, range: &str, root: usize) -> Result<Vec<Step>, DockerError> {
    check_program_stays()?;
    let units = Path::new(UNITS);
    let mut steps = vec![mtime_step(StepPath::new(root, [""; 0]), units)?];
    let drop_ins = units.join(DROP_INS);
    match drop_ins.is_dir() {
        true => steps.push(mtime_step(StepPath::new(root, [DROP_INS]), &drop_ins)?),
        false => steps.push(Step::MakeDir {
            at: StepPath::new(root, [DROP_INS]),
            made: made(0o755),
        }),
    }
    for (path, content) in files(top, range)? {
        let at = path_of(&path);
        check_not_masked(&at)?;
        match read_text(&at)? {
            Some(there) if there == content => continue,
            Some(_) => {
                let why = "is there, but is not what this host needs now. Move it away";
                return Err(DockerError::in_the_way(at, why));
            }
            None => steps.push(Step::Create {
                at: StepPath::new(root, path),
                content: content.into(),
                made: made(0o644),
            }),
        }
    }
    Ok(steps)
}

/// The steps that remove them, as far as they are there.
///
/// # Errors
/// They cannot be read.
pub fn remove(top: &Path, range: &str, root: usize) -> Result<Vec<Step>, DockerError> {
    let units = Path::new(UNITS);
    let mut steps = Vec::new();
    // What no unit can name has none.
    if not_nameable(top).is_some() || !are_of(top, range)? {
        return Ok(steps);
    }
    for (path, _) in files(top, range)? {
        let at = path_of(&path);
        check_not_masked(&at)?;
        let Some(content) = read_text(&at)? else {
            continue;
        };
        if !content.starts_with(MADE) {
            let why = "was not written by idshift, which would have to remove it. Move it away";
            return Err(DockerError::in_the_way(at, why));
        }
        let failed = |errno: rustix::io::Errno| DockerError::io(&at)(errno.into());
        let stat = PinnedFile::path(&at)
            .and_then(|pin| pin.stat())
            .map_err(failed)?;
        steps.push(Step::Remove {
            at: StepPath::new(root, path),
            content,
            made: NewDirectory {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
    }
    if steps.is_empty() {
        return Ok(steps);
    }
    let mut all = vec![mtime_step(StepPath::new(root, [""; 0]), units)?];
    let drop_ins = units.join(DROP_INS);
    if drop_ins.is_dir() {
        all.push(mtime_step(StepPath::new(root, [DROP_INS]), &drop_ins)?);
    }
    all.extend(steps);
    if names(&drop_ins)? == [DROP_IN] {
        all.push(Step::RemoveDir {
            at: StepPath::new(root, [DROP_INS]),
            made: made(0o755),
        });
    }
    Ok(all)
}

/// Refuses a symlink: a run makes files, and removes only those.
fn check_not_masked(at: &Path) -> Result<(), DockerError> {
    let Ok(to) = fs::read_link(at) else {
        return Ok(());
    };
    let is_unit = at.ends_with(UNIT);
    let why = match to == Path::new("/dev/null") && is_unit {
        true => format!("is masked. First `systemctl unmask {UNIT}`"),
        false => format!(
            "is a symlink, not the file that idshift made. First `rm {}`",
            shell_word(at)
        ),
    };
    Err(DockerError::in_the_way(at, why))
}

/// Whether the unit or the drop-in that is there is of this root.
fn are_of(top: &Path, range: &str) -> Result<bool, DockerError> {
    let units = Path::new(UNITS);
    // Of the two, one that is masked says nothing.
    let text = |at: PathBuf| match at.is_symlink() {
        true => Ok(String::new()),
        false => read_text(&at).map(Option::unwrap_or_default),
    };
    let unit = text(units.join(UNIT))?;
    let drop_in = text(units.join(DROP_INS).join(DROP_IN))?;
    let command = arguments(top);
    let of_unit = unit.lines().any(|line| line.ends_with(&command));
    let line = after(&top.join(range));
    Ok(of_unit || drop_in.lines().any(|found| found == line))
}
