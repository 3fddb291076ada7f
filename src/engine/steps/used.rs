//! Whether a daemon, or somebody else, worked in what the undo of a step would give other owners.

use std::time::Duration;

use jiff::Timestamp;

use super::error::StepError;
use super::survey::{StepState, Survey, Surveyor};
use crate::fs::file_ops::mtime_ns;
use crate::fs::inode_time::SOME_TICKS;
use crate::journal::Step;
use crate::journal::step::StepPath;

/// The kernel stamps inodes with the time of its last clock tick, and filesystems may round it.
const SLACK_NS: i128 = 2_000_000_000;

/// How far the times of two inodes that one rename changed may be apart: two ticks, and what the call may wait in between
/// on a busy host. A daemon takes longer to start.
const ONE_CALL: Duration = SOME_TICKS;

impl Surveyor<'_> {
    /// Why a mount is not undone: somebody has worked in what it shows.
    pub(super) fn was_used(&self, survey: &Survey, n: usize) -> Option<StepError> {
        let Step::MountExchanged { mtime_ns: then, .. } = &self.steps[n] else {
            return None;
        };
        // Of a run that has not ended, what is not mounted may not have been mounted yet.
        let is_mounted = matches!(survey.states[n], Ok(StepState::Done));
        if !is_mounted && (self.forgives || survey.is_ahead(n)) {
            return None;
        }
        let (source, _) = self.mount_places(survey, n)?;
        let now = mtime_ns(self.roots.dir(&source).ok()?).ok()?;
        (now != *then).then_some(StepError::DaemonStarted)
    }

    /// Why what was mounted is not mounted again: its directory has been worked in since the run's last change of it, where
    /// owners mean something else than through the mount. `done_in`: start and end of a run that has finished.
    pub(super) fn was_used_since(
        &self,
        survey: &Survey,
        n: usize,
        done_in: Option<[Timestamp; 2]>,
    ) -> Option<StepError> {
        match &self.steps[n] {
            Step::UnmountExchanged { .. } => {
                let used = self.mount_places(survey, n)?.0;
                let is_used = self.is_modified_outside(&used, done_in)
                    || self.is_used_without_guard(survey, &used, done_in.is_some());
                is_used.then_some(StepError::DaemonStarted)
            }
            // Each start of the daemon that has it now makes and removes something in it.
            Step::HandOver { to, .. } if survey.is_moved(n) => self
                .is_modified_outside(to, done_in)
                .then_some(StepError::UsedSince),
            _ => None,
        }
    }

    /// Whether a directory was modified at another time than while the run was at work. The run itself modified it last:
    /// so a time after it, or before, as of a clock that was set back, is another's.
    fn is_modified_outside(&self, dir: &StepPath, done_in: Option<[Timestamp; 2]>) -> bool {
        let Some([began, finished]) = done_in else {
            return false;
        };
        let by_the_run = began.as_nanosecond() - SLACK_NS..=finished.as_nanosecond();
        let changed = self.modified(dir);
        changed.is_some_and(|changed| !by_the_run.contains(&changed))
    }

    /// Whether a directory was worked in since the run took its guard away: from then on a daemon starts on it, also where
    /// the run did not come to its end, or has still to write out its filesystem.
    fn is_used_without_guard(&self, survey: &Survey, dir: &StepPath, has_finished: bool) -> bool {
        let is_in_it = |place: &StepPath| {
            let above = place.path.split_last().map(|(_, above)| above);
            place.root == dir.root && above == Some(&dir.path[..])
        };
        let is_dir = |place| matches!(self.roots.stat(place), Ok(Some(stat)) if stat.is_dir());
        self.steps.iter().enumerate().any(|(n, step)| {
            let is_done = matches!(survey.states[n], Ok(StepState::Done | StepState::Partial));
            match step {
                Step::Unblock { to, .. } => {
                    is_done && is_in_it(to) && self.is_modified_since(dir, to, has_finished)
                }
                // Each daemon makes a directory there when it starts.
                Step::Remove { at, .. } => is_done && is_in_it(at) && is_dir(at),
                _ => false,
            }
        })
    }

    /// Whether a directory was modified at another time than this entry was put into it: `rename(2)` gives both that time.
    ///
    /// Of a run that has finished, a later time of the entry means nothing: an owner, an ACL or a backup that puts access
    /// times back changes it too, and the time of the directory is compared with those of the run.
    fn is_modified_since(&self, dir: &StepPath, entry: &StepPath, has_finished: bool) -> bool {
        let Ok(Some(stat)) = self.roots.stat(entry) else {
            return false;
        };
        let put = stat.changed.as_ns();
        self.modified(dir).is_some_and(|modified| {
            let apart = modified.abs_diff(put) > ONE_CALL.as_nanos();
            apart && (modified > put || !has_finished)
        })
    }

    fn modified(&self, dir: &StepPath) -> Option<i128> {
        mtime_ns(self.roots.dir(dir).ok()?).ok().map(i128::from)
    }
}
