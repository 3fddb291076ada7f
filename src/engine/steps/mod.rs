//! The steps of a journal, compared with the disk and brought about.
//!
//! - `survey`: where each stands, before the first is taken or undone
//! - `aside`: what a daemon made meanwhile, out of the way
//! - `place`: where they are on the disk

mod aside;
mod place;
mod survey;

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};

pub use self::aside::SetAside;
use self::aside::make_room;
use self::place::{PlaceDirs, StepRoots, last};
pub use self::survey::StepState;
use self::survey::{Survey, Surveyor, owned};
use super::replay::Target;
use super::{Problem, ProblemKind};
use crate::fs::escape::escaped;
use crate::fs::file_ops::{self, Owner};
use crate::fs::{Identity, apply};
use crate::journal::step::{FileContent, NewDirectory, StepPath};
use crate::journal::{Journal, Name, Step};
use crate::ownership::{Mode, Ownership};

/// How taking or undoing steps went.
#[derive(Clone, Debug, Default)]
pub struct AppliedSteps {
    /// Steps that were taken or undone.
    pub done: u64,
    /// Steps that could not be.
    pub problems: Vec<Problem>,
    /// What was in the way and is kept elsewhere.
    pub set_aside: Vec<SetAside>,
}

/// An entry that a step renamed.
#[derive(Clone, Debug)]
pub struct Move {
    /// Where it was.
    pub from: StepPath,
    /// Where it is.
    pub to: StepPath,
}

impl Move {
    /// Where something at or below `from` is now: the tree, and the names from its top.
    pub fn apply(&self, root: usize, way: &[Name]) -> Option<(usize, Vec<Name>)> {
        path_after_move(&self.from, &self.to, root, way)
    }
}

fn path_after_move(
    from: &StepPath,
    to: &StepPath,
    root: usize,
    path: &[Name],
) -> Option<(usize, Vec<Name>)> {
    if root != from.root {
        return None;
    }
    let below = path.strip_prefix(&from.path[..])?;
    Some((to.root, [&to.path[..], below].concat()))
}

/// A journal's steps and the trees they are taken in.
pub struct Steps<'a> {
    steps: &'a [Step],
    /// Which of them give an entry another place: few.
    moves: Vec<usize>,
    /// So many of them come before the owners.
    before: usize,
    roots: StepRoots<'a>,
    /// The trees are a daemon's own.
    is_service: bool,
    /// What a daemon made that tried to start while it was kept from that is nobody's.
    forgives: bool,
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
            is_service: journal.header.is_of_service(),
            forgives: journal.header.is_of_service() && journal.state.is_open(),
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

    /// Takes or undoes some of the steps, once it is known that all can be; unless `force` says to do
    /// what can be done.
    pub fn apply(&self, target: Target, which: Range<usize>, force: bool) -> AppliedSteps {
        let mut applied = AppliedSteps::default();
        let survey = self.survey();
        if !force {
            applied.problems = self.obstacles_in(&survey, target);
            if !applied.problems.is_empty() {
                return applied;
            }
        }
        if let Err(error) = self.apply_some(&survey, target, which, force, &mut applied) {
            applied.problems.push(error);
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
            self.sweep(&surveyor, survey, n, &mut dirs)
                .map_err(|error| self.problem(n, &error))?;
        }
        if self.is_forgiving(survey.reached) {
            applied.set_aside = make_room(&surveyor, survey, target)
                .map_err(|error| self.problem(which.start, &error))?;
        }
        let mut order: Vec<usize> = which.collect();
        if target == Target::Before {
            order.reverse();
        }
        // Of these, new files lie beside the places that they are to take.
        let mut staged = HashSet::new();
        let mut looked_at = 0;
        for (i, n) in order.iter().copied().enumerate() {
            if i >= looked_at {
                looked_at = i + self.only_files(&order[i..]);
                // No directory gets another place between these.
                dirs = PlaceDirs::new(&self.roots);
                staged = self.stage(survey, target, &order[i..looked_at], &mut dirs);
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
                (_, _) if staged.contains(&n) => put_staged(&self.steps[n], &mut dirs),
                (_, Target::After) => self.perform(&self.steps[n]),
                (_, Target::Before) => self.undo(&self.steps[n], &mut dirs, applied),
            };
            match result {
                Ok(()) => applied.done += u64::from(self.counts(n)),
                Err(error) if force => applied.problems.push(self.problem(n, &error)),
                Err(error) => return Err(self.problem(n, &error)),
            }
        }
        Ok(())
    }

    /// How many of the steps that come next give no entry another place.
    fn only_files(&self, next: &[usize]) -> usize {
        let of_file =
            |n: &&usize| matches!(self.steps[**n], Step::Rewrite { .. } | Step::Times { .. });
        next.iter().take_while(of_file).count()
    }

    /// Makes the new files of these rewrites, beside their places, and waits once for the disk to have them all.
    /// Gives those that are prepared so; of any other, taking it says what is wrong.
    fn stage(
        &self,
        survey: &Survey,
        target: Target,
        these: &[usize],
        dirs: &mut PlaceDirs<'_>,
    ) -> HashSet<usize> {
        // Fewer wait for less by themselves than for all that others write to the filesystem.
        const FEWEST: usize = 16;
        let pending = match target {
            Target::After => StepState::Pending,
            Target::Before => StepState::Done,
        };
        let rewritten = |n: &usize| match (&self.steps[*n], &survey.states[*n]) {
            (Step::Rewrite { at, before, after }, Ok(state)) if *state == pending => Some((
                *n,
                at,
                if target == Target::After {
                    after
                } else {
                    before
                },
            )),
            _ => None,
        };
        let mut rewrites: Vec<_> = these.iter().filter_map(rewritten).collect();
        let Some(&(_, &StepPath { root, .. }, _)) = rewrites.first() else {
            return HashSet::new();
        };
        rewrites.retain(|(_, at, _)| at.root == root);
        let path = Vec::new();
        let top = self.roots.dir(&StepPath { root, path });
        let (Ok(top), FEWEST..) = (top, rewrites.len()) else {
            return HashSet::new();
        };
        let made = |(n, at, content): (usize, &StepPath, &FileContent)| {
            let text = content.text.as_bytes();
            file_ops::stage_file(dirs.parent(at).ok()?, last(at), text, content.mtime_ns).ok()?;
            Some(n)
        };
        let staged = rewrites.into_iter().filter_map(made).collect();
        match rustix::fs::syncfs(&top) {
            Ok(()) => staged,
            Err(_) => HashSet::new(),
        }
    }

    /// What stands in the way of taking or undoing all steps: one that is neither taken nor not taken, or a
    /// place that somebody else has. Changes nothing.
    pub fn obstacles(&self, target: Target) -> Vec<Problem> {
        self.obstacles_in(&self.survey(), target)
    }

    fn obstacles_in(&self, survey: &Survey, target: Target) -> Vec<Problem> {
        let places: HashSet<&StepPath> = self.steps.iter().flat_map(Step::places).collect();
        let obstacle = |n: usize| match &survey.states[n] {
            Err(error) => survey
                .matters(n, &self.steps[n], target)
                .then(|| self.problem(n, error)),
            Ok(state) if *state == wanted(target) => None,
            Ok(_) if self.is_forgiving(survey.reached) => None,
            Ok(_) => self
                .occupied(n, target)
                .or_else(|| self.holds_more(survey, n, target, &places))
                .map(|error| self.problem(n, &error)),
        };
        (0..self.steps.len()).filter_map(obstacle).collect()
    }

    /// Whether something has the place that an entry goes to, or back to, which no other step puts there or
    /// takes away.
    fn occupied(&self, n: usize, target: Target) -> Option<io::Error> {
        let Step::Rename { from, to, .. } = &self.steps[n] else {
            return None;
        };
        let (place, others) = match target {
            Target::Before => (from, &self.steps[n + 1..]),
            Target::After => (to, &self.steps[..n]),
        };
        let ours = others.iter().any(|step| step.places().contains(&place));
        match self.roots.stat(place) {
            Ok(None) => None,
            Ok(Some(_)) if ours => None,
            Ok(Some(_)) if target == Target::After => {
                Some(io::Error::other("something has its new place"))
            }
            Ok(Some(_)) => Some(io::Error::other("something new has its old place")),
            Err(error) => Some(error),
        }
    }

    /// Whether a directory that a service's run made, and that goes when it is undone, holds what no step put there.
    /// `places`: those of all steps.
    fn holds_more(
        &self,
        survey: &Survey,
        n: usize,
        target: Target,
        places: &HashSet<&StepPath>,
    ) -> Option<io::Error> {
        let (Step::MakeDir { at, .. } | Step::Staged { at, .. }) = &self.steps[n] else {
            return None;
        };
        if target == Target::After || !self.is_service {
            return None;
        }
        // Steps before a directory was renamed know what is in it by the name that it had.
        let (then, at) = (at, self.surveyor().place_now(survey, n, at));
        let is_known = |name: &Name| {
            let known = |dir: &StepPath| {
                let path = [&dir.path[..], std::slice::from_ref(name)].concat();
                let root = dir.root;
                places.contains(&StepPath { root, path })
            };
            known(then) || known(&at)
        };
        let names = self.roots.names(&at).ok()?;
        let more = names.iter().find(|name| !is_known(name))?;
        Some(io::Error::other(format!(
            "{} was made in it since",
            escaped(more.as_path())
        )))
    }

    /// Why a run that was cut short must not go on: it had not come to keep a daemon from starting, so that what
    /// there is may not be what was listed.
    pub fn not_guarded(&self) -> bool {
        let reached = self.surveyor().reached();
        let mut guards = self.steps[self.early()].iter().enumerate();
        guards.any(|(n, step)| matches!(step, Step::Block { .. }) && n >= reached)
    }

    /// How many steps are not as they should be: what a dry run counts.
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

    /// The steps that are not as they should be.
    pub fn differences(&self, target: Target) -> Vec<Problem> {
        let survey = self.survey();
        let differs = |n: &usize| {
            let why = match &survey.states[*n] {
                Ok(state) if *state == wanted(target) => return None,
                Ok(StepState::Partial) => "is half done".to_string(),
                Ok(StepState::Pending) => "is not done".to_string(),
                Ok(StepState::Done) => "is not undone".to_string(),
                // No step keeps an owner from being what it should be.
                Err(error) if matches!(self.steps[*n], Step::SetOwnership { .. }) => {
                    error.to_string()
                }
                Err(_) if !survey.matters(*n, &self.steps[*n], target) => return None,
                Err(error) => error.to_string(),
            };
            Some(self.problem(*n, &io::Error::other(why)))
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
            Ok(_) => Some(self.problem(n, &io::Error::other("is done already"))),
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
        let now = self.roots.dir(at).and_then(file_ops::mtime_ns);
        let other = is_service && now.is_ok_and(|now| now != *mtime_ns);
        other.then(|| self.problem(n, &io::Error::other("something was made or removed in it")))
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

    /// Times are only put back, and what was staged is there already.
    fn counts(&self, n: usize) -> bool {
        !matches!(self.steps[n], Step::Times { .. } | Step::Staged { .. })
    }

    fn problem(&self, n: usize, error: &io::Error) -> Problem {
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
            forgives: self.forgives,
        }
    }

    /// Once the last guard of the data has gone, a daemon may have been running on it.
    fn is_forgiving(&self, reached: usize) -> bool {
        let is_last = |n: &&usize| matches!(self.steps[**n], Step::Unblock { .. });
        let last = self.moves.iter().rev().find(is_last);
        self.forgives && last.is_none_or(|n| *n >= reached)
    }

    /// Removes what a run left that was killed before a file was in its place.
    fn sweep(
        &self,
        surveyor: &Surveyor<'_>,
        survey: &Survey,
        n: usize,
        dirs: &mut PlaceDirs<'_>,
    ) -> io::Result<()> {
        let place = match &self.steps[n] {
            Step::Rewrite { at, .. }
            | Step::Relink { at, .. }
            | Step::Create { at, .. }
            | Step::Remove { at, .. } => at,
            Step::Block { to, .. } if !survey.is_moved(n) => to,
            Step::Unblock { from, .. } if survey.is_moved(n) => from,
            _ => return Ok(()),
        };
        let place = &surveyor.place_now(survey, n, place);
        let Ok(dir) = dirs.parent(place) else {
            return Ok(());
        };
        let at = (dir, last(place));
        file_ops::remove_unfinished(at.0, at.1)?;
        match &self.steps[n] {
            Step::Block { content, .. } if guard_is_at(at, content) => {
                file_ops::remove_file(at.0, at.1)
            }
            _ => Ok(()),
        }
    }

    fn perform(&self, step: &Step) -> io::Result<()> {
        match step {
            Step::MakeDir { at, made } => self.make(at, made),
            Step::RemoveDir { at, .. } => match self.remove_dir(at) {
                // All that was carried has left it: the rest is of a daemon that was started there since.
                Err(error)
                    if self.is_service && error.kind() == io::ErrorKind::DirectoryNotEmpty =>
                {
                    Ok(())
                }
                removed => removed,
            },
            Step::Rename { from, to, .. } => self.rename(from, to),
            Step::Rewrite { at, after, .. } => {
                let dir = self.roots.parent(at)?;
                let text = after.text.as_bytes();
                file_ops::replace_file(dir.as_fd(), last(at), text, after.mtime_ns)
            }
            Step::Relink { at, after, .. } => self.relink(at, after, None),
            Step::SetOwnership { after, .. } => self.set_ownership(step, after),
            Step::Create { at, content, made } => self.create(at, content, made),
            Step::Remove { at, content, .. } => self.remove(at, content),
            Step::Block {
                from, to, content, ..
            } => self.block(from, to, content),
            Step::Unblock {
                from, to, content, ..
            } => self.unblock(from, to, content),
            Step::Staged { .. } => Err(io::Error::other("is gone")),
            Step::Times { .. } => Ok(()),
        }
    }

    fn undo(
        &self,
        step: &Step,
        dirs: &mut PlaceDirs<'_>,
        applied: &mut AppliedSteps,
    ) -> io::Result<()> {
        match step {
            Step::Staged { at, identity } => match self.unstage(at, *identity) {
                Err(error) if self.forgives && error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    let aside = aside::set_aside(&self.roots, at)?;
                    applied.set_aside.push(aside);
                    Ok(())
                }
                removed => removed,
            },
            Step::MakeDir { at, .. } => match self.remove_dir(at) {
                // What a daemon made in it, while it was kept from the rest, stays with it.
                Err(error) if self.forgives && error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    let aside = aside::set_aside(&self.roots, at)?;
                    applied.set_aside.push(aside);
                    Ok(())
                }
                removed => removed,
            },
            Step::RemoveDir { at, made } => self.make(at, made),
            Step::Rename { from, to, .. } => self.rename(to, from),
            Step::Rewrite { at, before, .. } => {
                let dir = self.roots.parent(at)?;
                let text = before.text.as_bytes();
                file_ops::replace_file(dir.as_fd(), last(at), text, before.mtime_ns)
            }
            Step::Relink {
                at,
                before,
                mtime_ns,
                ..
            } => self.relink(at, before, Some(*mtime_ns)),
            Step::SetOwnership { before, .. } => self.set_ownership(step, before),
            Step::Create { at, content, .. } => self.remove(at, content),
            Step::Remove { at, content, made } => self.create(at, content, made),
            Step::Block {
                from, to, content, ..
            } => self.unblock(to, from, content),
            Step::Unblock {
                from, to, content, ..
            } => self.block(to, from, content),
            Step::Times { at, mtime_ns } => match dirs.dir(at) {
                Ok(dir) => file_ops::set_mtime(dir, *mtime_ns),
                // It came with the run, or is gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
        }
    }

    /// Whatever has the place is renamed: that it is what is meant, or may be, was found out before. What is
    /// gone is gone.
    fn rename(&self, from: &StepPath, to: &StepPath) -> io::Result<()> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let moved =
            file_ops::move_entry((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        match moved {
            Err(error) if self.forgives && error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }

    /// Gives an entry another place and leaves a guard in the one it had.
    fn block(&self, from: &StepPath, to: &StepPath, content: &str) -> io::Result<()> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (from, to) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        // One that was killed after it made the guard has it there.
        match file_ops::stat_entry(to.0, to.1)? {
            None => file_ops::create_file(to.0, to.1, content.as_bytes(), GUARD)?,
            Some(_) if guard_is_at(to, content) => {}
            Some(_) => return Err(rustix::io::Errno::EXIST.into()),
        }
        file_ops::exchange(from, to)
    }

    /// Gives an entry the place of a guard.
    fn unblock(&self, from: &StepPath, to: &StepPath, content: &str) -> io::Result<()> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (from, to) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        // One that was killed before it removed the guard has it where the entry was.
        if !guard_is_at(from, content) {
            match file_ops::stat_entry(to.0, to.1)? {
                None => return file_ops::move_entry(from, to),
                Some(_) if guard_is_at(to, content) => file_ops::exchange(from, to)?,
                Some(_) => return Err(rustix::io::Errno::EXIST.into()),
            }
        }
        file_ops::remove_file(from.0, from.1)
    }

    fn create(&self, at: &StepPath, content: &str, made: &NewDirectory) -> io::Result<()> {
        let dir = self.roots.parent(at)?;
        file_ops::create_file(dir.as_fd(), last(at), content.as_bytes(), owner(made))
    }

    /// Removes a file if it holds this.
    fn remove(&self, at: &StepPath, content: &str) -> io::Result<()> {
        let dir = match self.roots.parent(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            dir => dir?,
        };
        match guard_is_at((dir.as_fd(), last(at)), content) {
            true => file_ops::remove_file(dir.as_fd(), last(at)),
            false => Ok(()),
        }
    }

    fn relink(&self, at: &StepPath, target: &Name, mtime_ns: Option<i64>) -> io::Result<()> {
        let dir = self.roots.parent(at)?;
        file_ops::replace_link(dir.as_fd(), last(at), &target.0, mtime_ns)
    }

    fn set_ownership(&self, step: &Step, wanted: &Ownership) -> io::Result<()> {
        let (pin, stat, now) = owned(&self.roots, step, step.places()[0])?;
        apply(&pin, stat.file_type, &now, wanted).map_err(io::Error::other)
    }

    fn make(&self, at: &StepPath, made: &NewDirectory) -> io::Result<()> {
        let dir = self.roots.parent(at)?;
        file_ops::make_dir(dir.as_fd(), last(at), owner(made))
    }

    /// Removes what was made for a run, if it is that.
    fn unstage(&self, at: &StepPath, identity: Identity) -> io::Result<()> {
        let dir = self.roots.parent(at)?;
        match file_ops::stat_entry(dir.as_fd(), last(at))? {
            None => Ok(()),
            Some(stat) if stat.identity != identity => {
                Err(io::Error::other("another inode has its place now"))
            }
            Some(stat) if stat.is_dir() => file_ops::remove_dir(dir.as_fd(), last(at)),
            Some(_) => file_ops::remove_file(dir.as_fd(), last(at)),
        }
    }

    fn remove_dir(&self, at: &StepPath) -> io::Result<()> {
        let dir = self.roots.parent(at)?;
        file_ops::remove_dir(dir.as_fd(), last(at))
    }
}

fn put_staged(step: &Step, dirs: &mut PlaceDirs<'_>) -> io::Result<()> {
    let at = step.places()[0];
    file_ops::put_staged(dirs.parent(at)?, last(at))
}

/// Anybody may read why the daemon does not start.
const GUARD: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o644),
};

fn guard_is_at((dir, name): (BorrowedFd<'_>, &[u8]), content: &str) -> bool {
    let now = file_ops::read_file(dir, name);
    now.is_ok_and(|(now, _)| now == content.as_bytes())
}

fn wanted(target: Target) -> StepState {
    match target {
        Target::Before => StepState::Pending,
        Target::After => StepState::Done,
    }
}

fn owner(made: &NewDirectory) -> Owner {
    Owner {
        uid: made.uid,
        gid: made.gid,
        mode: made.mode,
    }
}
