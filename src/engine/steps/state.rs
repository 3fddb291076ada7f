//! Where one step stands: the disk compared with what is before and after it.

use std::io;
use std::os::fd::AsFd;

use super::error::StepError;
use super::hand_over::GivenState;
use super::place::{PlaceDirs, last, owned};
use super::survey::{StepState, Survey, Surveyor, WithoutWith};
use crate::fs::Identity;
use crate::fs::file_ops::{self, stat_entry};
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::{ApplyState, Change, Ownership};

/// Of a step that makes it.
const MAKES: WithoutWith = [StepState::Pending, StepState::Done];
/// Of a step that removes it.
const REMOVES: WithoutWith = [StepState::Done, StepState::Pending];

impl Surveyor<'_> {
    /// The state of one step on disk.
    pub(super) fn state(
        &self,
        survey: &Survey,
        n: usize,
        dirs: &mut PlaceDirs<'_>,
    ) -> Result<StepState, StepError> {
        let step = &self.steps[n];
        if let Some(state) = state_by_order(survey, n, step) {
            return Ok(state);
        }
        let now = |place: &StepPath| self.place_now(survey, n, place);
        match step {
            Step::MakeDir { at, made } => self.directory(&now(at), made, MAKES),
            Step::RemoveDir { at, made } => self.directory(&now(at), made, REMOVES),
            Step::Create { at, content, .. } => self.file(&now(at), &content.0, MAKES),
            Step::Remove { at, content, .. } => self.file(&now(at), content.as_bytes(), REMOVES),
            Step::MakeMountPoint { at, .. } => self.mount_point(&now(at), MAKES),
            Step::RemoveMountPoint { at, .. } => self.mount_point(&now(at), REMOVES),
            Step::MountExchanged { .. } => self.mount_state(survey, n, MAKES),
            Step::UnmountExchanged { .. } => self.mount_state(survey, n, REMOVES),
            Step::Rewrite { at, before, after } => {
                let at = now(at);
                let (text, _) = file_ops::read_file(dirs.parent(&at)?, last(&at))?;
                either(&text, before.text.as_bytes(), after.text.as_bytes())
                    .ok_or(StepError::FileChanged)
            }
            Step::Relink {
                at, before, after, ..
            } => {
                let at = now(at);
                let (target, _) = file_ops::read_link(dirs.parent(&at)?, last(&at))?;
                either(&target, &before.0, &after.0).ok_or(StepError::SymlinkChanged)
            }
            Step::Staged { at, identity, .. } => match self.roots.stat(&now(at))? {
                None => Ok(StepState::Pending),
                Some(stat) if stat.identity == *identity => Ok(StepState::Done),
                Some(_) => Err(StepError::OtherInode),
            },
            Step::SetOwnership {
                at,
                identity,
                before,
                after,
            } => self.ownership(&now(at), *identity, (before, after)),
            Step::Rename { from, to, identity }
            | Step::Block {
                from, to, identity, ..
            }
            | Step::Unblock {
                from, to, identity, ..
            } => {
                let place = if survey.is_moved(n) { to } else { from };
                self.moved(survey, n, (from, place), *identity)
            }
            Step::HandOver {
                from,
                to,
                closed,
                open,
                ..
            } => self.handed_over(survey, n, [from, to], [closed, open]),
            Step::Times { .. } => Ok(StepState::Done),
            // Asked again, until something that depends on it is done.
            Step::Expect { .. } => Ok(match survey.is_past(n) {
                true => StepState::Done,
                false => StepState::Pending,
            }),
        }
    }

    fn directory(
        &self,
        at: &StepPath,
        made: &NewDirectory,
        [without, with]: WithoutWith,
    ) -> Result<StepState, StepError> {
        match self.roots.stat(at)? {
            None => Ok(without),
            // It was removed, and is to be made again.
            Some(stat) if !stat.is_dir() && without == StepState::Done => {
                Err(StepError::OldPlaceTaken)
            }
            Some(stat) if !stat.is_dir() => Err(StepError::OtherEntry),
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
        content: &[u8],
        [without, with]: WithoutWith,
    ) -> Result<StepState, StepError> {
        let dir = match self.roots.parent(at) {
            Err(error) if error.is_io(io::ErrorKind::NotFound) => return Ok(without),
            dir => dir?,
        };
        let Some(stat) = stat_entry(dir.as_fd(), last(at))? else {
            return Ok(without);
        };
        if stat.is_dir() && !self.is_guarded(at) {
            return Err(StepError::OldPlaceTaken);
        }
        match file_ops::read_file(dir.as_fd(), last(at)) {
            Ok((now, _)) if now == content => Ok(with),
            // A daemon's, in the place of a guard that somebody removed. It is set aside where it is in the way.
            _ if self.is_guarded(at) => Ok(without),
            Ok(_) => Err(StepError::FileChanged),
            Err(error) => Err(error.into()),
        }
    }

    /// Files that are made in a tree itself are guards.
    pub fn is_guarded(&self, place: &StepPath) -> bool {
        self.forgives && !self.roots.lines()[place.root].steps_only
    }

    fn ownership(
        &self,
        at: &StepPath,
        identity: Identity,
        (before, after): (&Ownership, &Ownership),
    ) -> Result<StepState, StepError> {
        let (_, stat, now) = owned(self.roots, at, identity)?;
        let (before, after) = (before.clone(), after.clone());
        match (Change { before, after }).apply_state(&now, stat.file_type) {
            ApplyState::Before => Ok(StepState::Pending),
            ApplyState::Partial => Ok(StepState::Partial),
            ApplyState::After => Ok(StepState::Done),
            // Every daemon gives its data-root the owner it wants, before it finds out that it cannot start.
            ApplyState::Modified if self.forgives && self.is_a_daemons_top(at) => {
                Ok(StepState::Partial)
            }
            ApplyState::Modified => Err(StepError::OwnershipChanged),
        }
    }

    /// The data-root of a plain daemon, or that of a remapped one, which the run keeps under another name.
    fn is_a_daemons_top(&self, at: &StepPath) -> bool {
        let is_renamed = |step: &Step| matches!(step, Step::Rename { from, .. } if from == at);
        at.path.is_empty() || self.steps.iter().any(is_renamed)
    }

    fn moved(
        &self,
        survey: &Survey,
        n: usize,
        (from, place): (&StepPath, &StepPath),
        identity: Identity,
    ) -> Result<StepState, StepError> {
        let step = &self.steps[n];
        let is_done = survey.is_moved(n);
        let expected = self.place_now(survey, n, place);
        let there = self.roots.stat(&expected)?;
        let is_it = there.is_some_and(|stat| stat.identity == identity && !stat.mount_root);
        // What a daemon makes anew at each start may be another inode, or gone.
        let is_remade = self.forgives && matches!(step, Step::Rename { .. });
        match (is_it || is_remade, is_done) {
            (false, _) => Err(StepError::Lost),
            (true, false) => Ok(StepState::Pending),
            (true, true) => match step {
                Step::Unblock { .. } if self.holds_guard(&self.place_now(survey, n, from)) => {
                    Ok(StepState::Partial)
                }
                _ => Ok(StepState::Done),
            },
        }
    }

    /// Where a [`Step::HandOver`] stands: it is renamed first, then gets its owner, then its mode; undone, it gets both
    /// before it is renamed.
    fn handed_over(
        &self,
        survey: &Survey,
        n: usize,
        [from, to]: [&StepPath; 2],
        [closed, open]: [&NewDirectory; 2],
    ) -> Result<StepState, StepError> {
        if survey.is_ahead(n) {
            return Ok(StepState::Pending);
        }
        let is_done = survey.is_moved(n);
        let expected = self.place_now(survey, n, if is_done { to } else { from });
        let Some(stat) = self.roots.stat(&expected)? else {
            return Err(StepError::Lost);
        };
        match (is_done, GivenState::of(&stat, closed, open)) {
            (false, Some(GivenState::Closed)) => Ok(StepState::Pending),
            (true, Some(GivenState::Open)) => Ok(StepState::Done),
            (true, Some(GivenState::Closed | GivenState::Between)) => Ok(StepState::Partial),
            _ => Err(StepError::OwnershipChanged),
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
        contents.any(|content| content == now)
    }
}

/// The state that follows from the order of the steps, without reading the disk.
fn state_by_order(survey: &Survey, n: usize, step: &Step) -> Option<StepState> {
    match step {
        Step::Times { .. } if survey.is_ahead(n) => Some(StepState::Pending),
        Step::Times { .. } => Some(StepState::Done),
        // It may be gone since, or another one be there.
        Step::MakeDir { .. }
        | Step::RemoveDir { .. }
        | Step::Create { .. }
        | Step::MakeMountPoint { .. }
        | Step::RemoveMountPoint { .. }
        | Step::Staged { .. }
            if survey.is_past(n) =>
        {
            Some(StepState::Done)
        }
        Step::MakeDir { .. }
        | Step::RemoveDir { .. }
        | Step::Create { .. }
        | Step::Remove { .. }
        | Step::MakeMountPoint { .. }
        | Step::RemoveMountPoint { .. }
        | Step::MountExchanged { .. }
            if survey.is_ahead(n) =>
        {
            Some(StepState::Pending)
        }
        _ => None,
    }
}

/// Which of the two `now` is; `None`: neither.
fn either(now: &[u8], before: &[u8], after: &[u8]) -> Option<StepState> {
    match now {
        now if now == after => Some(StepState::Done),
        now if now == before => Some(StepState::Pending),
        _ => None,
    }
}
