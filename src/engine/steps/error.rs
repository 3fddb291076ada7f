//! Why a step is neither taken nor undone.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::engine::missing_tree::NotTheTree;
use crate::fs::apply::ApplyError;
use crate::fs::attributes::ReadError;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::idmapped_mount::{IdmappedMountError, UnmountError};

/// Why a step cannot be taken or undone, or what is wrong with it.
#[derive(Debug, Error)]
pub(super) enum StepError {
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The tree it is taken in is not there.
    #[error(transparent)]
    Tree(Arc<NotTheTree>),
    /// An ownership cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An ownership cannot be given.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// A directory cannot be mounted.
    #[error(transparent)]
    Mount(#[from] IdmappedMountError),
    /// A directory cannot be unmounted.
    #[error(transparent)]
    Unmount(#[from] UnmountError),
    /// A directory above the place is a mount point that was none during the run.
    #[error("something is mounted in its path now")]
    BehindMount,
    /// The place has an inode that is not the journal's.
    #[error("another inode is in its place now")]
    OtherInode,
    /// The place has an entry of another kind.
    #[error("something else is in its place")]
    OtherEntry,
    /// The old path of an entry is taken.
    #[error("something new is in its old place")]
    OldPlaceTaken,
    /// There is no directory any more for an entry to go back to.
    #[error("the directory that it was in is gone")]
    OldDirGone,
    /// The new path of an entry is taken.
    #[error("something is in its new place")]
    NewPlaceTaken,
    /// A renamed entry is at neither of its paths.
    #[error("it is neither in its old nor in its new place")]
    Lost,
    /// A file has neither the content before nor the one after.
    #[error("the file was changed since")]
    FileChanged,
    /// A symlink has neither target.
    #[error("the symlink was changed since")]
    SymlinkChanged,
    /// An inode has neither ownership.
    #[error("its owner, mode or ACL was changed since")]
    OwnershipChanged,
    /// A mount point shows another directory.
    #[error("something else is mounted there")]
    OtherMount,
    /// A mount point shows the directory with other owners than the step's.
    #[error("it is mounted there with other owners; `findmnt` shows it")]
    OtherOwners,
    /// A mount that is to be made or removed has others below it.
    #[error("{} is mounted below it: `umount {}` first", escaped(.0), shell_word(.0))]
    MountedBelow(PathBuf),
    /// Somebody worked in a mounted data-root.
    #[error("a daemon has been started on it since")]
    DaemonStarted,
    /// Somebody worked in a data-root that was handed over.
    #[error("a daemon has been started on it since, or something was made or removed in it")]
    UsedSince,
    /// A directory that is to be removed holds something that no step put there.
    #[error("{} was made since", escaped(.0))]
    MadeSince(PathBuf),
    /// A directory has other times than when the steps were planned.
    #[error("something was made or removed in it")]
    OtherTimes,
    /// What was made before the run is not there.
    #[error("is gone")]
    Gone,
    /// A forced rollback removes no directory whose content it does not look at.
    #[error("is kept, because a forced rollback does not check all of it")]
    NotLookedAt,
    /// The step is done, though none should be yet.
    #[error("is done already")]
    DoneAlready,
    /// The step is half done.
    #[error("is half done")]
    Partial,
    /// The step is not done, but should be.
    #[error("is not done")]
    NotDone,
    /// The entry has its old place, though the run finished.
    #[error("was undone since")]
    UndoneSince,
    /// The step is not undone, but should be.
    #[error("is not undone")]
    NotUndone,
}

impl StepError {
    /// Whether a system call failed for this reason.
    pub fn is_io(&self, kind: io::ErrorKind) -> bool {
        matches!(self, StepError::Io(error) if error.kind() == kind)
    }
}

impl From<rustix::io::Errno> for StepError {
    fn from(errno: rustix::io::Errno) -> StepError {
        StepError::Io(errno.into())
    }
}
