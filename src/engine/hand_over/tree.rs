//! What is looked at to find out whether a user, or root's daemon, has changed something.

use std::path::PathBuf;

use super::unchanged::{Changes, Inspection};
use super::window::Window;
use crate::engine::control::RunControl;
use crate::engine::reopen;
use crate::engine::steps::Steps;
use crate::engine::{Phase, Problem, ProblemKind};
use crate::fs::{DirPath, Root};
use crate::journal::step::StepPath;
use crate::journal::{Journal, Name, Step};

/// A tree that others than the run had, and since when they are to have changed nothing of it.
pub(super) struct HandedTree<'a> {
    /// Its top, or why that is not there.
    top: Result<Root, Problem>,
    /// The path by which it is told of: also while it is taken away, it is the user's.
    shown: PathBuf,
    window: Window,
    scope: Scope<'a>,
}

/// What of a tree is looked at.
enum Scope<'a> {
    /// All but an entry of this name: what was the user's before, and is no part of the run.
    AllBut(Option<&'a [u8]>),
    /// Of a data-root that root's daemon got, what was put there.
    PutInPlace {
        /// Names in the top.
        names: Vec<&'a [u8]>,
        /// Where the last rename leads from and to: it is the run's, and changes the directories on the way.
        last: Vec<&'a StepPath>,
    },
}

impl<'a> HandedTree<'a> {
    /// What a run gave away: to a user, or to root's daemon.
    pub fn given(journal: &'a Journal) -> Option<HandedTree<'a>> {
        let roots = &journal.header.roots;
        let window = Window::since_handed_over(journal)?;
        if journal.takes_over() {
            let shown = roots.get(PLAIN)?.path.as_path().to_path_buf();
            return Some(HandedTree {
                top: reopened(journal, PLAIN),
                shown,
                window,
                scope: put_in_place(journal),
            });
        }
        let place = place_now(journal)?.to_path(roots);
        Some(HandedTree {
            top: Root::open(&place).map_err(|error| conflict(place, error.to_string())),
            shown: handed_to(journal)?.to_path(roots),
            window,
            scope: Scope::AllBut(users_own(journal)),
        })
    }

    /// What a run takes away from a user.
    pub fn taken(journal: &'a Journal) -> Option<HandedTree<'a>> {
        Some(HandedTree {
            // The user can put another directory in its place.
            top: reopened(journal, 0),
            shown: journal.header.roots.first()?.path.as_path().to_path_buf(),
            window: Window::since_read(journal)?,
            scope: Scope::AllBut(None),
        })
    }

    /// What was changed in it, as far as it is needed to be told.
    pub fn changes(self, jobs: usize, control: RunControl<'_>) -> Vec<Problem> {
        control.monitor.phase(Phase::Comparing, None);
        match &self.top {
            Ok(top) => Changes {
                shown: self.shown.clone(),
                window: self.window,
                inspect: &|dir: &DirPath, name: &[u8]| self.scope.inspect(dir, name),
                control,
                jobs,
            }
            .find(top),
            Err(problem) => vec![problem.clone()],
        }
    }
}

/// Of a run that takes a user's data-root: the root of steps that is the other one.
const PLAIN: usize = 1;

fn reopened(journal: &Journal, root: usize) -> Result<Root, Problem> {
    let line = &journal.header.roots[root];
    reopen::open(line)
        .map_err(|error| conflict(line.path.as_path().to_path_buf(), error.to_string()))
}

fn conflict(path: PathBuf, reason: String) -> Problem {
    Problem {
        path,
        kind: ProblemKind::Conflict,
        reason,
    }
}

impl Scope<'_> {
    fn inspect(&self, dir: &DirPath, name: &[u8]) -> Inspection {
        match self {
            Scope::AllBut(own) => match dir.depth == 0 && *own == Some(name) {
                true => Inspection::Skip,
                false => Inspection::Check,
            },
            Scope::PutInPlace { names, last } => {
                let mut path = dir.tail(dir.depth);
                path.push(name);
                let leads_to = |place: &&StepPath| {
                    let on_the_way = place.path.iter().take(path.len());
                    on_the_way.map(|name| &name.0[..]).eq(path.iter().copied())
                };
                match (last.iter().any(leads_to), names.contains(&path[0])) {
                    (true, _) => Inspection::Enter,
                    (false, true) => Inspection::Check,
                    // Below what only root enters meanwhile.
                    (false, false) if dir.depth > 0 => Inspection::Check,
                    (false, false) => Inspection::Skip,
                }
            }
        }
    }
}

fn put_in_place(journal: &Journal) -> Scope<'_> {
    let taken = journal.steps.iter().filter_map(|step| match step {
        Step::Rename { from, to, .. } if from.root != PLAIN && to.root == PLAIN => from.path.last(),
        _ => None,
    });
    let last = journal.steps.iter().filter_map(|step| match step {
        Step::Unblock { from, to, .. } => Some([from, to]),
        _ => None,
    });
    Scope::PutInPlace {
        names: taken.map(|name: &Name| &name.0[..]).collect(),
        last: last.flatten().collect(),
    }
}

/// Where what was handed over is the user's.
fn handed_to(journal: &Journal) -> Option<&StepPath> {
    let mut steps = journal.steps.iter();
    let step = steps.find(|step| matches!(step, Step::HandOver { .. }))?;
    Some(step.moved()?.to)
}

/// Where what was handed over is now.
fn place_now(journal: &Journal) -> Option<StepPath> {
    let mut steps = journal.steps.iter();
    let step = steps.find(|step| matches!(step, Step::HandOver { .. }))?;
    let moved = step.moved()?;
    let is_there = Steps::of(journal)
        .moves()
        .iter()
        .any(|it| it.to == *moved.to);
    Some(if is_there { moved.to } else { moved.from }.clone())
}

/// The name, in what was handed over, of what had its place before.
fn users_own(journal: &Journal) -> Option<&[u8]> {
    let place = handed_to(journal)?;
    let mut steps = journal.steps.iter();
    let aside = steps.find(|step| step.renamed_from() == Some(place))?;
    aside.moved()?.to.path.last().map(|name| &name.0[..])
}
