//! The format of journals that a step needs.

use super::Step;

impl Step {
    /// The first format that has this kind of step.
    pub fn format(&self) -> u32 {
        match self {
            Step::HandOver { .. } | Step::Expect { .. } => 6,
            Step::Relink {
                owners: Some(_), ..
            }
            | Step::MakeMountPoint { .. }
            | Step::RemoveMountPoint { .. }
            | Step::MountExchanged { .. }
            | Step::UnmountExchanged { .. } => 5,
            Step::Rewrite { after, .. } if after.owner.is_some() => 5,
            Step::Staged { .. } => 4,
            step if step.crosses_roots() => 4,
            Step::Relink { .. }
            | Step::Remove { .. }
            | Step::Block { .. }
            | Step::Unblock { .. }
            | Step::Times { .. } => 3,
            _ => 1,
        }
    }

    /// Whether it renames an entry into another tree.
    fn crosses_roots(&self) -> bool {
        self.moved().is_some_and(|it| it.from.root != it.to.root)
    }
}

/// The earliest format that has all these steps.
pub fn steps_format(steps: &[Step]) -> u32 {
    steps.iter().map(Step::format).max().unwrap_or(1)
}
