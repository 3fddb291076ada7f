//! Where every step of a journal stands, found out before any is taken or undone. Changes nothing.
//!
//! Steps are taken in order and undone in the opposite order. So the last entry that is found in its new place
//! tells how far they came, and with that where every other place is now.

use std::ops::Range;

use super::error::StepError;
use super::place::{PlaceDirs, StepRoots};
use crate::engine::target::Target;
use crate::idmap::IdMap;
use crate::journal::Step;
use crate::journal::step::{MovedPath, StepPath, path_after_move};

/// The state of a step on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// The disk is as before it.
    Pending,
    /// Some of its system calls were made, on the way there or back.
    Partial,
    /// The disk is as after it.
    Done,
}

/// The state of a step if its entry is missing, and if it exists.
pub(super) type WithoutWith = [StepState; 2];

/// The states of all steps on disk.
pub(super) struct Survey {
    /// Of each step. An error: the disk is neither as before it nor as after it, or does not say.
    pub states: Vec<Result<StepState, StepError>>,
    /// The step after the last rename that is done.
    pub reached: usize,
    /// The first rename that is not done yet.
    next_move: usize,
}

impl Survey {
    /// A later step is done, so this one is, whatever became of it since.
    pub fn is_past(&self, n: usize) -> bool {
        n + 1 < self.reached
    }

    /// An earlier step is not done, so this one is not.
    pub fn is_ahead(&self, n: usize) -> bool {
        n > self.next_move
    }

    /// Whether this entry was renamed.
    pub fn is_moved(&self, n: usize) -> bool {
        n < self.reached
    }

    /// Whether an error of this step keeps all steps from being brought there.
    pub fn matters(&self, n: usize, step: &Step, target: Target) -> bool {
        match (target, step) {
            // Something has the place of what is to go: then that is gone.
            (
                Target::After,
                Step::Remove { .. } | Step::RemoveDir { .. } | Step::RemoveMountPoint { .. },
            ) => false,
            // It does not stay past what comes after it: a reboot ends it.
            (Target::After, Step::MountExchanged { .. } | Step::UnmountExchanged { .. }) => true,
            (Target::After, _) => !self.is_past(n),
            (Target::Before, _) => !self.is_ahead(n),
        }
    }
}

/// How steps are looked at.
pub(super) struct Surveyor<'a> {
    pub steps: &'a [Step],
    /// Which of them give an entry another place, in order.
    pub moves: &'a [usize],
    pub roots: &'a StepRoots<'a>,
    /// The run's map.
    pub map: &'a IdMap,
    /// Whether to tolerate what a daemon made that the guard kept from starting: the run has not
    /// ended.
    pub forgives: bool,
}

impl Surveyor<'_> {
    /// Looks at every step; `reached` is from [`Surveyor::reached`].
    pub fn survey(&self, reached: usize) -> Survey {
        let ahead = self.moves.partition_point(|n| *n < reached);
        let next_move = self.moves.get(ahead).copied().unwrap_or(usize::MAX);
        self.survey_up_to(reached, next_move)
    }

    /// Surveys steps all of which were taken once: none is ahead.
    pub fn survey_of_finished(&self, reached: usize) -> Survey {
        self.survey_up_to(reached, usize::MAX)
    }

    fn survey_up_to(&self, reached: usize, next_move: usize) -> Survey {
        let mut survey = Survey {
            states: Vec::new(),
            reached,
            next_move,
        };
        let mut dirs = PlaceDirs::new(self.roots);
        let mut state = |n| self.state(&survey, n, &mut dirs);
        survey.states = (0..self.steps.len()).map(&mut state).collect();
        survey
    }

    /// The step behind the last one that is found to have given an entry another place. Looks at no other steps.
    pub fn reached(&self) -> usize {
        let is_done = |n: &&usize| {
            let Some(moved) = self.steps[**n].moved() else {
                return false;
            };
            let identity = moved.identity;
            let there = match moved.entry {
                None => self.roots.stat(moved.to),
                Some(name) => self.roots.stat(&moved.to.below(name)),
            };
            let there = there.ok().flatten();
            // A mount can show it there while it still is where it was.
            there.is_some_and(|stat| stat.identity == identity && !stat.mount_root)
        };
        self.moves
            .iter()
            .rev()
            .find(is_done)
            .map_or(0, |last| last + 1)
    }

    /// Where something is now that has this place when step `n` is taken.
    pub fn place_now(&self, survey: &Survey, n: usize, place: &StepPath) -> StepPath {
        let mut place = place.clone();
        let mut apply = |from: &StepPath, to: &StepPath| {
            if let Some((root, path)) = path_after_move(from, to, place.root, &place.path) {
                place = StepPath { root, path };
            }
        };
        if n < survey.reached {
            for MovedPath { from, to, .. } in self.moves_in(n + 1..survey.reached) {
                apply(from, to);
            }
        } else {
            for MovedPath { from, to, .. } in self.moves_in(survey.reached..n).rev() {
                apply(to, from);
            }
        }
        place
    }

    /// Whether what has this place now goes elsewhere by a step that is still to be taken before step `n`.
    pub fn is_vacated_before(&self, survey: &Survey, n: usize, place: &StepPath) -> bool {
        let mut place = place.clone();
        for MovedPath { from, to, .. } in self.moves_in(survey.reached..n).rev() {
            if let Some((root, path)) = path_after_move(to, from, place.root, &place.path) {
                place = StepPath { root, path };
            } else if path_after_move(from, to, place.root, &place.path).is_some() {
                return true;
            }
        }
        false
    }

    /// The steps of a range that give an entry another place. There may be thousands of others between them.
    fn moves_in(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = MovedPath<'_>> {
        let first = self.moves.partition_point(|n| *n < range.start);
        let end = self.moves.partition_point(|n| *n < range.end);
        let these = self.moves.get(first..end).unwrap_or_default();
        these.iter().filter_map(|n| self.steps[*n].moved())
    }
}
