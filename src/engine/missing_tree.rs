//! Why a tree of a journal is not what it was.

use std::io;

use thiserror::Error;

use crate::fs::root::RootError;

/// Why a tree of a journal is not there, or is another one.
#[derive(Debug, Error)]
pub enum NotTheTree {
    /// A directory above it is a symlink.
    #[error("there is a symlink in its path now")]
    Symlink,
    /// Another directory or file is at its path.
    #[error("the root of the tree is another inode now")]
    AnotherInode,
    /// A directory below which a mount was crossed is another one.
    #[error("another directory is in its place")]
    AnotherDirectory,
    /// It cannot be opened.
    #[error("{0}")]
    NotOpened(io::Error),
    /// It cannot be the root of a run.
    #[error("{0}")]
    NoRoot(Box<RootError>),
    /// Its owners on disk are not those shown.
    #[error("is seen through an idmapped mount now; `findmnt` shows it")]
    Idmapped,
    /// Its mount is not known.
    #[error("cannot tell whether its mount is idmapped: {0}")]
    MountUnknown(io::Error),
}
