//! Where every step of a journal stands, found out before any is taken or undone. Changes nothing.
//!
//! Steps are taken in order and undone in the opposite order. So the last entry that is found in its new place
//! tells how far they came, and with that where every other place is now.

use std::ffi::CString;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use super::place::{PlaceDirs, StepRoots, last};
use super::{Target, path_after_move};
use crate::fs::file_ops::{self, stat_entry};
use crate::fs::{PinnedFile, Stat, attributes};
use crate::journal::Step;
use crate::journal::step::{MovedPath, NewDirectory, StepPath};
use crate::ownership::{ApplyState, Change, Ownership};

/// Where a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepState {
    /// The disk is as before it.
    Pending,
    /// Some of its system calls were made, on the way there or back.
    Partial,
    /// The disk is as after it.
    Done,
}

/// Where all steps stand.
pub(super) struct Survey {
    /// Of each step. An error: the disk is neither as before it nor as after it, or does not say.
    pub states: Vec<io::Result<StepState>>,
    /// The step behind the last one that gave an entry another place.
    pub reached: usize,
    /// The first step that is still to give an entry another place.
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

    /// Whether this entry was given its other place.
    pub fn is_moved(&self, n: usize) -> bool {
        n < self.reached
    }

    /// Whether an error of this step keeps all steps from being brought there.
    pub fn matters(&self, n: usize, step: &Step, target: Target) -> bool {
        match (target, step) {
            // Something has the place of what is to go: then that is gone.
            (Target::After, Step::Remove { .. } | Step::RemoveDir { .. }) => false,
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
    /// A run has not ended that keeps a daemon from starting: what a daemon that tried makes anew is nobody's.
    pub forgives: bool,
}

impl Surveyor<'_> {
    /// Looks at every step; `reached` is from [`Surveyor::reached`].
    pub fn survey(&self, reached: usize) -> Survey {
        let ahead = self.moves.partition_point(|n| *n < reached);
        let mut survey = Survey {
            states: Vec::new(),
            reached,
            next_move: self.moves.get(ahead).copied().unwrap_or(usize::MAX),
        };
        let mut dirs = PlaceDirs::new(self.roots);
        let mut state = |n| self.state(&survey, n, &mut dirs);
        survey.states = (0..self.steps.len()).map(&mut state).collect();
        survey
    }

    /// The step behind the last one that is found to have given an entry another place. Looks at no other steps.
    pub fn reached(&self) -> usize {
        let is_done = |n: &&usize| {
            let Some(MovedPath { to, identity, .. }) = self.steps[**n].moved() else {
                return false;
            };
            let there = self.roots.stat(to).ok().flatten();
            there.is_some_and(|stat| stat.identity == identity)
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

    /// The steps of a range that give an entry another place. There may be thousands of others between them.
    fn moves_in(&self, range: Range<usize>) -> impl DoubleEndedIterator<Item = MovedPath<'_>> {
        let first = self.moves.partition_point(|n| *n < range.start);
        let end = self.moves.partition_point(|n| *n < range.end);
        let these = self.moves.get(first..end).unwrap_or_default();
        these.iter().filter_map(|n| self.steps[*n].moved())
    }

    fn state(&self, survey: &Survey, n: usize, dirs: &mut PlaceDirs<'_>) -> io::Result<StepState> {
        let step = &self.steps[n];
        let at = |place: &StepPath| self.place_now(survey, n, place);
        match step {
            Step::Times { .. } if survey.is_ahead(n) => Ok(StepState::Pending),
            Step::Times { .. } => Ok(StepState::Done),
            Step::MakeDir { .. }
            | Step::RemoveDir { .. }
            | Step::Create { .. }
            | Step::Staged { .. }
                if survey.is_past(n) =>
            {
                Ok(StepState::Done)
            }
            Step::Staged {
                at: place,
                identity,
            } => match self.roots.stat(&at(place))? {
                None => Ok(StepState::Pending),
                Some(stat) if stat.identity == *identity => Ok(StepState::Done),
                Some(_) => Err(io::Error::other("another inode has its place now")),
            },
            Step::MakeDir { .. }
            | Step::RemoveDir { .. }
            | Step::Create { .. }
            | Step::Remove { .. }
                if survey.is_ahead(n) =>
            {
                Ok(StepState::Pending)
            }
            Step::MakeDir { at: place, made } => {
                self.directory(&at(place), made, [StepState::Pending, StepState::Done])
            }
            Step::RemoveDir { at: place, made } => {
                self.directory(&at(place), made, [StepState::Done, StepState::Pending])
            }
            Step::Create {
                at: place, content, ..
            } => self.file(&at(place), content, [StepState::Pending, StepState::Done]),
            Step::Remove {
                at: place, content, ..
            } => self.file(&at(place), content, [StepState::Done, StepState::Pending]),
            Step::Rewrite {
                at: place,
                before,
                after,
            } => {
                let place = at(place);
                let (now, _) = file_ops::read_file(dirs.parent(&place)?, last(&place))?;
                if now == after.text.as_bytes() {
                    Ok(StepState::Done)
                } else if now == before.text.as_bytes() {
                    Ok(StepState::Pending)
                } else {
                    Err(io::Error::other("the file was changed since"))
                }
            }
            Step::Relink {
                at: place,
                before,
                after,
                ..
            } => {
                let place = at(place);
                match file_ops::read_link(dirs.parent(&place)?, last(&place))? {
                    (now, _) if now == after.0 => Ok(StepState::Done),
                    (now, _) if now == before.0 => Ok(StepState::Pending),
                    _ => Err(io::Error::other("the symlink was changed since")),
                }
            }
            Step::SetOwnership {
                at: place,
                before,
                after,
                ..
            } => self.ownership(step, &at(place), before, after),
            Step::Rename { .. } | Step::Block { .. } | Step::Unblock { .. } => {
                self.moved(survey, n, step)
            }
        }
    }

    /// `[without, with]`: what it means that there is none, or one.
    fn directory(
        &self,
        at: &StepPath,
        made: &NewDirectory,
        [without, with]: [StepState; 2],
    ) -> io::Result<StepState> {
        match self.roots.stat(at)? {
            None => Ok(without),
            Some(stat) if !stat.is_dir() => Err(io::Error::other("something else has its place")),
            Some(stat) if (stat.uid, stat.gid, stat.mode) == (made.uid, made.gid, made.mode) => {
                Ok(with)
            }
            // It may have been killed between being made and getting its owner.
            Some(_) => match file_ops::is_empty(&self.roots.dir(at)?)? {
                true => Ok(StepState::Partial),
                false => Ok(with),
            },
        }
    }

    fn file(
        &self,
        at: &StepPath,
        content: &str,
        [without, with]: [StepState; 2],
    ) -> io::Result<StepState> {
        let dir = match self.roots.parent(at) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(without),
            dir => dir?,
        };
        let Some(stat) = stat_entry(dir.as_fd(), last(at))? else {
            return Ok(without);
        };
        if stat.is_dir() && !self.is_guarded(at) {
            return Err(io::Error::other("something new has its old place"));
        }
        match file_ops::read_file(dir.as_fd(), last(at)) {
            Ok((now, _)) if now == content.as_bytes() => Ok(with),
            // A daemon's, in the place of a guard that somebody removed. It is set aside where it is in the way.
            _ if self.is_guarded(at) => Ok(without),
            Ok(_) => Err(io::Error::other("the file was changed since")),
            Err(error) => Err(error),
        }
    }

    /// Files that are made in a tree itself are guards.
    pub fn is_guarded(&self, place: &StepPath) -> bool {
        self.forgives && !self.roots.lines()[place.root].steps_only
    }

    fn ownership(
        &self,
        step: &Step,
        at: &StepPath,
        before: &Ownership,
        after: &Ownership,
    ) -> io::Result<StepState> {
        let (_, stat, now) = owned(self.roots, step, at)?;
        let (before, after) = (before.clone(), after.clone());
        match (Change { before, after }).apply_state(&now, stat.file_type) {
            ApplyState::Before => Ok(StepState::Pending),
            ApplyState::Partial => Ok(StepState::Partial),
            ApplyState::After => Ok(StepState::Done),
            // Every daemon gives its data-root the owner it wants, before it finds out that it cannot start.
            ApplyState::Modified if self.forgives && at.path.is_empty() => Ok(StepState::Partial),
            ApplyState::Modified => {
                Err(io::Error::other("its owner, mode or ACL was changed since"))
            }
        }
    }

    fn moved(&self, survey: &Survey, n: usize, step: &Step) -> io::Result<StepState> {
        let Some(MovedPath { from, to, identity }) = step.moved() else {
            return Err(io::Error::other("is another kind of step"));
        };
        let is_done = survey.is_moved(n);
        let expected = self.place_now(survey, n, if is_done { to } else { from });
        let is_it = self.roots.stat(&expected)?.map(|stat| stat.identity) == Some(identity);
        // What a daemon makes anew at each start may be another inode, or gone.
        let is_remade = self.forgives && matches!(step, Step::Rename { .. });
        match (is_it || is_remade, is_done) {
            (false, _) => Err(io::Error::other("it is at neither of the two places")),
            (true, false) => Ok(StepState::Pending),
            (true, true) => match step {
                Step::Unblock { .. } if self.holds_guard(&self.place_now(survey, n, from)) => {
                    Ok(StepState::Partial)
                }
                _ => Ok(StepState::Done),
            },
        }
    }

    /// Whether a place has a file that one of the steps put there.
    pub fn holds_guard(&self, place: &StepPath) -> bool {
        let Ok(dir) = self.roots.parent(place) else {
            return false;
        };
        let Ok((now, _)) = file_ops::read_file(dir.as_fd(), last(place)) else {
            return false;
        };
        let mut contents = self.steps.iter().filter_map(Step::file_content);
        contents.any(|content| content.as_bytes() == now)
    }
}

/// The inode of a [`Step::SetOwnership`], pinned, and what it is now.
pub(super) fn owned(
    roots: &StepRoots<'_>,
    step: &Step,
    at: &StepPath,
) -> io::Result<(PinnedFile, Stat, Ownership)> {
    let Step::SetOwnership { identity, .. } = step else {
        return Err(io::Error::other("is another kind of step"));
    };
    let pin = match &at.path[..] {
        [] => roots.root(at)?.pin.try_clone()?,
        _ => PinnedFile::at(roots.parent(at)?.as_fd(), &CString::new(last(at))?)?,
    };
    let stat = pin.stat()?;
    if stat.identity != *identity {
        return Err(io::Error::other("another inode has its place now"));
    }
    let now = attributes::read(&pin, &stat).map_err(io::Error::other)?;
    Ok((pin, stat, now))
}
