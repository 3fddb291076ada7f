//! What one inode has, and what it is to have.

use super::Ownership;

/// One inode's ownership before and after.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Change {
    /// Before.
    pub before: Ownership,
    /// After.
    pub after: Ownership,
}

impl Change {
    /// Whether it moves attributes of overlayfs.
    pub fn moves_overlay(&self) -> bool {
        !self.before.overlay().is_empty() || !self.after.overlay().is_empty()
    }

    /// The change that undoes this one.
    pub fn swapped(self) -> Change {
        Change {
            before: self.after,
            after: self.before,
        }
    }
}
