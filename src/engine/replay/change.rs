//! One inode of a journal: compared with what it is now, and changed.

use rustix::io::Errno;

use super::guard::InodeGuard;
use super::job::{Replay, ReplayMode};
use super::locator::EntryProblem;
use crate::engine::chown_check::{ChangeError, ChownCheck};
use crate::engine::target::Target;
use crate::engine::{ProblemKind, Stats};
use crate::fs::{self, LookupEntry, PinnedFile, Stat, attributes};
use crate::journal::Transition;
use crate::ownership::{ApplyState, Change, FileType, Flags, Ownership, OwnershipXattrs};

/// Compares and changes inodes, for one thread.
pub(super) struct Changer<'a> {
    replay: &'a Replay<'a>,
    chown_check: ChownCheck,
    /// Nothing is to be undone: the run ended before it changed anything, and whoever has used the trees since is no
    /// conflict.
    pub never_begun: bool,
    /// What was counted.
    pub stats: Stats,
}

/// An inode that is to be changed.
pub(super) struct ToChange {
    pub stat: Stat,
    pub pin: PinnedFile,
    /// Flags that it has, and those that it has after.
    pub flags: (Flags, Flags),
    pub now: Ownership,
}

impl<'a> Changer<'a> {
    /// One thread's.
    pub fn new(replay: &'a Replay<'a>) -> Changer<'a> {
        Changer {
            replay,
            chown_check: ChownCheck::default(),
            never_begun: replay.target == Target::Before
                && replay.act != ReplayMode::Report
                && !replay.journal.may_have_begun(),
            stats: Stats::default(),
        }
    }

    /// Whether an inode that is only known by its numbers is to be changed.
    pub fn wants(&self, stat: &Stat, transition: &Transition) -> bool {
        let Transition { change, held, .. } = transition;
        let now = Ownership::new(stat.uid, stat.gid, stat.mode, OwnershipXattrs::default());
        let differs = now != *self.replay.target.side(change) || !held.is_empty();
        self.replay.act == ReplayMode::Change && differs
    }

    /// Compares the inode that is meant with what is wanted; what is to be changed is given back.
    pub fn compare(
        &mut self,
        entry: LookupEntry,
        transition: &Transition,
    ) -> Result<Option<ToChange>, EntryProblem> {
        let conflict = |reason: &str| (ProblemKind::Conflict, reason.to_string());
        let failed = |reason: String| (ProblemKind::Failed, reason);
        let LookupEntry {
            stat, present, pin, ..
        } = entry;
        let change = &transition.change;
        let now = attributes::read_entry(pin.as_ref(), &stat, present)
            .and_then(|now| {
                let read = (now, transition.file_type);
                attributes::with_overlay_of(change, pin.as_ref(), read)
            })
            .map_err(|error| failed(error.to_string()))?;
        let target = self.replay.target;
        let (wanted, other) = (target.side(change), target.other(change));
        let flags = self.flags(stat.flags(), transition.held);
        if now == *wanted {
            // It may have been killed before it put the flags back.
            if let Some(pin) = &pin
                && self.lost_flags(&stat, transition.held)
                && self.replay.act == ReplayMode::Change
            {
                self.apply((&stat, pin), flags, &now, transition)?;
            }
            self.stats.already += 1;
            return Ok(None);
        }
        match self.replay.act {
            ReplayMode::Report => {
                let (is, should) = (summary(&now), summary(wanted));
                return Err(conflict(&format!("is {is}, and should be {should}")));
            }
            _ if !self.may_change(change, &now, transition.file_type) => {
                self.stats.forcible += u64::from(!self.never_begun);
                let (is, was) = (summary(&now), summary(other));
                return Err(conflict(&format!(
                    "was changed since: it is {is}, not {was}"
                )));
            }
            ReplayMode::Count => {
                self.count(transition);
                return Ok(None);
            }
            ReplayMode::Change => {}
        }
        // What differs from what is wanted was pinned.
        let pin = pin.ok_or_else(|| failed(Errno::STALE.to_string()))?;
        Ok(Some(ToChange {
            stat,
            pin,
            flags,
            now,
        }))
    }

    /// The flags of an inode that are cleared before it is changed, and those that it has after:
    /// while a run has not ended, one that it took for a moment is put back; later, whoever cleared
    /// it did so on purpose.
    fn flags(&self, now: Flags, held: Flags) -> (Flags, Flags) {
        let has = now.and(held);
        match self.replay.accept_partial {
            true => (has, held),
            false => (has, has),
        }
    }

    /// Whether an inode lacks flags that were taken from it for a moment.
    fn lost_flags(&self, stat: &Stat, held: Flags) -> bool {
        let (_, after) = self.flags(stat.flags(), held);
        !after.without(stat.flags()).is_empty()
    }

    /// Changes one inode.
    pub fn apply(
        &mut self,
        (stat, pin): (&Stat, &PinnedFile),
        flags: (Flags, Flags),
        now: &Ownership,
        transition: &Transition,
    ) -> Result<(), EntryProblem> {
        let change = &transition.change;
        let forced = self.replay.force
            && self.replay.target == Target::Before
            && !self.is_ours(change, now, transition.file_type);
        let given_back = forced.then(|| change.give_back(now));
        let wanted = given_back
            .as_ref()
            .unwrap_or(self.replay.target.side(change));
        let guard = self.guard(pin, transition)?;
        self.stats.begun += 1;
        fs::apply_despite(pin, transition.file_type, flags, now, wanted)
            .map_err(ChangeError::from)
            .and_then(|()| self.check_kept(stat, pin, now, wanted))
            .map_err(|error| (ProblemKind::Failed, error.to_string()))?;
        if let Some(guard) = guard {
            guard.check(pin, wanted)?;
        }
        if wanted == self.replay.target.side(change) {
            return Ok(());
        }
        self.count(transition);
        let (is, was) = (summary(wanted), summary(&change.before));
        let reason = format!(
            "its owner is restored, and other changes since the run stay: it is {is}, and was {was}"
        );
        Err((ProblemKind::Conflict, reason))
    }

    /// Of an inode that a user had: makes sure that nobody but the run has changed it, or can.
    fn guard(
        &self,
        pin: &PinnedFile,
        transition: &Transition,
    ) -> Result<Option<InodeGuard>, EntryProblem> {
        match &self.replay.unchanged {
            Some(window) => {
                let users = self.replay.target.other(&transition.change);
                InodeGuard::of(pin, transition, (users, window)).map(Some)
            }
            None => Ok(None),
        }
    }

    /// Makes sure that the filesystem did what it said.
    fn check_kept(
        &mut self,
        stat: &Stat,
        pin: &PinnedFile,
        before: &Ownership,
        after: &Ownership,
    ) -> Result<(), ChangeError> {
        let inode = (stat.dev, stat.identity);
        Ok(self.chown_check.check(inode, pin, before, after)?)
    }

    /// Counts an inode that was brought, or is to be.
    pub fn count(&mut self, transition: &Transition) {
        let change = match self.replay.target {
            Target::Before => transition.change.clone().swapped(),
            Target::After => transition.change.clone(),
        };
        self.stats.add_changes(
            &Transition {
                change,
                ..transition.clone()
            },
            1,
        );
    }

    fn may_change(&self, change: &Change, now: &Ownership, file_type: FileType) -> bool {
        self.replay.force || self.is_ours(change, now, file_type)
    }

    /// Whether an inode is what the run, or its undoing, left of it.
    fn is_ours(&self, change: &Change, now: &Ownership, file_type: FileType) -> bool {
        match change.apply_state(now, file_type) {
            ApplyState::Before | ApplyState::After => true,
            ApplyState::Partial => self.replay.accept_partial,
            ApplyState::Modified => false,
        }
    }
}

/// An ownership in a few words, for messages.
fn summary(ownership: &Ownership) -> String {
    let xattrs = match (&ownership.xattrs, ownership.overlay().is_empty()) {
        (Some(_), true) => " with ACL or capability",
        (Some(_), false) => " with attributes of overlayfs",
        (None, _) => "",
    };
    let Ownership { uid, gid, mode, .. } = ownership;
    format!("{uid}:{gid} {mode}{xattrs}")
}
