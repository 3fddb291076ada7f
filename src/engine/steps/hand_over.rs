//! A directory that only root enters becomes a user's, and is taken away again.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use super::Steps;
use super::error::StepError;
use super::perform::Performer;
use super::place::last;
use super::rename::{move_pinned, pin_entry};
use crate::fs::file_ops::stat_entry;
use crate::fs::{Identity, PinnedFile, Stat, apply, attributes};
use crate::journal::Step;
use crate::journal::step::NewDirectory;
use crate::ownership::{Ownership, OwnershipXattrs};

impl Steps<'_> {
    /// The early steps with which a user's tree is taken away, and those after them; of a run that takes nothing from
    /// anybody, none and all. Only root enters the tree from the first `set-ownership` on.
    pub fn around_take_over(&self) -> [Range<usize>; 2] {
        let Range { start, end } = self.early();
        let is_it = |n: &usize| matches!(self.steps[*n], Step::SetOwnership { .. });
        let taken = self.early().find(is_it).filter(|_| self.takes_over);
        let behind = taken.map_or(start, |n| n + 1);
        [start..behind, behind..end]
    }

    /// The late steps before what was carried is given to a user, or what was taken from one to root's daemon, and those from
    /// there on; of a run that does neither, all and none.
    pub fn around_hand_over(&self) -> [Range<usize>; 2] {
        let Range { start, end } = self.late();
        let is_it = |n: &usize| match self.steps[*n] {
            Step::HandOver { .. } => true,
            // With its guard the other data-root loses what keeps a daemon from it.
            Step::Unblock { .. } | Step::Remove { .. } => self.takes_over,
            _ => false,
        };
        let first = self.late().find(is_it).unwrap_or(end);
        [start..first, first..end]
    }
}

impl Performer<'_> {
    /// Renames it, then gives it to the user. In this order nobody but root comes to it until it is in its place.
    pub fn hand_over(&self, step: &Step) -> Result<(), StepError> {
        let Step::HandOver {
            from,
            to,
            entry,
            identity,
            closed,
            open,
        } = step
        else {
            return Ok(());
        };
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (old, new) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        let pin = match pin_entry(old) {
            Ok((pin, _)) => {
                check_closed(&pin, closed, open)?;
                check_entry(&pin, &entry.0, *identity)?;
                move_pinned(&pin, old, new)?;
                pin
            }
            // One that was killed between the two renamed it already, and may have given it the owner and no mode.
            Err(error) if error.is_io(io::ErrorKind::NotFound) => {
                let (pin, _) = pin_entry(new)?;
                match GivenState::of(&pin.stat()?, closed, open) {
                    Some(_) => {}
                    None => return Err(StepError::OtherInode),
                }
                check_entry(&pin, &entry.0, *identity)?;
                pin
            }
            Err(error) => return Err(error),
        };
        give(&pin, open)
    }

    /// Takes it from the user, then renames it back.
    pub fn take_back(&self, step: &Step) -> Result<(), StepError> {
        let Step::HandOver {
            from,
            to,
            entry,
            identity,
            closed,
            ..
        } = step
        else {
            return Ok(());
        };
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (old, new) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        let (pin, _) = pin_entry(new)?;
        check_entry(&pin, &entry.0, *identity)?;
        give(&pin, closed)?;
        move_pinned(&pin, new, old)
    }
}

/// Whose a directory is that is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenState {
    /// Only root enters it.
    Closed,
    /// It has the owner of one side and the mode of the other: owner and mode are changed by two calls.
    Between,
    /// It is the user's.
    Open,
}

impl GivenState {
    /// `None`: it is neither, so somebody else changed it.
    pub fn of(stat: &Stat, closed: &NewDirectory, open: &NewDirectory) -> Option<GivenState> {
        let owner = |made: &NewDirectory| (stat.uid, stat.gid) == (made.uid, made.gid);
        let mode = |made: &NewDirectory| stat.mode == made.mode;
        if !stat.is_dir() {
            return None;
        }
        match (owner(closed), owner(open), mode(closed), mode(open)) {
            (true, _, true, _) => Some(GivenState::Closed),
            (_, true, _, true) => Some(GivenState::Open),
            (true, _, _, true) | (_, true, true, _) => Some(GivenState::Between),
            _ => None,
        }
    }
}

/// Makes sure that it is what the run made: a user cannot make a directory of root's.
fn check_closed(
    pin: &PinnedFile,
    closed: &NewDirectory,
    open: &NewDirectory,
) -> Result<(), StepError> {
    match GivenState::of(&pin.stat()?, closed, open) {
        Some(GivenState::Closed) => Ok(()),
        _ => Err(StepError::OtherInode),
    }
}

/// Makes sure that the directory holds what was carried.
fn check_entry(pin: &PinnedFile, name: &[u8], identity: Identity) -> Result<(), StepError> {
    let stat = pin.stat()?;
    if !stat.is_dir() {
        return Err(StepError::OtherEntry);
    }
    let found = stat_entry(pin.as_fd(), name)?;
    match found.is_some_and(|found| found.identity == identity) {
        true => Ok(()),
        false => Err(StepError::OtherInode),
    }
}

/// Gives it this owner and mode, and no ACL.
fn give(pin: &PinnedFile, made: &NewDirectory) -> Result<(), StepError> {
    let stat = pin.stat()?;
    let now = attributes::read(pin, &stat)?;
    let wanted = Ownership::new(made.uid, made.gid, made.mode, OwnershipXattrs::default());
    Ok(apply(pin, stat.file_type, &now, &wanted)?)
}
