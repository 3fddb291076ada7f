//! Why nothing is done with a store.

use std::path::PathBuf;

use thiserror::Error;

use crate::fs::escape::{escaped, shell_word};
use crate::fs::mountinfo;
use crate::fs::root::RootError;
use crate::idmap::SubidError;

/// Why a store is not moved, whichever engine's it is. Nothing was changed.
#[derive(Debug, Error)]
pub enum MoveError {
    /// Something cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No rootless engine's ids are meant.
    #[error("{user}: {reason}")]
    User {
        /// As given.
        user: String,
        /// Why not, and what helps.
        reason: String,
    },
    /// A place cannot be relied on.
    #[error(transparent)]
    Place(#[from] RootError),
    /// The ranges of a user cannot be read from `/etc/subuid` and `/etc/subgid`.
    #[error(transparent)]
    Subid(#[from] SubidError),
    /// What an earlier run made is where this one would make it.
    #[error("{path}: {left}", path = escaped(path))]
    Left {
        /// What.
        path: PathBuf,
        /// What it is, and what helps.
        left: LeftOver,
    },
    /// Something is in the way.
    #[error("{path}: {reason}", path = escaped(path))]
    InTheWay {
        /// What.
        path: PathBuf,
        /// Why, and what helps.
        reason: String,
    },
}

/// What an earlier run left, to be printed after its path. Each has the path for a shell.
#[derive(Debug, Error)]
pub enum LeftOver {
    /// A run was cut off before it changed anything.
    #[error(
        "is left over from an earlier --copy that ended before it changed anything, and is not needed. Remove it with `rm -rf {0}`, \
         then run this again"
    )]
    UnusedCopy(String),
    /// A run was done, and what it copied is in another place now; or it was killed as it began.
    #[error(
        "is what a rollback of an earlier --copy needs, or is left of one that was killed as it began: `idshift journal list` shows \
         which there was. When you need no rollback, `{0}`, then run this again"
    )]
    ForRollback(String),
    /// A run was undone.
    #[error(
        "is the copy of an earlier --copy that was undone. What was written to it after that migration may be nowhere else. Look \
         at it. To keep it, move it away: `mv {0} /root/`; if you need nothing of it, remove it. Then \
         run this again"
    )]
    EarlierCopy(String),
    /// So was it, and `rm -rf` would go through what is mounted in it.
    #[error(
        "is left of an earlier run that was cut short, and something is mounted in it, so that it must not be removed yet. \
         First `umount {0}`, then again"
    )]
    MountWithin(String),
}

impl LeftOver {
    /// That something is mounted in a directory that is to be removed.
    pub fn with_mount(dir: &std::path::Path) -> Option<LeftOver> {
        let point = mountinfo::first_within(dir)?;
        Some(LeftOver::MountWithin(shell_word(&point).to_string()))
    }
}

impl MoveError {
    /// Something is in the way.
    pub fn in_the_way(path: impl Into<PathBuf>, reason: impl Into<String>) -> MoveError {
        MoveError::InTheWay {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A system call failed on this path.
    pub fn errno(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> MoveError {
        let path = path.into();
        move |errno| MoveError::io(path)(errno.into())
    }

    /// Something at this path cannot be read or written.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> MoveError {
        let path = path.into();
        move |source| MoveError::Io { path, source }
    }
}
