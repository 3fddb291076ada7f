//! Why nothing is done with a store.

use std::path::PathBuf;

use thiserror::Error;

use crate::fs::escape::escaped;
use crate::store_move::MoveError;

/// Why a command on a Podman store is refused. Nothing was changed.
#[derive(Debug, Error)]
pub enum PodmanError {
    /// Something cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nobody's rootless Podman is meant.
    #[error("{user}: {reason}")]
    User {
        /// As given.
        user: String,
        /// Why not, and what helps.
        reason: String,
    },
    /// Something is in the way.
    #[error("{path}: {reason}", path = escaped(path))]
    InTheWay {
        /// What.
        path: PathBuf,
        /// Why, and what helps.
        reason: String,
    },
    /// What moves of both engines' stores need.
    #[error(transparent)]
    Move(MoveError),
}

impl PodmanError {
    /// Something is in the way.
    pub(super) fn in_the_way(path: impl Into<PathBuf>, reason: impl Into<String>) -> PodmanError {
        PodmanError::InTheWay {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// Something at this path cannot be read or written.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> PodmanError {
        let path = path.into();
        move |source| PodmanError::Io { path, source }
    }
}

impl From<MoveError> for PodmanError {
    fn from(error: MoveError) -> PodmanError {
        match error {
            MoveError::Io { path, source } => PodmanError::Io { path, source },
            MoveError::User { user, reason } => PodmanError::User { user, reason },
            MoveError::InTheWay { path, reason } => PodmanError::InTheWay { path, reason },
            other => PodmanError::Move(other),
        }
    }
}
