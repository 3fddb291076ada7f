//! Why nothing is done with a data-root.

use std::path::PathBuf;

use thiserror::Error;

use super::reason::Reason;
use crate::containerd::StoreError;
use crate::fs::escape::escaped;
use crate::fs::root::RootError;
use crate::host::systemd_unit::ProgramError;
use crate::idmap::{IdMap, SubidError};
use crate::store_move::MoveError;

/// Why a command on a data-root is refused. Nothing was changed.
#[derive(Debug, Error)]
pub enum DockerError {
    /// Something cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `--userns-remap` names nobody.
    #[error("--userns-remap {value}: {reason}{help}")]
    Remap {
        /// As given.
        value: String,
        /// Why not.
        reason: String,
        /// Another value that helps, as a sentence behind the reason; mostly empty.
        help: String,
    },
    /// A place of a data-root cannot be relied on.
    #[error(transparent)]
    Place(#[from] RootError),
    /// No rootless daemon's ids are meant.
    #[error("--rootless {user}: {reason}")]
    Rootless {
        /// As given.
        user: String,
        /// Why not, and what helps.
        reason: String,
    },
    /// The range cannot be read from `/etc/subuid` and `/etc/subgid`.
    #[error(transparent)]
    Subid(#[from] SubidError),
    /// Images or container files are in containerd, from where they cannot be migrated.
    #[error(
        "{path}: {what} in the containerd image store, which the daemon does not show afterwards. {remedy}",
        path = escaped(path)
    )]
    InContainerd {
        /// The docker root.
        path: PathBuf,
        /// What is there: `the container web and its image are`.
        what: String,
        /// What helps.
        remedy: String,
    },
    /// Something of containerd's cannot be read.
    #[error(transparent)]
    Containerd(#[from] StoreError),
    /// The user was made, and got another range than planned.
    #[error(
        "{user} was made, and got {got} instead of {planned}. Nothing else was changed. Run the command \
        again to use {got}"
    )]
    OtherRange {
        /// Its name.
        user: String,
        /// Its ranges.
        got: IdMap,
        /// The ranges of the plan.
        planned: IdMap,
    },
    /// A unit cannot run this program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Something in the data-root is in the way.
    #[error("{path}: {reason}", path = escaped(path))]
    InTheWay {
        /// What.
        path: PathBuf,
        /// Why, and what helps.
        reason: Reason,
    },
}

impl DockerError {
    /// Something is in the way.
    pub(super) fn in_the_way(path: impl Into<PathBuf>, reason: impl Into<Reason>) -> DockerError {
        DockerError::InTheWay {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// A system call failed on this path.
    pub(super) fn errno(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> DockerError {
        let path = path.into();
        move |errno| DockerError::io(path)(errno.into())
    }

    /// Something at this path cannot be read or written.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DockerError {
        let path = path.into();
        move |source| DockerError::Io { path, source }
    }
}

impl From<MoveError> for DockerError {
    fn from(error: MoveError) -> DockerError {
        match error {
            MoveError::Io { path, source } => DockerError::Io { path, source },
            MoveError::User { user, reason } => DockerError::Rootless { user, reason },
            MoveError::Place(error) => DockerError::Place(error),
            MoveError::Subid(error) => DockerError::Subid(error),
            MoveError::Left { path, left } => DockerError::in_the_way(path, left),
            MoveError::InTheWay { path, reason } => DockerError::in_the_way(path, reason),
        }
    }
}
