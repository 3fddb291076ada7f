//! What keeps steps from being taken or undone.

use std::collections::HashSet;

use super::error::StepError;
use super::survey::{Survey, Surveyor};
use super::{Steps, wanted};
use crate::engine::problem::Problem;
use crate::engine::target::Target;
use crate::journal::step::StepPath;
use crate::journal::{Name, Step};

impl Steps<'_> {
    /// What is in the way of taking or undoing all steps: a step in an unknown state, or a path
    /// that is taken. Changes nothing.
    pub fn obstacles(&self, target: Target) -> Vec<Problem> {
        let survey = match target {
            Target::Before => self.survey_to_undo(),
            Target::After => self.survey(),
        };
        let mut found = self.obstacles_in(&survey, target);
        if target == Target::Before {
            found.extend(self.used_since());
        }
        found
    }

    /// What a daemon, or somebody else, worked in since the run's last change of it. Asked before the first step is undone
    /// alone: undoing is work in it, too.
    pub fn used_since(&self) -> Option<Problem> {
        let (survey, surveyor) = (self.survey_to_undo(), self.surveyor());
        let used = |n: usize| surveyor.was_used_since(&survey, n, self.done_in);
        (0..self.steps.len()).find_map(|n| Some(self.problem(n, &used(n)?)))
    }

    /// What is mounted below what steps mount or unmount on the way there.
    pub fn mounted_below(&self, target: Target) -> Vec<Problem> {
        self.mounted_in(&self.survey(), target)
    }

    pub(super) fn mounted_in(&self, survey: &Survey, target: Target) -> Vec<Problem> {
        let surveyor = self.surveyor();
        let below = |n: usize| surveyor.mounted_below(survey, n, target);
        let all = 0..self.steps.len();
        all.filter_map(|n| Some(self.problem(n, &below(n)?)))
            .collect()
    }

    /// Entries that cannot go back because the directories that they were in are gone, or are in neither of their places.
    pub fn old_dirs_gone(&self) -> Vec<Problem> {
        let (survey, surveyor) = (self.survey_to_undo(), self.surveyor());
        let is_moved = |n: &usize| {
            survey.states[*n]
                .as_ref()
                .is_ok_and(|it| *it != wanted(Target::Before))
        };
        let gone = |n| match old_dir_is_gone(&surveyor, &survey, n, Target::Before) {
            Some(error @ StepError::OldDirGone) => Some(self.problem(n, &error)),
            _ => None,
        };
        let all = 0..self.steps.len();
        let gone: Vec<Problem> = all.filter(is_moved).filter_map(gone).collect();
        match gone.is_empty() {
            true => self.torn_apart(&survey),
            false => gone,
        }
    }

    /// Entries that cannot get their places back. What is to be undone apart from them would be torn from them.
    pub fn places_taken_since(&self) -> Vec<Problem> {
        self.taken_places(&self.survey(), Target::Before)
    }

    pub(super) fn taken_places(&self, survey: &Survey, target: Target) -> Vec<Problem> {
        let surveyor = self.surveyor();
        let taken = |n: usize| match &survey.states[n] {
            Ok(state) if *state != wanted(target) => occupied(&surveyor, n, target)
                .or_else(|| old_dir_is_gone(&surveyor, survey, n, target))
                .map(|error| self.problem(n, &error)),
            Err(error @ StepError::OldPlaceTaken) if survey.matters(n, &self.steps[n], target) => {
                Some(self.problem(n, error))
            }
            _ => None,
        };
        match self.is_forgiving(survey.reached) {
            true => Vec::new(),
            false => (0..self.steps.len()).filter_map(taken).collect(),
        }
    }

    pub(super) fn obstacles_in(&self, survey: &Survey, target: Target) -> Vec<Problem> {
        let surveyor = self.surveyor();
        let places: HashSet<&StepPath> = self.steps.iter().flat_map(Step::places).collect();
        let in_service = |n: usize| match (target, self.is_service) {
            (Target::Before, true) => holds_more(&surveyor, survey, n, &places),
            _ => None,
        };
        let was_used = |n: usize| match target {
            Target::Before => surveyor.was_used(survey, n),
            Target::After => None,
        };
        let obstacle = |n: usize| match &survey.states[n] {
            Err(error) => survey
                .matters(n, &self.steps[n], target)
                .then(|| self.problem(n, error)),
            Ok(state) if *state == wanted(target) => {
                was_used(n).map(|error| self.problem(n, &error))
            }
            Ok(_) if matches!(self.steps[n], Step::MountExchanged { .. }) => {
                was_used(n).map(|error| self.problem(n, &error))
            }
            Ok(_) if self.is_forgiving(survey.reached) => {
                old_dir_is_gone(&surveyor, survey, n, target).map(|error| self.problem(n, &error))
            }
            Ok(_) => occupied(&surveyor, n, target)
                .or_else(|| old_dir_is_gone(&surveyor, survey, n, target))
                .or_else(|| in_service(n))
                .map(|error| self.problem(n, &error)),
        };
        (0..self.steps.len()).filter_map(obstacle).collect()
    }
}

/// Whether something has the place that an entry goes to, or back to, which no other step puts there or
/// takes away.
pub(super) fn occupied(surveyor: &Surveyor<'_>, n: usize, target: Target) -> Option<StepError> {
    let Step::Rename { from, to, .. } = &surveyor.steps[n] else {
        return None;
    };
    let (place, others) = match target {
        Target::Before => (from, &surveyor.steps[n + 1..]),
        Target::After => (to, &surveyor.steps[..n]),
    };
    let ours = others.iter().any(|step| step.places().contains(&place));
    match surveyor.roots.stat(place) {
        Ok(None) => None,
        Ok(Some(_)) if ours => None,
        Ok(Some(_)) if target == Target::After => Some(StepError::NewPlaceTaken),
        Ok(Some(_)) => Some(StepError::OldPlaceTaken),
        Err(error) => Some(error),
    }
}

/// Whether the directory that an entry is to go back to is there no more, and the undo of no other step makes it.
fn old_dir_is_gone(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    n: usize,
    target: Target,
) -> Option<StepError> {
    let (Step::Rename { from, .. }, Target::Before) = (&surveyor.steps[n], target) else {
        return None;
    };
    let (_, above) = from.path.split_last()?;
    let dir = StepPath {
        root: from.root,
        path: above.to_vec(),
    };
    let is_made = |m: usize| match &surveyor.steps[m] {
        Step::RemoveDir { at, .. } => {
            let state = survey.states[m].as_ref();
            *at == dir && state.is_ok_and(|it| *it != wanted(Target::Before))
        }
        _ => false,
    };
    match surveyor.roots.stat(&surveyor.place_now(survey, n, &dir)) {
        Ok(Some(stat)) if stat.is_dir() => None,
        Ok(_) if (n + 1..surveyor.steps.len()).any(is_made) => None,
        Ok(_) => Some(StepError::OldDirGone),
        Err(error) => Some(error),
    }
}

/// Whether a directory that a service's run made, and that goes when it is undone, holds what no step put there.
/// `places`: those of all steps.
pub(super) fn holds_more(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    n: usize,
    places: &HashSet<&StepPath>,
) -> Option<StepError> {
    let (Step::MakeDir { at, .. }
    | Step::Staged {
        at, whole: false, ..
    }) = &surveyor.steps[n]
    else {
        return None;
    };
    // Of a directory that others use too, it stays.
    if surveyor.roots.lines()[at.root].steps_only {
        return None;
    }
    // Steps before a directory was renamed know what is in it by the name that it had.
    let (then, at) = (at, surveyor.place_now(survey, n, at));
    let is_known = |name: &Name| {
        let known = |dir: &StepPath| {
            let path = [&dir.path[..], std::slice::from_ref(name)].concat();
            let root = dir.root;
            places.contains(&StepPath { root, path })
        };
        known(then) || known(&at)
    };
    let names = surveyor.roots.names(&at).ok()?;
    let more = names.iter().find(|name| !is_known(name))?;
    // Where it is now: the place of the step may be one that there is no more.
    let path = surveyor.roots.path(&at).join(more.as_path());
    Some(StepError::MadeSince(path))
}
