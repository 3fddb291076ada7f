//! One inode that a user had, while it becomes root's again.

use super::locator::EntryProblem;
use crate::engine::ProblemKind;
use crate::engine::hand_over::{CHANGED, Window};
use crate::fs::lease::ReadLease;
use crate::fs::{PinnedFile, attributes};
use crate::journal::Transition;
use crate::ownership::{FileType, Ownership};

/// Nobody writes to it as long as this lives.
pub(super) struct InodeGuard {
    _lease: Option<ReadLease>,
    names: u32,
    transition: Transition,
}

impl InodeGuard {
    /// Makes sure that nobody but the run has changed it, and that nobody has it open for writing. `users`: what it is like
    /// as long as it is the user's.
    pub fn of(
        pin: &PinnedFile,
        transition: &Transition,
        (users, window): (&Ownership, &Window),
    ) -> Result<InodeGuard, EntryProblem> {
        let lease = match transition.file_type {
            FileType::File => {
                Some(ReadLease::take(pin).map_err(|error| conflict(error.to_string()))?)
            }
            _ => None,
        };
        let stat = pin.stat().map_err(|errno| conflict(errno.to_string()))?;
        // Where it is root's already, no user could change it.
        let is_users = (stat.uid, stat.gid) == (users.uid, users.gid);
        if is_users && !window.allows_the_run(&stat, transition.held) {
            return Err(conflict(CHANGED.into()));
        }
        Ok(InodeGuard {
            _lease: lease,
            names: stat.nlink,
            transition: transition.clone(),
        })
    }

    /// Makes sure that all that it has now is what it was given: an ACL or a name may have come to it in the last moment.
    pub fn check(self, pin: &PinnedFile, wanted: &Ownership) -> Result<(), EntryProblem> {
        let stat = pin.stat().map_err(|errno| conflict(errno.to_string()))?;
        let Transition {
            change, file_type, ..
        } = &self.transition;
        let now = attributes::read(pin, &stat)
            .and_then(|now| attributes::with_overlay_of(change, Some(pin), (now, *file_type)))
            .map_err(|error| conflict(error.to_string()))?;
        match now == *wanted && stat.nlink == self.names {
            true => Ok(()),
            false => Err(conflict("was changed while it was given back".into())),
        }
    }
}

fn conflict(reason: String) -> EntryProblem {
    (ProblemKind::Conflict, reason)
}
