//! Where one step stands: the disk compared with what is before and after it.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;

use super::place::{PlaceDirs, StepRoots, last};
use super::survey::{StepState, Survey, Surveyor};
use crate::fs::file_ops::{self, stat_entry};
use crate::fs::{PinnedFile, Stat, attributes};
use crate::journal::Step;
use crate::journal::step::{MovedPath, NewDirectory, StepPath};
use crate::ownership::{ApplyState, Change, Ownership};

impl Surveyor<'_> {
    /// Where one step stands.
    pub(super) fn state(
        &self,
        survey: &Survey,
        n: usize,
        dirs: &mut PlaceDirs<'_>,
    ) -> io::Result<StepState> {
        let step = &self.steps[n];
        let at = |place: &StepPath| self.place_now(survey, n, place);
        match step {
            Step::Times { .. } if survey.is_ahead(n) => Ok(StepState::Pending),
            Step::Times { .. } => Ok(StepState::Done),
            Step::MakeDir { .. }
            | Step::RemoveDir { .. }
            | Step::Create { .. }
            | Step::MakeMountPoint { .. }
            | Step::RemoveMountPoint { .. }
            | Step::Staged { .. }
                if survey.is_past(n) =>
            {
                Ok(StepState::Done)
            }
            Step::Staged {
                at: place,
                identity,
                ..
            } => match self.roots.stat(&at(place))? {
                None => Ok(StepState::Pending),
                Some(stat) if stat.identity == *identity => Ok(StepState::Done),
                Some(_) => Err(io::Error::other("another inode has its place now")),
            },
            Step::MakeDir { .. }
            | Step::RemoveDir { .. }
            | Step::Create { .. }
            | Step::Remove { .. }
            | Step::MakeMountPoint { .. }
            | Step::RemoveMountPoint { .. }
            | Step::MountExchanged { .. }
                if survey.is_ahead(n) =>
            {
                Ok(StepState::Pending)
            }
            Step::MakeDir { at: place, made } => {
                self.directory(&at(place), made, [StepState::Pending, StepState::Done])
            }
            Step::MakeMountPoint { at: place, .. } => {
                self.mount_point(&at(place), [StepState::Pending, StepState::Done])
            }
            Step::RemoveMountPoint { at: place, .. } => {
                self.mount_point(&at(place), [StepState::Done, StepState::Pending])
            }
            Step::MountExchanged { .. } => {
                self.mount_state(survey, n, [StepState::Pending, StepState::Done])
            }
            Step::UnmountExchanged { .. } => {
                self.mount_state(survey, n, [StepState::Done, StepState::Pending])
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
                let (before, after) = (before.text.as_bytes(), after.text.as_bytes());
                either(&now, before, after, "the file was changed since")
            }
            Step::Relink {
                at: place,
                before,
                after,
                ..
            } => {
                let place = at(place);
                let (now, _) = file_ops::read_link(dirs.parent(&place)?, last(&place))?;
                either(&now, &before.0, &after.0, "the symlink was changed since")
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
        let there = self.roots.stat(&expected)?;
        let is_it = there.is_some_and(|stat| stat.identity == identity && !stat.mount_root);
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

/// Which of the two `now` is; `otherwise`: why it is neither.
fn either(now: &[u8], before: &[u8], after: &[u8], otherwise: &str) -> io::Result<StepState> {
    match now {
        now if now == after => Ok(StepState::Done),
        now if now == before => Ok(StepState::Pending),
        _ => Err(io::Error::other(otherwise)),
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
