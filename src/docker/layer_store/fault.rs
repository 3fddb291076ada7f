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
    /// More than `NAME_MAX`.
    #[error("a name in its path is longer than 255 bytes")]
    LongName,
    /// More than `PATH_MAX`.
    #[error("its path is longer than 4095 bytes")]
    LongPath,
    /// It is below something that the layer has as a file.
    #[error("its path leads through something that is not a directory")]
    NoDirectory,
    /// A symlink on its path is dangling.
    #[error("its path leads through a symlink to nowhere")]
    LeadsNowhere,
    /// Symlinks on its path lead to each other.
    #[error("its path leads through more than 40 symlinks")]
    Loop,
    /// A hard link to what the layer does not have.
    #[error("it is a hard link to something that is not in the layer before it")]
    NotThere,
    /// No inode of a directory has two names.
    #[error("it is a hard link to a directory")]
    LinkToDirectory,
    /// More than the filesystem keeps.
    #[error("it is a hard link to a file that has as many as the filesystem allows")]
    ManyLinks,
    /// A symlink without a target.
    #[error("it is a symlink, and its target is not a path")]
    NoTarget,
    /// More than the filesystem keeps.
    #[error("it is a symlink, and its target is longer than the filesystem allows")]
    LongTarget,
    /// More than the filesystem keeps.
    #[error("it is larger than the filesystem allows")]
    LargeFile,
    /// A device that the kernel has no number for.
    #[error("its device number is not valid")]
    DeviceNumber,
    /// A whiteout of what the layer has.
    #[error("it deletes what the layer itself has")]
    DeletesOwn,
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
