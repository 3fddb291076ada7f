//! The copy of an earlier migration: after a rollback it may hold the only copy of what was written to the remapped root.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;
use walkdir::WalkDir;

use crate::engine::{Ending, Report};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::mountinfo;
use crate::fs::subvolume::is_in_tree;
use crate::journal::{Journal, Step};
use crate::store_move::error::LeftOver;
use crate::store_move::names::{ASIDE, COPY};
use crate::store_move::{MoveError, unfinished_mark};

/// So many paths are named.
const NAMED: usize = 5;

/// Refuses if the directory of the copy exists already.
///
/// # Errors
/// It does; the reason says whether anybody may need it.
pub fn check_is_free(staging: &Path) -> Result<(), MoveError> {
    if staging.symlink_metadata().is_err() {
        return Ok(());
    }
    let left = LeftOver::with_mount(staging).unwrap_or_else(|| {
        let word = shell_word(staging).to_string();
        match unfinished_mark::is_marked(staging) {
            true => LeftOver::UnusedCopy(word),
            false if is_empty(staging) => LeftOver::ForRollback(format!("rmdir {word}")),
            false if has_only(staging, ASIDE) => LeftOver::ForRollback(format!("rm -r {word}")),
            false => LeftOver::EarlierCopy(word),
        }
    });
    let path = staging.to_path_buf();
    Err(MoveError::Left { path, left })
}

/// Whether nothing in it may be the only copy of something.
pub fn is_unused(staging: &Path) -> bool {
    unfinished_mark::is_marked(staging) || is_empty(staging)
}

fn is_empty(dir: &Path) -> bool {
    dir.read_dir().is_ok_and(|mut names| names.next().is_none())
}

/// Whether all names in a directory begin like this.
fn has_only(dir: &Path, beginning: &str) -> bool {
    let is_one = |entry: io::Result<fs::DirEntry>| {
        let name = entry.map(|it| it.file_name());
        name.is_ok_and(|name| name.as_bytes().starts_with(beginning.as_bytes()))
    };
    dir.read_dir().is_ok_and(|mut names| names.all(is_one))
}

/// What [`left`] says, if the run that made the copy was undone by itself.
pub fn left_by(report: &Report) -> Option<String> {
    let is_undone = matches!(report.ending, Ending::RolledBack { .. });
    let journal = report.journal.as_deref().filter(|_| is_undone)?;
    left(&Journal::open(journal).ok()?)
}

/// Where the copy of a migration is.
fn place(journal: &Journal) -> Option<PathBuf> {
    let is_copy = |name: &[u8]| name.starts_with(COPY.as_bytes());
    let tree = journal.header.roots.first()?.path.as_path();
    if tree.file_name().is_some_and(|it| is_copy(it.as_bytes())) {
        return Some(tree.to_path_buf());
    }
    let place = journal.steps.iter().find_map(|step| match step {
        Step::RemoveDir { at, .. } => {
            let name = at.path.last().filter(|_| at.path.len() == 1)?;
            is_copy(&name.0).then_some(at)
        }
        _ => None,
    })?;
    Some(place.to_path(&journal.header.roots))
}

/// A message about the copy that is left after the rollback of its migration: what is only there, and the command that
/// removes it.
pub fn left(journal: &Journal) -> Option<String> {
    let path = place(journal)?;
    if !path.is_dir() {
        return None;
    }
    let unmount = match mountinfo::first_within(&path) {
        None => String::new(),
        Some(point) => format!(
            " Something is mounted in it: first `umount {}`.",
            shell_word(&point)
        ),
    };
    let (count, named) = written_since(&path, journal);
    let holds = match count {
        0 => "Remove it when you do not need it any more".to_string(),
        _ => {
            let named: Vec<_> = named.iter().map(|path| escaped(path).to_string()).collect();
            let more = if count > named.len() { ", ..." } else { "" };
            format!(
                "{count} of its files and directories were created or modified after the migration, and may be nowhere \
                 else: {}{more}. Look at them, and copy what you need to another place. After that, remove the copy",
                named.join(", ")
            )
        }
    };
    Some(format!(
        "The copy that the migration made is still there: {}. {holds}: `rm -rf {}`.{unmount}",
        escaped(&path),
        shell_word(&path)
    ))
}

/// How many inodes of a copy were created, or modified in content, since its run began, and the first of them. The copy keeps
/// times of modification, and it was complete before. What the run rewrote, its undo wrote again.
fn written_since(copy: &Path, journal: &Journal) -> (usize, Vec<PathBuf>) {
    let began = journal.header.time;
    let rewritten: HashSet<PathBuf> = journal.steps.iter().filter_map(rewritten).collect();
    let is_later = |time: io::Result<SystemTime>| {
        let time = time.ok().and_then(|time| Timestamp::try_from(time).ok());
        time.is_some_and(|time| time > began)
    };
    let below = WalkDir::new(copy).min_depth(1).sort_by_file_name();
    let found = below.into_iter().filter_entry(is_in_tree);
    let found = found.filter_map(Result::ok);
    let mut written = found.filter(|entry| {
        let Ok(about) = entry.metadata() else {
            return false;
        };
        if rewritten.contains(&last_two(entry.path())) {
            return false;
        }
        // A directory was modified because of what is in it, or was in it.
        is_later(about.created()) || !about.is_dir() && is_later(about.modified())
    });
    let named: Vec<PathBuf> = written
        .by_ref()
        .take(NAMED)
        .map(|entry| entry.into_path())
        .collect();
    (named.len() + written.count(), named)
}

/// The last two names of what a step rewrites: what is above has other names by then.
fn rewritten(step: &Step) -> Option<PathBuf> {
    let (Step::Rewrite { at, .. } | Step::Relink { at, .. }) = step else {
        return None;
    };
    let names = at.path.iter().map(|name| OsStr::from_bytes(&name.0));
    Some(last_two(&names.collect::<PathBuf>()))
}

fn last_two(path: &Path) -> PathBuf {
    let above = path.parent().and_then(Path::file_name);
    above.into_iter().chain(path.file_name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_copy_that_was_not_used_is_said_to_be_nobodys() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let staging = dir.path().join("docker data").join("idshift-copy-1.1");
        fs::create_dir_all(&staging).unwrap();
        let told = || check_is_free(&staging).unwrap_err().to_string();
        // As a move leaves it that was done.
        let aside = staging.join("idshift-aside-db.sql");
        for removes in ["rmdir", "rm -r"] {
            let removes = format!("`{removes} '{}'`", staging.display());
            assert!(
                told().contains("rollback") && told().contains(&removes),
                "{}",
                told()
            );
            fs::write(&aside, "").unwrap();
        }
        fs::write(staging.join("dump.sql"), "precious").unwrap();
        let moves = format!("`mv '{}' /root/`", staging.display());
        assert!(
            !told().contains("rm -rf") && told().contains(&moves),
            "{}",
            told()
        );
        let handle = fs::File::open(&staging).unwrap();
        // Only root may.
        if unfinished_mark::mark(&handle).is_ok() {
            assert!(told().contains("is not needed"), "{}", told());
        }
    }
}
