//! A move to a user that leaves the original alone: a copy of it is moved.
//!
//! 1. [`closed_dir`] is a directory of root's on the filesystem of the new place. There a [`PlannedCopy`] is made, which only
//!    root enters: a user who renames directories of the home does not lead the copy anywhere else.
//! 2. The move is planned with the copy as its source, and with the paths of the original in metadata.
//! 3. [`execute_staged`](super::execute::execute_staged) carries it out, as it does `docker migrate --copy`: nobody may use the
//!    original, nothing of it may change while it is copied, and the copy loses its mark as the journal of the move begins.
//!
//! The empty directory of the copy stays: a rollback puts everything back into it.

use std::path::{Path, PathBuf};

use super::MoveError;
use super::copy::PlannedCopy;
use super::names::COPY;
use super::place::{Target, changed_by_others, stat_of};
use super::unfinished_run::unfinished_run;
use crate::engine::Refusal;
use crate::fs::PinnedFile;
use crate::fs::escape::shell_word;
use crate::fs::flags::project;
use crate::fs::space::Amount;
use crate::journal::Store;
use crate::ownership::FileType;

/// The deepest directory above the new place that only root can change, seen through the same mount.
///
/// # Errors
/// There is none: the whole filesystem is somebody's. `option`: what names another place.
pub fn closed_dir(to: &Target, option: &str) -> Result<PathBuf, MoveError> {
    let there = stat_of(&to.anchor)?;
    let mut first = None;
    for dir in to.anchor.ancestors() {
        let stat = stat_of(dir)?;
        if (stat.dev, stat.mount_id) != (there.dev, there.mount_id) {
            break;
        }
        match changed_by_others(dir)? {
            None => return Ok(dir.to_path_buf()),
            Some(found) => first = Some(found),
        }
    }
    let (dir, who) = first.unwrap_or((to.anchor.as_path(), "others than root".into()));
    let (now, word) = (stat_of(dir)?, shell_word(dir));
    let why = format!(
        "can be changed by {who}, and no directory above {} on this filesystem is root's alone. A copy is made in one that \
         nobody else can change. Choose a place on another filesystem with {option}. Or make it root's as long as the run goes \
         on, while nobody works in it: `chown root:root {word} && chmod 0711 {word}`; afterwards `chown {}:{} {word} && chmod \
         {:04o} {word}`",
        shell_word(&to.path()),
        now.uid,
        now.gid,
        now.mode.bits()
    );
    Err(MoveError::in_the_way(dir, why))
}

/// What of a store is copied, and for whom.
pub struct Original<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Its names that are copied.
    pub names: Vec<String>,
    /// The engine: `docker`.
    pub engine: &'a str,
    /// The user's name.
    pub user: &'a str,
    /// The option that names another place.
    pub option: &'a str,
}

impl Original<'_> {
    /// The copy that is made of it for this place.
    ///
    /// # Errors
    /// There is no space for it, or no place, or an earlier one is there.
    pub fn copy_for(self, to: &Target) -> Result<PlannedCopy, MoveError> {
        let dir = closed_dir(to, self.option)?;
        check_projects(&dir, to, self.option)?;
        let name = copy_name(self.engine, self.user);
        let copy = PlannedCopy::into_dir((self.path, self.names), (&dir, name))?;
        let help = format!(
            "Make room there, or choose a place on another filesystem with {}",
            self.option
        );
        copy.check_space(Amount::default(), Amount::default(), &help)?;
        Ok(copy)
    }
}

/// Refuses a place into which the kernel does not rename what is made in this directory.
fn check_projects(dir: &Path, to: &Target, option: &str) -> Result<(), MoveError> {
    let given = |path: &Path| {
        let pin = PinnedFile::path(path).ok()?;
        let of_path = project(&pin, FileType::Directory)?;
        of_path.is_inherited.then_some(of_path.id)
    };
    match given(&to.anchor) {
        Some(id) if given(dir).unwrap_or(0) != id => {
            let why = format!(
                "gives project id {id} to what is made in it (`lsattr -pd`), and a copy that is made in {} has another one, so \
                 that it cannot be renamed there (EXDEV). `chattr -P {}` ends that, or choose another place with {option}",
                shell_word(dir),
                shell_word(&to.anchor)
            );
            Err(MoveError::in_the_way(&to.anchor, why))
        }
        _ => Ok(()),
    }
}

/// What the directory of a copy is called.
fn copy_name(engine: &str, user: &str) -> String {
    format!("{COPY}{engine}-{user}")
}

/// The run on the copy for this place that has not ended.
pub fn unfinished_copy(store: &Store, to: &Path, engine: &str, user: &str) -> Option<Refusal> {
    let to = Target::at(to).ok()?;
    let dir = closed_dir(&to, "").ok()?;
    let run = unfinished_run(store, &dir.join(copy_name(engine, user)))?;
    Some(run.into())
}
