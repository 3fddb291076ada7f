//! Pure: what an inode of a layer is.

use std::collections::BTreeMap;

/// An inode of the tree. The number of one that is gone is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub(super) usize);

/// What an inode is.
#[derive(Debug)]
pub enum NodeKind {
    /// A directory.
    Directory {
        /// The directory that it is in; of the top, itself.
        above: NodeId,
        /// Its name there.
        name: Box<[u8]>,
        /// What is in it.
        entries: BTreeMap<Box<[u8]>, NodeId>,
        /// When it was modified, if the tar tells of it.
        mtime: Option<(i64, u32)>,
    },
    /// A symlink, with its target.
    Symlink(Box<[u8]>),
    /// A regular file.
    File,
    /// A device, a fifo, a whiteout.
    Other,
}
