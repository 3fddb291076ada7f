//! What mounts an idmapped root at boot: a unit of systemd, and a drop-in by which docker.service needs it.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::docker::DockerError;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root::{names, read_text};
use crate::docker::steps::mtime_step;
use crate::fs::PinnedFile;
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::mtime_ns;
use crate::host::systemd_unit::{
    escape_path, not_nameable, program_of_root, quoted, quoted_path, specifiers,
};
use crate::journal::Step;
use crate::journal::record::Header;
use crate::journal::root_line::RootLine;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::Mode;

/// Where units of this host are.
pub const UNITS: &str = "/etc/systemd/system";

/// The unit.
pub const UNIT: &str = "idshift-docker-mount.service";

/// The directory of drop-ins for docker.service, and ours in it.
const DROP_INS: &str = "docker.service.d";
const DROP_IN: &str = "idshift-mount.conf";

/// That [`reload`] could not.
pub const NOT_RELOADED: &str =
    "systemd could not be told to read its units again: run `systemctl daemon-reload`.";

/// The command that mounts an idmapped root.
pub fn mount_command(data_root: &Path) -> String {
    format!("idshift docker mount --data-root {}", shell_word(data_root))
}

/// What an operator has to do where no unit mounts a root.
pub fn at_boot(data_root: &Path) -> String {
    format!(
        "At boot, `{}` has to be run before the daemon is started: in its init script, or wherever it is started from. \
         Without the mount the daemon does not start.",
        mount_command(data_root)
    )
}

/// The files of the unit and its drop-in, and what they hold.
fn files(top: &Path, range: &str) -> Result<[(Vec<&'static str>, String); 2], DockerError> {
    let program = std::env::current_exe().map_err(DockerError::io("/proc/self/exe"))?;
    for path in [top, &program] {
        if let Some(why) = not_nameable(path) {
            let why = format!("cannot be named in a systemd unit ({why}). Move or rename it");
            return Err(DockerError::in_the_way(path, why));
        }
    }
    let point = top.join(range);
    let unit = format!(
        "# Made by idshift docker migrate --idmapped; idshift docker revert removes it.\n\
         [Unit]\n\
         Description=Idmapped Docker data-root {description}\n\
         RequiresMountsFor={root}\n\
         Before=docker.service\n\n\
         [Service]\n\
         Type=oneshot\n\
         RemainAfterExit=yes\n\
         ExecStart={program}{command}\n",
        description = specifiers(&point.to_string_lossy()),
        root = quoted_path(top),
        program = quoted(&program.to_string_lossy()),
        command = arguments(top),
    );
    let drop_in = format!(
        "# Made by idshift docker migrate --idmapped; idshift docker revert removes it.\n\
         # The daemon's data-root is remapped by a mount, and without it the daemon must not start.\n\
         [Unit]\n\
         Requires={UNIT}\n{}\n",
        after(&point)
    );
    Ok([(vec![DROP_INS, DROP_IN], drop_in), (vec![UNIT], unit)])
}

/// What the unit runs this program with.
fn arguments(top: &Path) -> String {
    let root = quoted(&top.to_string_lossy());
    format!("{ARGUMENTS}{root}")
}

const ARGUMENTS: &str = " docker mount --data-root ";

/// The line of the drop-in that is of one root only.
fn after(point: &Path) -> String {
    format!("After={UNIT} {}", mount_unit(point))
}

/// Where this program is: a unit names it, finds it there at each boot, and runs it as root.
fn check_program_stays() -> Result<(), DockerError> {
    let program = program_of_root()?;
    let is_emptied = ["/tmp", "/var/tmp", "/run", "/dev"];
    let is_emptied = is_emptied.iter().any(|dir| program.starts_with(dir));
    match program.is_file() && !is_emptied {
        true => Ok(()),
        false => {
            let why = "is where the next boot may not find it, and a unit is to run it then. Install idshift first, as in \
                       /usr/local/bin";
            Err(DockerError::in_the_way(program, why))
        }
    }
}

/// The name that systemd gives to a mount (`systemd.mount(5)`).
fn mount_unit(point: &Path) -> String {
    escape_path(point) + ".mount"
}

/// Whether systemd runs this host.
pub fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
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
        let at = path
            .iter()
            .fold(units.to_path_buf(), |at, name| at.join(name));
        check_not_masked(&at)?;
        match read_text(&at)? {
            Some(there) if there == content => continue,
            Some(_) => {
                let why = "is there, and not what this host needs now. Move it away";
                return Err(DockerError::in_the_way(at, why));
            }
            None => steps.push(Step::Create {
                at: StepPath::new(root, path),
                content,
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
        let at = path
            .iter()
            .fold(units.to_path_buf(), |at, name| at.join(name));
        check_not_masked(&at)?;
        let Some(content) = read_text(&at)? else {
            continue;
        };
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

/// Has systemd read its units again, where a run has changed some. Whether it did.
pub fn reload(header: &Header) -> bool {
    let of_units = |root: &RootLine| root.path.as_path() == Path::new(UNITS);
    if !has_systemd() || !header.roots.iter().any(of_units) {
        return true;
    }
    let mut systemctl = Command::new("systemctl");
    systemctl.arg("daemon-reload").stdin(Stdio::null());
    let output = systemctl.output();
    output.is_ok_and(|output| output.status.success())
}

/// What keeps the mount from being made at boot, or docker.service from waiting for it; `None`: nothing.
pub fn trouble(top: &Path, range: &str) -> Option<String> {
    let units = Path::new(UNITS);
    for (path, content) in files(top, range).ok()? {
        let at = path
            .iter()
            .fold(units.to_path_buf(), |at, name| at.join(name));
        let is_masked = fs::read_link(&at).is_ok_and(|to| to == Path::new("/dev/null"));
        let found = match read_text(&at) {
            _ if is_masked => "is masked",
            Ok(Some(there)) if same_lines(&there, &content) => continue,
            Ok(Some(_)) => "is not what it should be",
            Ok(None) => "is missing",
            Err(_) => "cannot be read",
        };
        return Some(format!("{} {found}", at.display()));
    }
    None
}

/// Whether two units say the same, whatever the place of this program.
fn same_lines(one: &str, other: &str) -> bool {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(without_program).collect()
    };
    lines(one) == lines(other)
}

/// A line without the path of this program, if that is there.
fn without_program(line: &str) -> String {
    let command = line.strip_prefix("ExecStart=");
    match command.and_then(|command| command.split_once(ARGUMENTS)) {
        Some((program, root)) => {
            let program = program.trim_matches('"');
            let program = program.replace("%%", "%").replace("$$", "$");
            match Path::new(&program).is_file() {
                true => root.to_string(),
                false => line.to_string(),
            }
        }
        None => line.to_string(),
    }
}

/// The directory that holds units, for a plan; `None` where systemd does not run this host.
pub fn units_root() -> Option<PathBuf> {
    let units = fs::canonicalize(UNITS).ok()?;
    (has_systemd() && units == Path::new(UNITS)).then_some(units)
}

/// Whether a run makes the unit for a root of this data-root: docker.service starts a daemon on it.
pub fn is_made(start: &DaemonStart, data_root: &Path) -> bool {
    units_root().is_some() && start.is_service_on(data_root)
}

/// Time of the last modification of a directory.
///
/// # Errors
/// It cannot be read.
pub fn modified(dir: &Path) -> Result<i64, DockerError> {
    let failed = |errno: rustix::io::Errno| DockerError::io(dir)(errno.into());
    let handle = open_dir(rustix::fs::CWD, dir).map_err(failed)?;
    mtime_ns(handle.as_fd()).map_err(DockerError::io(dir))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_and_words_are_as_systemd_reads_them() {
        // As `systemd-escape -p --suffix=mount` prints them.
        for (path, name) in [
            (
                "/var/lib/docker/100000.100000",
                "var-lib-docker-100000.100000.mount",
            ),
            (
                "/srv/my docker-data/1.1",
                "srv-my\\x20docker\\x2ddata-1.1.mount",
            ),
        ] {
            assert_eq!(mount_unit(Path::new(path)), name);
        }
        for (top, named) in [
            (
                "/srv/a b$c%d",
                [
                    "RequiresMountsFor=\"/srv/a b$c%%d\"",
                    "--data-root \"/srv/a b$$c%%d\"",
                ],
            ),
            (
                "/srv/$HOME%h",
                [
                    "RequiresMountsFor=/srv/$HOME%%h",
                    "--data-root /srv/$$HOME%%h",
                ],
            ),
        ] {
            let [_, (_, unit)] = files(Path::new(top), "1.1").unwrap();
            for end in named {
                assert!(unit.lines().any(|line| line.ends_with(end)), "{unit}");
            }
            assert!(same_lines(&unit, &unit));
        }
        for top in [&b"/srv/a\"b"[..], b"/srv/a\\b", b"/srv/a\nb", b"/srv/\xff"] {
            let top = Path::new(OsStr::from_bytes(top));
            let told = files(top, "1.1").unwrap_err().to_string();
            assert!(told.contains("cannot be named"), "{told}");
        }
    }
}
