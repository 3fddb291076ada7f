//! A host directory made ready for `docker run -v`, and whether a container can use it.
//!
//! - [`binds`]: the binds of a Compose project or a `docker run` command line
//! - [`user`]: whom a container's process runs as
//! - [`probe`]: asks a child in a user namespace that tries, as that user
//! - [`child`]: the child's side
//! - [`entries`]: what it says of every entry below
//! - [`parents`]: the directories above that the container's root may not search
//! - [`unusable`]: an entry that the user cannot use, and whose it is
//! - [`check`]: what was tried, put together
//! - [`guidance`]: what helps, with the flags and commands that this layer names
//! - [`prepare`]: the plan that makes directories ready

pub mod binds;
pub mod check;
pub mod child;
pub mod entries;
pub mod guidance;
pub mod parents;
pub mod prepare;
pub mod probe;
pub mod unusable;
pub mod user;

use std::path::{Path, PathBuf};

use crate::fs::escape::escaped;
use thiserror::Error;

use crate::fs::root::RootError;
use crate::fs::served_mount::{private_fuse, why_denied};
use crate::preflight::UnsuitableRoot;
use crate::preflight::mount_views::{self, MountViewError};

/// Why a volume cannot be checked or prepared. Nothing was changed.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// Something cannot be read or started.
    #[error("{path}: {source}{help}", path = escaped(path), help = why_denied(path, source))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path cannot be used.
    #[error("{path}: {reason}", path = escaped(path))]
    Path {
        /// Which.
        path: PathBuf,
        /// Why not, and what helps.
        reason: String,
    },
    /// A path cannot be opened as a tree.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The owners that are seen are not those on disk.
    #[error(transparent)]
    MountView(#[from] MountViewError),
    /// A path that is left alone.
    #[error(transparent)]
    Unsuitable(#[from] UnsuitableRoot),
    /// A user cannot be used.
    #[error("{user}: {reason}")]
    User {
        /// As given.
        user: String,
        /// Why not, and what helps.
        reason: String,
    },
    /// The child process that tests failed.
    #[error("the child process that tests as the container's user: {0}")]
    Probe(String),
}

impl VolumeError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> VolumeError {
        let path = path.into();
        move |source| VolumeError::Io { path, source }
    }

    /// Of a path that could not be opened, perhaps because not even root may: its owner is not mapped there.
    fn of_root(path: &Path) -> impl FnOnce(RootError) -> VolumeError {
        move |error| match mount_views::idmapped(path) {
            Some(idmapped) => idmapped.into(),
            None => error.into(),
        }
    }

    /// Refuses what no container can use, whoever owns it.
    fn check_not_private(path: &Path) -> Result<(), VolumeError> {
        match private_fuse(path) {
            Some(reason) => Err(VolumeError::path(path, reason)),
            None => Ok(()),
        }
    }

    fn path(path: impl Into<PathBuf>, reason: impl Into<String>) -> VolumeError {
        VolumeError::Path {
            path: path.into(),
            reason: reason.into(),
        }
    }
}
