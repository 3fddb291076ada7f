//! What an entry of a tar is.

use std::fmt;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// Another name of an inode.
    HardLink,
    /// A symlink.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
    /// Records for all entries behind it: nothing to unpack.
    Global,
    /// Nothing that a layer has.
    Unknown(u8),
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EntryKind::Unknown(flag) => write!(f, "{:?}", char::from(*flag)),
            known => write!(f, "{known:?}"),
        }
    }
}
