//! Why an inode was left as it is.

use std::path::PathBuf;

use serde::Serialize;

use crate::ownership::Unmapped;

/// Why an inode was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProblemKind {
    /// It has an id outside the map.
    #[serde(rename = "unmapped")]
    OutsideMap,
    /// Its ids cannot be mapped for another reason.
    Unmapped,
    /// It could not be read or changed.
    Failed,
    /// It is immutable or append-only (`chattr(1)`).
    Protected,
    /// It is not what the journal or the manifest says it was.
    Conflict,
    /// It is not where the record says: its name is gone.
    #[serde(rename = "conflict")]
    Gone,
    /// It is not where the record says: its name is another inode's.
    #[serde(rename = "conflict")]
    Replaced,
}

impl ProblemKind {
    /// Whether the inode is not what a record says.
    pub fn is_conflict(self) -> bool {
        match self {
            ProblemKind::Conflict | ProblemKind::Gone | ProblemKind::Replaced => true,
            ProblemKind::OutsideMap
            | ProblemKind::Unmapped
            | ProblemKind::Failed
            | ProblemKind::Protected => false,
        }
    }

    /// Whether the inode is not there to be compared: a daemon and its containers remove files and make them anew.
    pub(super) fn is_absent(self) -> bool {
        matches!(self, ProblemKind::Gone | ProblemKind::Replaced)
    }
}

impl From<&Unmapped> for ProblemKind {
    fn from(why: &Unmapped) -> ProblemKind {
        match why.is_outside() {
            true => ProblemKind::OutsideMap,
            false => ProblemKind::Unmapped,
        }
    }
}

/// One inode that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Absolute path.
    pub path: PathBuf,
    /// Of which kind.
    pub kind: ProblemKind,
    /// Why, for people.
    pub reason: String,
}
