//! What the steps of a journal tell before, or after, they are taken. Changes nothing.

use std::collections::HashSet;

use super::error::StepError;
use super::survey::StepState;
use super::{Steps, wanted};
use crate::engine::problem::Problem;
use crate::engine::target::Target;
use crate::fs::{Identity, file_ops};
use crate::journal::step::Move;
use crate::journal::{Journal, JournalState, Mark, Step};

impl Steps<'_> {
    /// Why a run that was cut short must not go on: it had not come to keep a daemon from starting, so that what
    /// there is may not be what was listed.
    pub fn not_guarded(&self) -> bool {
        let reached = self.surveyor().reached();
        let mut guards = self.steps[self.early()].iter().enumerate();
        guards.any(|(n, step)| matches!(step, Step::Block { .. }) && n >= reached)
    }

    /// Whether the rollback of a run can be taken back: it ended before it kept a daemon, or a user, from the data again, and
    /// so before it came to the owners. If the data was changed since, it cannot go on. A resume does again what it undid.
    pub fn can_be_redone(journal: &Journal) -> bool {
        let ended_in_time = journal.state == JournalState::Undoing
            && journal.has_mark(Mark::Stepping)
            && !journal.has_mark(Mark::TakenBack);
        ended_in_time && Steps::of(journal).are_guards_removed()
    }

    /// Whether what kept a daemon, or a user, from the data is away. It comes back before an owner is undone.
    pub fn are_guards_removed(&self) -> bool {
        let survey = self.survey();
        let is_done = |n| matches!(survey.states[n], Ok(StepState::Done | StepState::Partial));
        let last = self.last_guard();
        last.is_some_and(|n| survey.is_moved(n) && is_done(n))
    }

    /// How many steps are not in the wanted state: the count of a dry run.
    pub fn count(&self, target: Target) -> u64 {
        self.differences(target).len() as u64
    }

    /// Where renamed entries are now: to be applied one after the other.
    pub fn moves(&self) -> Vec<Move> {
        let reached = self.surveyor().reached();
        let moved = self.moves.iter().take_while(|n| **n < reached);
        let moved = moved.filter_map(|n| self.steps[*n].moved());
        moved
            .map(|it| Move {
                from: it.from.clone(),
                to: it.to.clone(),
            })
            .collect()
    }

    /// The steps that are not in the wanted state.
    pub fn differences(&self, target: Target) -> Vec<Problem> {
        let survey = self.survey();
        let differs = |n: &usize| {
            let step = &self.steps[*n];
            // No step keeps an owner from being what it should be.
            let counts = |step| {
                matches!(step, &Step::SetOwnership { .. }) || survey.matters(*n, step, target)
            };
            match &survey.states[*n] {
                Ok(state) if *state == wanted(target) => None,
                Ok(StepState::Partial) => Some(self.problem(*n, &StepError::Partial)),
                Ok(StepState::Pending) => Some(self.problem(*n, &StepError::NotDone)),
                Ok(StepState::Done) => Some(self.problem(*n, &StepError::NotUndone)),
                Err(error) => counts(step).then(|| self.problem(*n, error)),
            }
        };
        (0..self.steps.len())
            .filter(|n| self.counts(*n))
            .filter_map(|n| differs(&n))
            .collect()
    }

    /// The first step that is not as it was when they were planned, before any was taken.
    pub fn first_changed(&self) -> Option<Problem> {
        let survey = self.survey();
        let is_nothing = |n: usize| match &self.steps[n] {
            Step::SetOwnership { before, after, .. } => before == after,
            _ => !self.counts(n),
        };
        let changed = |n: usize| match &survey.states[n] {
            Ok(StepState::Pending) => None,
            Ok(_) if is_nothing(n) => self.other_times(n),
            Ok(_) => Some(self.problem(n, &StepError::DoneAlready)),
            Err(error) => Some(self.problem(n, error)),
        };
        (0..self.steps.len()).find_map(changed)
    }

    /// A daemon that was started since has put something else into its data-root, if only for a moment.
    fn other_times(&self, n: usize) -> Option<Problem> {
        let Step::Times { at, mtime_ns } = &self.steps[n] else {
            return None;
        };
        let is_service = self.forgives && !self.roots.lines()[at.root].steps_only;
        let now = self
            .roots
            .dir(at)
            .and_then(|dir| Ok(file_ops::mtime_ns(dir)?));
        let other = is_service && now.is_ok_and(|now| now != *mtime_ns);
        other.then(|| self.problem(n, &StepError::OtherTimes))
    }

    /// The inodes that have come with undoing: files written anew, directories made anew. By device and identity.
    pub fn made_by_undoing(&self) -> HashSet<(u64, Identity)> {
        let survey = self.survey();
        let surveyor = self.surveyor();
        let made = |(n, step): (usize, &Step)| {
            let at = match step {
                Step::Rewrite { at, .. }
                | Step::Relink { at, .. }
                | Step::Remove { at, .. }
                | Step::RemoveDir { at, .. } => at,
                _ => return None,
            };
            let is_undone = matches!(survey.states[n], Ok(StepState::Pending));
            let at = surveyor.place_now(&survey, n, at);
            let stat = self.roots.stat(&at).ok()??;
            is_undone.then_some((stat.dev, stat.identity))
        };
        self.steps.iter().enumerate().filter_map(made).collect()
    }
}
