//! Of a run that has finished, what another one has undone since. Changes nothing.

use super::Steps;
use super::error::StepError;
use super::survey::Survey;
use crate::engine::problem::Problem;

impl Steps<'_> {
    /// As [`Steps::survey`], of a run that is to be undone. Where it has finished, it has come to every step: what the disk
    /// does not have of one, somebody has undone.
    pub(super) fn survey_to_undo(&self) -> Survey {
        let surveyor = self.surveyor();
        match self.done_in {
            Some(_) => surveyor.survey_of_finished(surveyor.reached()),
            None => self.survey(),
        }
    }

    /// What a finished run renamed last, where it has its old place again: another run put it there. What is found then is
    /// not what a rollback would leave, as far as nobody looked at all of it.
    pub fn undone_since(&self) -> Option<Problem> {
        self.done_in?;
        let last = *self.moves.last()?;
        let survey = self.survey();
        if survey.is_moved(last) {
            return None;
        }
        let moved = self.steps[last].moved()?;
        let mut place = self.surveyor().place_now(&survey, last, moved.from);
        if let Some(name) = moved.entry {
            place = place.below(name);
        }
        let there = self.roots.stat(&place).ok().flatten()?;
        let is_back = there.identity == moved.identity && !there.mount_root;
        is_back.then(|| self.problem(last, &StepError::UndoneSince))
    }
}
