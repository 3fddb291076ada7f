//! The trees of a journal, opened again. What is not mounted must not count as gone, or as undone.

use std::path::{Path, PathBuf};

use super::missing_tree::NotTheTree;
use super::refusal::Refusal;
use super::{Monitor, Phase};
use crate::fs::Root;
use crate::fs::containing_mount::is_idmapped;
use crate::fs::mountinfo;
use crate::fs::root::RootError;
use crate::journal::id::argument;
use crate::journal::root_line::RootLine;
use crate::journal::{Journal, Step};
use crate::preflight::transient::check_not_in_use;

/// A tree as the journal knows it: the same inode at the same path, with no symlink on the way.
///
/// # Errors
/// Why it is not.
pub(super) fn open(line: &RootLine) -> Result<Root, NotTheTree> {
    let path = line.path.as_path();
    match Root::open(path) {
        Ok(root) if root.path != path => Err(NotTheTree::Symlink),
        Ok(root) if root.identity == line.identity => Ok(root),
        Ok(_) => Err(NotTheTree::AnotherInode),
        // Whoever hears of it is told the path already.
        Err(RootError::Open { source, .. }) => Err(NotTheTree::NotOpened(source)),
        Err(error) => Err(NotTheTree::NoRoot(Box::new(error))),
    }
}

/// Opens a tree again whose owners are those on disk: an idmapped mount can show it, too.
///
/// # Errors
/// Why it is not.
pub(super) fn open_unmapped(line: &RootLine) -> Result<Root, NotTheTree> {
    let root = open(line)?;
    match mountinfo::of_this_thread().and_then(|mounts| is_idmapped(&root.pin, &mounts)) {
        Ok(false) => Ok(root),
        Ok(true) => Err(NotTheTree::Idmapped),
        Err(error) => Err(NotTheTree::MountUnknown(error)),
    }
}

/// All roots, each opened or not.
pub(super) fn open_each(lines: &[RootLine]) -> Vec<Result<Root, NotTheTree>> {
    lines.iter().map(open_unmapped).collect()
}

/// All roots of a journal, in its order.
///
/// # Errors
/// [`Refusal::TreeMissing`]: one of them is not what it was.
pub(super) fn open_all(journal: &Journal) -> Result<Vec<Root>, Refusal> {
    let lines = journal.header.roots.iter();
    let open = |line: &RootLine| {
        open(line).map_err(|reason| missing(journal, line.path.as_path(), reason))
    };
    lines.map(open).collect()
}

/// The roots that are what they were, trees in which owners are changed first, and how many of those there
/// are; in the others only steps are taken.
pub(super) fn open_present(journal: &Journal) -> (Vec<Root>, usize) {
    let mut roots = open_trees(journal);
    let trees = roots.len();
    let others = journal.header.roots.iter().filter(|line| line.steps_only);
    roots.extend(others.filter_map(|line| open(line).ok()));
    (roots, trees)
}

/// The trees that are what they were.
fn open_trees(journal: &Journal) -> Vec<Root> {
    let lines = journal.header.roots.iter().filter(|line| !line.steps_only);
    lines.filter_map(|line| open(line).ok()).collect()
}

/// A tree of a journal is not there, or is another one.
pub(super) fn missing(journal: &Journal, path: &Path, reason: NotTheTree) -> Refusal {
    Refusal::TreeMissing {
        path: path.to_path_buf(),
        reason,
        above: nearest_existing(path),
        journal: argument(&journal.path),
    }
}

/// The path, or the nearest directory above it that exists.
fn nearest_existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|above| above.is_dir());
    there.unwrap_or(Path::new("/")).to_path_buf()
}

/// A service that must be stopped for a run must be stopped for the end of it and its undoing too.
///
/// # Errors
/// Who uses the trees.
pub(super) fn check_service_stopped(
    journal: &Journal,
    monitor: &dyn Monitor,
) -> Result<(), Refusal> {
    if !journal.header.is_of_service() {
        return Ok(());
    }
    monitor.phase(Phase::CheckingUse, None);
    let mut used = open_trees(journal);
    used.extend(
        journal
            .steps
            .iter()
            .filter_map(|step| handed_over(journal, step)),
    );
    check_not_in_use(&used, true)?;
    Ok(())
}

/// What a step gives to a user, or what has the place that it is to have: another daemon's.
fn handed_over(journal: &Journal, step: &Step) -> Option<Root> {
    match step {
        Step::HandOver { to, .. } => Root::open(&to.to_path(&journal.header.roots)).ok(),
        _ => None,
    }
}
