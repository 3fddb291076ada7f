//! A directory that is mounted on another one with exchanged owners: whether it is, mounting and unmounting it.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};

use super::error::StepError;
use super::place::{StepRoots, last};
use super::survey::{StepState, Survey, Surveyor, WithoutWith};
use super::wanted;
use crate::engine::target::Target;
use crate::fs::containing_mount::is_idmapped;
use crate::fs::file_ops::{self, set_mtime};
use crate::fs::idmapped_mount::{DetachedMount, MountIdentity, MountOptions, Unmounting, unmount};
use crate::fs::mountinfo;
use crate::idmap::{IdMap, MountMap};
use crate::journal::Step;
use crate::journal::step::StepPath;

/// A mount of a directory with exchanged owners.
#[derive(Clone, Copy)]
pub(super) struct Exchanged<'a> {
    pub roots: &'a StepRoots<'a>,
    pub map: &'a IdMap,
    pub source: &'a StepPath,
    pub at: &'a StepPath,
}

impl Exchanged<'_> {
    /// Whether it is mounted there.
    ///
    /// # Errors
    /// Something else is, or the kernel does not tell.
    pub fn is_mounted(&self) -> Result<bool, StepError> {
        let Some(there) = self.roots.stat(self.at)? else {
            return Ok(false);
        };
        if !there.mount_root {
            return Ok(false);
        }
        let source = self.roots.stat(self.source)?;
        let Some(source) = source.filter(|source| source.identity == there.identity) else {
            return Err(StepError::OtherMount);
        };
        let seen = MountMap::exchange(self.map).visible(source.uid, source.gid);
        let mounts = mountinfo::of_this_thread()?;
        match is_idmapped(&self.top()?, &mounts)? && seen == (Some(there.uid), Some(there.gid)) {
            true => Ok(true),
            false => Err(StepError::OtherOwners),
        }
    }

    /// What is seen at the mount point.
    fn top(&self) -> Result<OwnedFd, StepError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.roots.parent(self.at)?;
        let name = last(self.at);
        Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
    }

    /// Mounts it, unless it is.
    pub fn mount(&self, time: Option<i64>) -> Result<(), StepError> {
        if self.is_mounted()? {
            return Ok(());
        }
        let source = self.roots.dir(self.source)?;
        if let Some(time) = time {
            set_mtime(&source, time)?;
            rustix::fs::fsync(&source)?;
        }
        let map = MountMap::exchange(self.map);
        let mount = DetachedMount::of(&source, &map, MountOptions::default())?;
        mount.attach(self.top()?)?;
        Ok(())
    }

    /// Unmounts it, as often as it is mounted: a killed daemon leaves a mount of its root on
    /// itself.
    pub fn unmount(&self) -> Result<(), StepError> {
        while self.is_mounted()? {
            let top = self.top()?;
            let mount = MountIdentity::of(&top)?;
            // An open handle would be a use of it.
            drop(top);
            let path = self.roots.path(self.at);
            unmount(&path, &mount, Unmounting::Unused)?;
        }
        Ok(())
    }
}

impl Surveyor<'_> {
    /// The places of a mount as they are now, of a step that is about one.
    pub(super) fn mount_places(&self, survey: &Survey, n: usize) -> Option<(StepPath, StepPath)> {
        let (Step::MountExchanged { source, at, .. } | Step::UnmountExchanged { source, at }) =
            &self.steps[n]
        else {
            return None;
        };
        let now = |place| self.place_now(survey, n, place);
        Some((now(source), now(at)))
    }

    pub(super) fn mount_state(
        &self,
        survey: &Survey,
        n: usize,
        [without, with]: WithoutWith,
    ) -> Result<StepState, StepError> {
        let Some((source, at)) = self.mount_places(survey, n) else {
            return Ok(without);
        };
        let exchanged = Exchanged {
            roots: self.roots,
            map: self.map,
            source: &source,
            at: &at,
        };
        exchanged.is_mounted().map(|mounted| match mounted {
            true => with,
            false => without,
        })
    }

    /// Why a mount is neither made nor removed: something is mounted below it. That would keep it from being unmounted, or
    /// be hidden by it.
    pub(super) fn mounted_below(
        &self,
        survey: &Survey,
        n: usize,
        target: Target,
    ) -> Option<StepError> {
        let (source, at) = self.mount_places(survey, n)?;
        let state = survey.states[n].as_ref().ok()?;
        let is_mount = matches!(self.steps[n], Step::MountExchanged { .. });
        let dir = match (is_mount, state) {
            _ if *state == wanted(target) => return None,
            (true, StepState::Done) | (false, StepState::Pending) => at,
            _ => source,
        };
        mountinfo::first_below(&self.roots.path(&dir)).map(StepError::MountedBelow)
    }

    /// Where a mount point stands.
    pub(super) fn mount_point(
        &self,
        at: &StepPath,
        [without, with]: WithoutWith,
    ) -> Result<StepState, StepError> {
        match self.roots.stat(at)? {
            None => Ok(without),
            // Something is mounted on it.
            Some(stat) if stat.mount_root => Ok(with),
            Some(stat) if stat.is_dir() && stat.immutable => Ok(with),
            Some(stat) if stat.is_dir() && self.is_empty(at)? => Ok(StepState::Partial),
            // Of a daemon that was started while the run was cut short. It is set aside where it is in the way.
            Some(stat) if stat.is_dir() && self.forgives => Ok(without),
            // It was removed, and is to be made again.
            Some(_) if without == StepState::Done => Err(StepError::OldPlaceTaken),
            Some(_) => Err(StepError::OtherEntry),
        }
    }

    fn is_empty(&self, at: &StepPath) -> Result<bool, StepError> {
        Ok(file_ops::is_empty(&self.roots.dir(at)?)?)
    }
}
