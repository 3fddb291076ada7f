//! The paths that a step names.

use super::{MovedPath, Step, StepPath};
use crate::journal::line_error::LineError;

impl Step {
    /// The paths that it names.
    pub fn places(&self) -> Vec<&StepPath> {
        match self {
            Step::MakeDir { at, .. }
            | Step::RemoveDir { at, .. }
            | Step::Rewrite { at, .. }
            | Step::Relink { at, .. }
            | Step::SetOwnership { at, .. }
            | Step::Create { at, .. }
            | Step::Remove { at, .. }
            | Step::Staged { at, .. }
            | Step::Expect { at, .. }
            | Step::MakeMountPoint { at, .. }
            | Step::RemoveMountPoint { at, .. }
            | Step::Times { at, .. } => vec![at],
            Step::MountExchanged { at, source, .. } | Step::UnmountExchanged { at, source } => {
                vec![at, source]
            }
            Step::Rename { from, to, .. }
            | Step::Block { from, to, .. }
            | Step::Unblock { from, to, .. }
            | Step::HandOver { from, to, .. } => vec![from, to],
        }
    }

    /// The entry that it renames.
    pub fn moved(&self) -> Option<MovedPath<'_>> {
        match self {
            Step::Rename { from, to, identity }
            | Step::Block {
                from, to, identity, ..
            }
            | Step::Unblock {
                from, to, identity, ..
            } => Some(MovedPath {
                from,
                to,
                entry: None,
                identity: *identity,
            }),
            Step::HandOver {
                from,
                to,
                entry,
                identity,
                ..
            } => Some(MovedPath {
                from,
                to,
                entry: Some(entry),
                identity: *identity,
            }),
            _ => None,
        }
    }

    /// Where it renames an entry from.
    pub fn renamed_from(&self) -> Option<&StepPath> {
        match self {
            Step::Rename { from, .. } => Some(from),
            _ => None,
        }
    }

    /// Checks that its paths are plain names below one of `roots` roots.
    ///
    /// # Errors
    /// Which is not.
    pub fn check(&self, roots: usize) -> Result<(), LineError> {
        let may_be_root = matches!(self, Step::SetOwnership { .. } | Step::Times { .. });
        self.places().into_iter().try_for_each(|place| {
            if place.path.is_empty() && !may_be_root {
                return Err(LineError::NoName);
            }
            place.check(roots)
        })
    }
}
