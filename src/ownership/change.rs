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
    /// The change that undoes this one.
    pub fn swapped(self) -> Change {
        Change {
            before: self.after,
            after: self.before,
        }
    }
}
