//! The steps of a journal, compared with the disk and brought about.
//!
//! - `survey`: where each stands, before the first is taken or undone; `state`: where one does
//! - `inspect`: what they tell before, or after, they are taken
//! - `obstacle`: what keeps steps from being taken or undone; `undone_since`: another run has undone them; `torn`: some can
//!   only be undone together
//! - `aside`: what a daemon made meanwhile, out of the way
//! - `exchanged`: a directory that is mounted with exchanged owners
//! - `used`: whether somebody worked in one since, or in what was handed over
//! - `stage`: new files of many rewrites, beside their places
//! - `error`: why one is not taken
//! - `perform`: taking and undoing one step; `rename`: giving an entry another place; `hand_over`: to a user
//! - `place`: where they are on the disk
//! - `precheck`: of a plan: what they meet on the disk; `rename_needs`: what their renames need of filesystems

mod aside;
mod error;
mod exchanged;
mod hand_over;
mod inspect;
mod obstacle;
mod perform;
mod place;
pub(super) mod precheck;
mod rename;
pub(super) mod rename_needs;
mod stage;
mod state;
mod survey;
mod torn;
mod undone_since;
mod used;

use std::collections::HashSet;
use std::io;
use std::ops::Range;

use jiff::Timestamp;

use self::aside::set_obstacles_aside;
use self::error::StepError;
use self::perform::{Performer, sweep};
use self::place::{PlaceDirs, StepRoots};
use self::stage::{only_files, put_staged, stage};
pub use self::survey::StepState;
use self::survey::{Survey, Surveyor};
use super::problem::{Problem, ProblemKind};
use super::stats::RenamedObstacle;
use super::target::Target;
use crate::idmap::IdMap;
use crate::journal::record::MarkLine;
use crate::journal::{Journal, JournalState, Mark, Step};

/// How taking or undoing steps went.
#[derive(Clone, Debug, Default)]
pub struct AppliedSteps {
    /// Steps that were taken or undone.
    pub done: u64,
    /// Steps that could not be.
    pub problems: Vec<Problem>,
    /// What was in the way, and was renamed and kept.
    pub set_aside: Vec<RenamedObstacle>,
    /// Not all were tried: the rest of the journal must stay as it is.
    pub gave_up: bool,
}

/// A journal's steps and the trees they are taken in.
pub struct Steps<'a> {
    steps: &'a [Step],
    /// Which of them rename an entry: few.
    moves: Vec<usize>,
    /// How many of them come before the owners.
    before: usize,
    roots: StepRoots<'a>,
    /// The run's.
    map: &'a IdMap,
    /// The first tree is a user's, and is taken away first.
    takes_over: bool,
    /// The trees are a daemon's own.
    is_service: bool,
    /// Whether to tolerate what a daemon made that the guard kept from starting.
    forgives: bool,
    /// Start and end of the run, if it has finished and nothing was undone since.
    done_in: Option<[Timestamp; 2]>,
}

impl<'a> Steps<'a> {
    /// Of this journal.
    pub fn of(journal: &'a Journal) -> Steps<'a> {
        Steps {
            steps: &journal.steps,
            moves: (0..journal.steps.len())
                .filter(|n| journal.steps[*n].moved().is_some())
                .collect(),
            before: journal.header.steps_before.min(journal.steps.len()),
            roots: StepRoots::of(journal),
            map: &journal.header.map,
            takes_over: journal.takes_over(),
            is_service: journal.header.is_of_service(),
            forgives: journal.header.is_of_service() && journal.state.is_open(),
            done_in: {
                let finished = |mark: &&MarkLine| mark.mark == Mark::Finished;
                let is_finished = journal.state == JournalState::Finished;
                let mark = journal.marks.iter().rfind(finished);
                mark.filter(|_| is_finished)
                    .map(|mark| [journal.header.time, mark.time])
            },
        }
    }

    /// The steps that are taken before owners are changed, and undone after.
    pub fn early(&self) -> Range<usize> {
        0..self.before
    }

    /// The steps that are taken after owners are changed, and undone before.
    pub fn late(&self) -> Range<usize> {
        self.before..self.steps.len()
    }

    /// Takes or undoes some of the steps, after a check that all can be; with `force`, those that
    /// can be, but no renames of which others could not be undone.
    pub fn apply(&self, target: Target, which: Range<usize>, force: bool) -> AppliedSteps {
        let mut applied = AppliedSteps::default();
        let survey = self.survey();
        applied.problems = match force {
            true => self.taken_places(&survey, target),
            false => self.obstacles_in(&survey, target),
        };
        applied.problems.extend(self.mounted_in(&survey, target));
        if !applied.problems.is_empty() {
            applied.gave_up = true;
            return applied;
        }
        if let Err(error) = self.apply_some(&survey, target, which, force, &mut applied) {
            applied.problems.push(error);
            applied.gave_up = true;
        }
        applied
    }

    fn apply_some(
        &self,
        survey: &Survey,
        target: Target,
        which: Range<usize>,
        force: bool,
        applied: &mut AppliedSteps,
    ) -> Result<(), Problem> {
        let surveyor = self.surveyor();
        let mut dirs = PlaceDirs::new(&self.roots);
        for n in which.clone() {
            sweep(&surveyor, survey, n, &mut dirs).map_err(|error| self.problem(n, &error))?;
        }
        if self.is_forgiving(survey.reached) {
            applied.set_aside = set_obstacles_aside(&surveyor, survey, target)
                .map_err(|error| self.problem(which.start, &error))?;
        }
        let performer = Performer {
            roots: &self.roots,
            map: self.map,
            is_service: self.is_service,
            forgives: self.forgives,
        };
        let mut order: Vec<usize> = which.collect();
        if target == Target::Before {
            order.reverse();
        }
        // Of these, new files lie beside the places that they are to take.
        let mut staged = HashSet::new();
        let mut looked_at = 0;
        for (i, n) in order.iter().copied().enumerate() {
            if i >= looked_at {
                looked_at = i + only_files(self.steps, &order[i..]);
                // No directory gets another place between these.
                dirs = PlaceDirs::new(&self.roots);
                staged = stage(&surveyor, survey, (target, &order[i..looked_at]), &mut dirs);
                looked_at = looked_at.max(i + 1);
            }
            let result = match (&survey.states[n], target) {
                (Ok(StepState::Done), Target::After) | (Ok(StepState::Pending), Target::Before) => {
                    continue;
                }
                // It is of no matter here, or is passed over.
                (Err(_), _) if !survey.matters(n, &self.steps[n], target) => continue,
                (Err(error), _) if force => {
                    applied.problems.push(self.problem(n, error));
                    continue;
                }
                // What is passed over may be what tells that it is in use.
                (_, Target::Before) if force && self.goes_whole(n) => {
                    let kept = self.problem(n, &StepError::NotLookedAt);
                    applied.problems.push(kept);
                    continue;
                }
                (_, _) if staged.contains(&n) => put_staged(&self.steps[n], &mut dirs),
                (_, Target::After) => performer.perform(&self.steps[n]),
                (_, Target::Before) => {
                    performer.undo(&self.steps[n], &mut dirs, &mut applied.set_aside)
                }
            };
            match result {
                Ok(()) => applied.done += u64::from(self.counts(n)),
                Err(error) if force && self.steps[n].moved().is_none() => {
                    applied.problems.push(self.problem(n, &error));
                }
                Err(error) if target == Target::Before && self.is_in_use(n, &error) => {
                    applied.problems.push(self.problem(n, &error));
                }
                Err(error) => return Err(self.problem(n, &error)),
            }
        }
        Ok(())
    }

    /// Whether the step made a directory of the host's that somebody uses, with something in it or mounted on it: it stays,
    /// and is in nobody's way.
    fn is_in_use(&self, n: usize, error: &StepError) -> bool {
        let kinds = [
            io::ErrorKind::DirectoryNotEmpty,
            io::ErrorKind::ResourceBusy,
        ];
        let is_used = kinds.iter().any(|kind| error.is_io(*kind));
        !self.is_service && is_used && matches!(self.steps[n], Step::MakeDir { .. })
    }

    /// Whether the undo of a step removes a directory with everything in it.
    fn goes_whole(&self, n: usize) -> bool {
        self.steps[n].staged().is_some_and(|(_, whole)| whole)
    }

    /// Times are only put back, and what was staged is there already.
    fn counts(&self, n: usize) -> bool {
        !matches!(
            self.steps[n],
            Step::Times { .. } | Step::Staged { .. } | Step::Expect { .. }
        )
    }

    fn problem(&self, n: usize, error: &StepError) -> Problem {
        let step = &self.steps[n];
        let place = step.places()[0];
        Problem {
            path: self.roots.path(place),
            kind: ProblemKind::Conflict,
            reason: format!("{}: {error}", step.describe(self.roots.lines())),
        }
    }

    fn survey(&self) -> Survey {
        let mut surveyor = self.surveyor();
        let reached = surveyor.reached();
        surveyor.forgives = self.is_forgiving(reached);
        surveyor.survey(reached)
    }

    fn surveyor(&self) -> Surveyor<'_> {
        Surveyor {
            steps: self.steps,
            moves: &self.moves,
            roots: &self.roots,
            map: self.map,
            forgives: self.forgives,
        }
    }

    /// Once the last guard of the data is removed, a daemon may have run on it.
    fn is_forgiving(&self, reached: usize) -> bool {
        self.forgives && self.last_guard().is_none_or(|n| n >= reached)
    }

    /// The step that lets a daemon come to the data again.
    fn last_guard(&self) -> Option<usize> {
        let is_last =
            |n: &usize| matches!(self.steps[*n], Step::Unblock { .. } | Step::HandOver { .. });
        self.moves.iter().copied().rev().find(is_last)
    }
}

fn wanted(target: Target) -> StepState {
    match target {
        Target::Before => StepState::Pending,
        Target::After => StepState::Done,
    }
}

/// How many more there are than the one that is named.
pub(super) fn and_more(all: usize) -> String {
    match all {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}
