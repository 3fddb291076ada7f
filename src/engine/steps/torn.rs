//! Steps that can only be undone together. Changes nothing.

use super::Steps;
use super::error::StepError;
use super::survey::Survey;
use crate::engine::problem::Problem;
use crate::engine::target::Target;
use crate::journal::step::StepPath;

impl Steps<'_> {
    /// Directories that are in neither of their places, and that other entries were renamed into, or out of: these could not
    /// go back where they came from, and would be torn from what can.
    pub(super) fn torn_apart(&self, survey: &Survey) -> Vec<Problem> {
        let is_lost = |n: &usize| {
            matches!(survey.states[*n], Err(StepError::Lost))
                && survey.matters(*n, &self.steps[*n], Target::Before)
        };
        let lost = self.moves.iter().copied().filter(is_lost);
        let torn = lost.filter(|n| self.leads_to_others(*n));
        torn.map(|n| self.problem(n, &StepError::Lost)).collect()
    }

    /// Whether the places of other renames are in what this one renames.
    fn leads_to_others(&self, n: usize) -> bool {
        let Some(dir) = self.steps[n].moved() else {
            return false;
        };
        let is_in = |place: &StepPath, dir: &StepPath| {
            place.root == dir.root
                && place.path.len() > dir.path.len()
                && place.path.starts_with(&dir.path)
        };
        self.moves.iter().any(|m| {
            let moved = self.steps[*m].moved();
            moved.is_some_and(|it| match *m < n {
                true => is_in(it.to, dir.from),
                false => is_in(it.from, dir.to) || is_in(it.to, dir.to),
            })
        })
    }
}
