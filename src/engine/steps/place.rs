//! Where the places of steps are on the disk, opened without following anything.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::error::StepError;
use crate::engine::missing_tree::NotTheTree;
use crate::engine::reopen;
use crate::fs::file_ops::stat_entry;
use crate::fs::stat::stat;
use crate::fs::{Identity, PinnedFile, Root, Stat, attributes};
use crate::journal::root_line::RootLine;
use crate::journal::step::StepPath;
use crate::journal::{Journal, Name};
use crate::ownership::Ownership;

/// The trees that steps are taken in.
pub(super) struct StepRoots<'a> {
    lines: &'a [RootLine],
    cross_mounts: bool,
    roots: Vec<Result<Root, Arc<NotTheTree>>>,
}

impl<'a> StepRoots<'a> {
    /// Of this journal.
    pub fn of(journal: &'a Journal) -> StepRoots<'a> {
        let lines = &journal.header.roots[..];
        // Roots are opened for steps only: most journals have none.
        let roots = match journal.steps.is_empty() {
            true => Vec::new(),
            false => reopen::open_each(lines),
        };
        let roots = roots.into_iter().map(|root| root.map_err(Arc::new));
        StepRoots {
            lines,
            cross_mounts: journal.header.walk.cross_mounts,
            roots: roots.collect(),
        }
    }

    pub fn lines(&self) -> &'a [RootLine] {
        self.lines
    }

    pub fn path(&self, place: &StepPath) -> PathBuf {
        place.to_path(self.lines)
    }

    /// The entry at this path; `None` if it or its directory does not exist.
    pub fn stat(&self, place: &StepPath) -> Result<Option<Stat>, StepError> {
        if place.path.is_empty() {
            return Ok(Some(self.root(place)?.pin.stat()?));
        }
        match self.parent(place) {
            Ok(dir) => Ok(stat_entry(dir.as_fd(), last(place))?),
            Err(error) if error.is_io(io::ErrorKind::NotFound) => Ok(None),
            // A file has the place of the directory that it is in: then it is not there.
            Err(error) if error.is_io(io::ErrorKind::NotADirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn root(&self, place: &StepPath) -> Result<&Root, StepError> {
        let root = self.roots[place.root].as_ref();
        root.map_err(|reason| StepError::Tree(Arc::clone(reason)))
    }

    /// The directory a place is in, opened name by name from its root, following nothing and
    /// entering no other mount than the run did.
    pub fn parent(&self, place: &StepPath) -> Result<OwnedFd, StepError> {
        let names = place.path.len().saturating_sub(1);
        self.open(place, names)
    }

    /// The directory that a place is.
    pub fn dir(&self, place: &StepPath) -> Result<OwnedFd, StepError> {
        self.open(place, place.path.len())
    }

    /// What is in the directory that a place is.
    pub fn names(&self, place: &StepPath) -> Result<Vec<Name>, StepError> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.dir(place)?)? {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(Name(name.to_vec())),
            }
        }
        Ok(names)
    }

    fn open(&self, place: &StepPath, names: usize) -> Result<OwnedFd, StepError> {
        let root = self.root(place)?;
        let top = open_dir(root.pin.as_fd(), b".")?;
        let mut above = place.path[..names].iter();
        above.try_fold(top, |dir, name| self.enter(root, dir.as_fd(), name))
    }

    /// One name further down.
    fn enter(&self, root: &Root, dir: BorrowedFd<'_>, name: &Name) -> Result<OwnedFd, StepError> {
        let dir = open_dir(dir, &name.0)?;
        match !self.cross_mounts && stat(&dir)?.crosses_mount(root.dev) {
            true => Err(StepError::BehindMount),
            false => Ok(dir),
        }
    }
}

fn open_dir(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // What is only looked at keeps its atime, where this process may say so.
    rustix::fs::openat(dir, name, flags | OFlags::NOATIME, Mode::empty())
        .or_else(|_| rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// The directories on the path that was opened last: thousands of places one after the other share most of theirs.
/// To be dropped before any directory gets another place.
pub(super) struct PlaceDirs<'a> {
    roots: &'a StepRoots<'a>,
    root: usize,
    names: Vec<Name>,
    /// The root, then one for each name.
    dirs: Vec<OwnedFd>,
}

impl<'a> PlaceDirs<'a> {
    pub fn new(roots: &'a StepRoots<'a>) -> PlaceDirs<'a> {
        PlaceDirs {
            roots,
            root: 0,
            names: Vec::new(),
            dirs: Vec::new(),
        }
    }

    /// As [`StepRoots::parent`].
    pub fn parent(&mut self, place: &StepPath) -> Result<BorrowedFd<'_>, StepError> {
        self.open(place, place.path.len().saturating_sub(1))
    }

    /// As [`StepRoots::dir`].
    pub fn dir(&mut self, place: &StepPath) -> Result<BorrowedFd<'_>, StepError> {
        self.open(place, place.path.len())
    }

    fn open(&mut self, place: &StepPath, names: usize) -> Result<BorrowedFd<'_>, StepError> {
        let root = self.roots.root(place)?;
        let path = &place.path[..names];
        if place.root != self.root || self.dirs.is_empty() {
            self.names.clear();
            self.dirs.clear();
            self.dirs.push(open_dir(root.pin.as_fd(), b".")?);
            self.root = place.root;
        }
        let same = self.names.iter().zip(path).take_while(|(a, b)| a == b);
        let same = same.count();
        self.names.truncate(same);
        self.dirs.truncate(same + 1);
        for name in &path[same..] {
            let dir = self
                .roots
                .enter(root, self.dirs[self.names.len()].as_fd(), name)?;
            self.dirs.push(dir);
            self.names.push(name.clone());
        }
        Ok(self.dirs[names].as_fd())
    }
}

/// A place has at least one name, but for an ownership and times: `Step::check` made sure.
pub(super) fn last(place: &StepPath) -> &[u8] {
    place.path.last().map_or(b"", |name| &name.0)
}

/// The inode of a [`Step::SetOwnership`](crate::journal::Step::SetOwnership), pinned, and what it is now.
pub(super) fn owned(
    roots: &StepRoots<'_>,
    at: &StepPath,
    identity: Identity,
) -> Result<(PinnedFile, Stat, Ownership), StepError> {
    let pin = match &at.path[..] {
        [] => roots.root(at)?.pin.try_clone()?,
        _ => {
            let name = CString::new(last(at)).map_err(io::Error::from)?;
            PinnedFile::at(roots.parent(at)?.as_fd(), &name)?
        }
    };
    let stat = pin.stat()?;
    if stat.identity != identity {
        return Err(StepError::OtherInode);
    }
    let now = attributes::read(&pin, &stat)?;
    Ok((pin, stat, now))
}
