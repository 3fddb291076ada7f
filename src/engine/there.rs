//! Whether the trees of a journal are there: what is not mounted must not count as gone, or as undone.

use std::path::{Path, PathBuf};

use super::replay::{FailurePolicy, Replay, ReplayMode, Target};
use super::{Refusal, Silent, Stop, reopen};
use crate::fs::Root;
use crate::journal::Journal;
use crate::journal::record::RootLine;
use crate::journal::store::argument;

/// All roots of a journal, in its order.
///
/// # Errors
/// [`Refusal::TreeMissing`]: one of them is not what it was.
pub(super) fn open_all(journal: &Journal) -> Result<Vec<Root>, Refusal> {
    let lines = journal.header.roots.iter();
    let open = |line: &RootLine| {
        reopen::open(line).map_err(|reason| missing(journal, line.path.as_path(), reason))
    };
    lines.map(open).collect()
}

/// Of a run that crossed mount points: refuses where a directory is another one now, as it is where its
/// filesystem is not mounted.
///
/// # Errors
/// [`Refusal::TreeMissing`]; or the journal cannot be read any more.
pub(super) fn check_crossed(journal: &Journal, jobs: usize, stop: &Stop) -> Result<(), Refusal> {
    if !journal.header.walk.cross_mounts {
        return Ok(());
    }
    let replay = Replay {
        journal,
        target: Target::Before,
        accept_partial: true,
        force: false,
        act: ReplayMode::Count,
        give_up: FailurePolicy::Never,
        roots: None,
        moves: &[],
        monitor: &Silent,
        stop,
    };
    let looked = replay.run(jobs, None)?;
    match looked.stats.replaced_dirs.first() {
        Some(path) => Err(missing(
            journal,
            path,
            "another directory is in its place".into(),
        )),
        None => Ok(()),
    }
}

fn missing(journal: &Journal, path: &Path, reason: String) -> Refusal {
    Refusal::TreeMissing {
        path: path.to_path_buf(),
        reason,
        above: there(path),
        journal: argument(&journal.path),
    }
}

/// The path, or what is there of it.
fn there(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|above| above.is_dir());
    there.unwrap_or(Path::new("/")).to_path_buf()
}
