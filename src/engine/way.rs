//! The way to the directory that a replay is at.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::fs::process;
use crate::fs::stat::stat;
use crate::record::Name;

/// The way to the directory a replay is at, as open handles: each name is opened once, from the
/// handle before it, and followed never.
#[derive(Default)]
pub(super) struct Way {
    pub(super) levels: Vec<Level>,
    open: usize,
    /// Known not to lead anywhere from this level on.
    broken: Option<(usize, Errno)>,
}

pub(super) struct Level {
    pub(super) name: Name,
    fd: Option<OwnedFd>,
}

const ON_THE_WAY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Handles kept open; deeper ways close the outer ones and open them again when needed.
const MOST_OPEN: usize = 256;

impl Way {
    /// Keeps the outer `keep` levels and turns to `names` below them.
    pub(super) fn go(&mut self, keep: usize, names: &[Name]) {
        for level in self.levels.drain(keep.min(self.levels.len())..) {
            self.open -= usize::from(level.fd.is_some());
        }
        let names = names.iter().cloned();
        self.levels
            .extend(names.map(|name| Level { name, fd: None }));
        if self.broken.is_some_and(|(level, _)| level >= keep) {
            self.broken = None;
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.levels.iter().map(|level| &level.name.0[..])
    }

    /// The directory's handle. `within`: the device of a tree that mounts in it are no part of.
    ///
    /// # Errors
    /// `EXDEV` for such a mount.
    pub(super) fn open<'r>(
        &'r mut self,
        root: BorrowedFd<'r>,
        within: Option<u64>,
    ) -> rustix::io::Result<BorrowedFd<'r>> {
        if let Some((_, errno)) = self.broken {
            return Err(errno);
        }
        let last_open = self.levels.iter().rposition(|level| level.fd.is_some());
        for i in last_open.map_or(0, |i| i + 1)..self.levels.len() {
            let parent = match i.checked_sub(1).and_then(|i| self.levels[i].fd.as_ref()) {
                Some(fd) => fd.as_fd(),
                None => root,
            };
            let name = &self.levels[i].name.0[..];
            let opened = rustix::fs::openat(parent, name, ON_THE_WAY, Mode::empty());
            let inside = opened.and_then(|fd| match within {
                Some(dev) if stat(&fd)?.crosses_mount(dev) => Err(Errno::XDEV),
                _ => Ok(fd),
            });
            match inside {
                Ok(fd) => {
                    self.levels[i].fd = Some(fd);
                    self.open += 1;
                }
                Err(errno) => {
                    self.broken = Some((i, errno));
                    return Err(errno);
                }
            }
            self.close_outer(i);
        }
        Ok(self
            .levels
            .last()
            .and_then(|level| level.fd.as_ref())
            .map_or(root, AsFd::as_fd))
    }

    /// Closes the outer half when too many are open; `keep` and what follows it stay.
    fn close_outer(&mut self, keep: usize) {
        let most = MOST_OPEN.min(process::descriptors_for_directories());
        if self.open < most {
            return;
        }
        let mut surplus = most / 2;
        for level in self.levels[..keep]
            .iter_mut()
            .filter(|level| level.fd.is_some())
        {
            level.fd = None;
            self.open -= 1;
            surplus -= 1;
            if surplus == 0 {
                return;
            }
        }
    }
}
