//! Why a layer cannot be packed or unpacked.

use std::io;

use rustix::io::Errno;
use thiserror::Error;

/// What is wrong with a file or an entry of a layer, beside what is wrong with its tar.
#[derive(Debug, Error)]
pub enum LayerFault {
    /// A call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its path begins with `..`.
    #[error("it leads out of the layer")]
    LeadsOut,
    /// No path has one.
    #[error("it has a NUL in its name")]
    Nul,
    /// A whiteout named `.`, `..` or nothing.
    #[error("it deletes a directory from inside")]
    DeletesParent,
    /// It is no directory, and has the path of the layer itself.
    #[error("it would replace the layer's top directory")]
    ReplacesTop,
    /// The tar holds less of it than it says.
    #[error("its content is shorter than its size")]
    Short,
    /// An extended attribute cannot be set.
    #[error("its attribute {name}: {source}")]
    Xattr {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A regular file or a hard link, where a node was to be made.
    #[error("cannot be created as a device or a directory")]
    NotANode,
    /// It is no file, directory, symlink, device or fifo.
    #[error("is of an unknown type")]
    UnknownType,
    /// Somebody changes it meanwhile.
    #[error("became shorter while it was read")]
    BecameShorter,
    /// overlayfs keeps the rest of it in another layer, as this attribute says.
    #[error("has {0}, so that its content is in another layer")]
    Partial(String),
}

impl From<Errno> for LayerFault {
    fn from(errno: Errno) -> LayerFault {
        LayerFault::Io(errno.into())
    }
}
