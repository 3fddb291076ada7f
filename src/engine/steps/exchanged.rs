//! A directory that is mounted on another one with exchanged owners: whether it is, mounting and unmounting it.

use std::io;

use jiff::Timestamp;

use rustix::fs::{Mode, OFlags};

use super::place::{StepRoots, last};
use super::survey::{StepState, Survey, Surveyor};
use crate::fs::file_ops::{mtime_ns, set_mtime};
use crate::fs::idmapped::is_idmapped;
use crate::fs::idmapped_mount::{DetachedMount, MountIdentity, MountOptions, Unmounting, unmount};
use crate::fs::mountinfo;
use crate::idmap::{IdMap, MountMap};
use crate::journal::Step;
use crate::journal::step::StepPath;

/// Where a directory is mounted with exchanged owners.
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
    pub fn is_mounted(&self) -> io::Result<bool> {
        let Some(there) = self.roots.stat(self.at)? else {
            return Ok(false);
        };
        if !there.mount_root {
            return Ok(false);
        }
        let source = self.roots.stat(self.source)?;
        let Some(source) = source.filter(|it| it.identity == there.identity) else {
            return Err(io::Error::other("something else is mounted there"));
        };
        let seen = MountMap::exchange(self.map).visible(source.uid, source.gid);
        let mounts = mountinfo::of_this_thread()?;
        match is_idmapped(&self.top()?, &mounts)? && seen == (Some(there.uid), Some(there.gid)) {
            true => Ok(true),
            false => Err(io::Error::other(
                "it is mounted there with other owners; `findmnt` shows it",
            )),
        }
    }

    /// What is seen at the mount point.
    fn top(&self) -> io::Result<std::os::fd::OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = self.roots.parent(self.at)?;
        Ok(rustix::fs::openat(
            parent,
            last(self.at),
            flags,
            Mode::empty(),
        )?)
    }

    /// Mounts it, unless it is.
    pub fn mount(&self, time: Option<i64>) -> io::Result<()> {
        if self.is_mounted()? {
            return Ok(());
        }
        let source = self.roots.dir(self.source)?;
        if let Some(time) = time {
            set_mtime(&source, time)?;
            rustix::fs::fsync(&source)?;
        }
        let map = MountMap::exchange(self.map);
        let mount = DetachedMount::of(&source, &map, MountOptions::default());
        let attached = mount.and_then(|mount| {
            // Refused by the mount point: in the words of the one above.
            let target = self.top();
            let target = target.map_err(|error| {
                let errno = rustix::io::Errno::from_io_error(&error);
                let errno = errno.unwrap_or(rustix::io::Errno::IO);
                crate::fs::idmapped_mount::IdmappedMountError::Call("openat", errno)
            })?;
            mount.attach(target)
        });
        attached.map(drop).map_err(io::Error::other)
    }

    /// Unmounts it, as often as it is mounted: a daemon that was killed leaves a mount of its root on itself.
    pub fn unmount(&self) -> io::Result<()> {
        while self.is_mounted()? {
            let top = self.top()?;
            let mount = MountIdentity::of(&top)?;
            // An open handle would be a use of it.
            drop(top);
            let path = self.roots.path(self.at);
            unmount(&path, &mount, Unmounting::Unused).map_err(io::Error::other)?;
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

    /// `[without, with]`: what it means that it is not mounted, or is.
    pub(super) fn mount_state(
        &self,
        survey: &Survey,
        n: usize,
        [without, with]: [StepState; 2],
    ) -> io::Result<StepState> {
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

    /// Why a mount is not undone: somebody has worked in what it shows.
    pub(super) fn was_used(&self, survey: &Survey, n: usize) -> Option<io::Error> {
        let Step::MountExchanged { mtime_ns: then, .. } = &self.steps[n] else {
            return None;
        };
        // Of a run that has not ended, what is not mounted may not have been mounted yet.
        let is_mounted = matches!(survey.states[n], Ok(StepState::Done));
        if !is_mounted && (self.forgives || survey.is_ahead(n)) {
            return None;
        }
        let (source, _) = self.mount_places(survey, n)?;
        let now = self.roots.dir(&source).and_then(mtime_ns).ok()?;
        (now != *then).then(|| io::Error::other("a daemon has been started on it since"))
    }

    /// Why what was mounted is not mounted again: its directory has been worked in since the run ended, where owners
    /// mean something else than through the mount.
    pub(super) fn was_used_since(
        &self,
        survey: &Survey,
        n: usize,
        finished: Timestamp,
    ) -> Option<io::Error> {
        let Step::UnmountExchanged { .. } = &self.steps[n] else {
            return None;
        };
        let (source, _) = self.mount_places(survey, n)?;
        let changed = self.roots.dir(&source).and_then(mtime_ns).ok()?;
        (i128::from(changed) > finished.as_nanosecond())
            .then(|| io::Error::other("a daemon has been started on it since"))
    }

    /// Where a mount point stands, [without, with] it.
    pub(super) fn mount_point(
        &self,
        at: &StepPath,
        [without, with]: [StepState; 2],
    ) -> io::Result<StepState> {
        match self.roots.stat(at)? {
            None => Ok(without),
            // Something is mounted on it.
            Some(found) if found.mount_root => Ok(with),
            Some(found) if found.is_dir() && found.immutable => Ok(with),
            Some(found) if found.is_dir() && self.is_empty(at)? => Ok(StepState::Partial),
            Some(_) => Err(io::Error::other("something else has its place")),
        }
    }

    fn is_empty(&self, at: &StepPath) -> io::Result<bool> {
        crate::fs::file_ops::is_empty(&self.roots.dir(at)?)
    }
}
