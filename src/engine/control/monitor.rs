//! How a run tells what it is doing.

use std::sync::Arc;

use crate::engine::Problem;
use crate::fs::DirPath;

/// A phase of a run, for progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Reading a journal to its end.
    Reading,
    /// Looking for who uses the tree.
    CheckingUse,
    /// Copying trees.
    Copying,
    /// Reading layers of images: it counts bytes, where all else counts inodes.
    ReadingLayers,
    /// Walking and changing.
    Shifting,
    /// Walking only.
    Looking,
    /// Looking for what came into being since a run.
    LookingForNew,
    /// Writing all changes into the journal.
    Listing,
    /// Renaming and rewriting.
    Stepping,
    /// Going through a journal and changing.
    Replaying,
    /// Undoing what a journal says.
    Undoing,
    /// Comparing with a journal.
    Comparing,
    /// Syncing the filesystems.
    Syncing,
}

/// Receives the progress of a run. Called often and from many threads: it must be quick.
pub trait Monitor: Sync {
    /// A new phase begins; `total` inodes or bytes of it where that is known.
    fn phase(&self, phase: Phase, total: Option<u64>) {
        let _ = (phase, total);
    }

    /// So many more inodes, or bytes, were looked at, and so many inodes changed.
    fn progress(&self, seen: u64, changed: u64) {
        let _ = (seen, changed);
    }

    /// A directory is being looked at.
    fn directory(&self, dir: &Arc<DirPath>) {
        let _ = dir;
    }

    /// So many bytes of the journal are durable.
    fn journalled(&self, bytes: u64) {
        let _ = bytes;
    }

    /// An inode is left as it is.
    fn problem(&self, problem: &Problem) {
        let _ = problem;
    }
}

/// Ignores all reports.
pub struct Silent;

impl Monitor for Silent {}
