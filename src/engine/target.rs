//! Which side of a journal's changes is wanted on the disk.

use crate::ownership::{Change, Ownership};

/// Which side of its changes is wanted on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// As before the run: rollback.
    Before,
    /// As after it: resume, verify.
    After,
}

impl Target {
    /// The side of a change that is wanted.
    pub fn side(self, change: &Change) -> &Ownership {
        match self {
            Target::Before => &change.before,
            Target::After => &change.after,
        }
    }

    /// The other one.
    pub fn other(self, change: &Change) -> &Ownership {
        match self {
            Target::Before => &change.after,
            Target::After => &change.before,
        }
    }
}
