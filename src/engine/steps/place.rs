//! Where the places of steps are on the disk, opened without following anything.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

use crate::engine::reopen;
use crate::fs::file_ops::stat_entry;
use crate::fs::stat::stat;
use crate::fs::{Root, Stat};
use crate::journal::record::RootLine;
use crate::journal::step::StepPath;
use crate::journal::{Journal, Name};

/// The trees that steps are taken in.
pub(super) struct StepRoots<'a> {
    lines: &'a [RootLine],
    cross_mounts: bool,
    roots: Vec<Result<Root, String>>,
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
        StepRoots {
            lines,
            cross_mounts: journal.header.walk.cross_mounts,
            roots,
        }
    }

    pub fn lines(&self) -> &'a [RootLine] {
        self.lines
    }

    pub fn path(&self, place: &StepPath) -> PathBuf {
        place.to_path(self.lines)
    }

    /// What has this place; `None` where even its directory is not there.
    pub fn stat(&self, place: &StepPath) -> io::Result<Option<Stat>> {
        if place.path.is_empty() {
            return Ok(Some(self.root(place)?.pin.stat()?));
        }
        match self.parent(place) {
            Ok(dir) => Ok(stat_entry(dir.as_fd(), last(place))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A file has the place of the directory that it is in: then it is not there.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub fn root(&self, place: &StepPath) -> io::Result<&Root> {
        let root = self.roots[place.root].as_ref();
        root.map_err(|reason| io::Error::other(reason.clone()))
    }

    /// The directory a place is in, opened name by name from its root, following nothing and
    /// entering no other mount than the run did.
    pub fn parent(&self, place: &StepPath) -> io::Result<OwnedFd> {
        let names = place.path.len().saturating_sub(1);
        self.open(place, names)
    }

    /// The directory that a place is.
    pub fn dir(&self, place: &StepPath) -> io::Result<OwnedFd> {
        self.open(place, place.path.len())
    }

    /// What is in the directory that a place is.
    pub fn names(&self, place: &StepPath) -> io::Result<Vec<Name>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::new(self.dir(place)?)? {
            match entry?.file_name().to_bytes() {
                b"." | b".." => {}
                name => names.push(Name(name.to_vec())),
            }
        }
        Ok(names)
    }

    fn open(&self, place: &StepPath, names: usize) -> io::Result<OwnedFd> {
        let root = self.root(place)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open =
            |dir: BorrowedFd<'_>, name: &[u8]| rustix::fs::openat(dir, name, flags, Mode::empty());
        let top = open(root.pin.as_fd(), b".")?;
        let way = &place.path[..names];
        way.iter().try_fold(top, |dir, name| {
            let dir = open(dir.as_fd(), &name.0)?;
            match !self.cross_mounts && stat(&dir)?.crosses_mount(root.dev) {
                true => Err(io::Error::other("a mount is on its way now")),
                false => Ok(dir),
            }
        })
    }
}

/// A place has at least one name, but for an ownership and times: `Step::check` made sure.
pub(super) fn last(place: &StepPath) -> &[u8] {
    place.path.last().map_or(b"", |name| &name.0)
}
