//! How the ownership of many inodes changes alike.

use crate::ownership::{Change, FileType, Flags};

/// A kind of inode and how its ownership changes; most inodes of a tree share a few of these.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transition {
    /// Kind of inode.
    pub file_type: FileType,
    /// Before and after.
    pub change: Change,
    /// Flags that are cleared while it is changed, and set again after.
    pub held: Flags,
}
