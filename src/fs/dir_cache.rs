//! The directories above the one that is worked in, kept open.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::io::Errno;

use super::dir::{open_dir, open_dir_of_mount, open_unread};
use super::dir_guard::DirGuard;
use super::live_mounts::LiveMounts;
use super::process;
use super::stat::{Stat, stat};

/// The directories above the current one, as open handles: each name is opened once, from the
/// handle before it. No symlink is followed.
pub struct DirCache {
    /// Number of the tree it lies in.
    tree: usize,
    levels: Vec<CachedDir>,
    /// Handles kept open at most; deeper paths close the outer ones and open them again when
    /// needed.
    most_open: usize,
    open: usize,
    /// The tree's top, open for reading.
    top: Option<Open>,
    /// The level from which the path could not be opened, and why.
    broken: Option<(usize, Errno)>,
}

struct CachedDir {
    chain: Rc<PathChain>,
    open: Option<Open>,
}

/// The names down to a directory, for messages: it can be kept when the cache has moved elsewhere, and costs
/// one name a level, as it shares those above.
pub struct PathChain {
    name: Box<[u8]>,
    above: Option<Rc<PathChain>>,
}

impl PathChain {
    /// The directory's path in a tree that is at `top`. `None`: it is the top.
    pub fn path(chain: Option<&PathChain>, top: &Path) -> PathBuf {
        let levels = std::iter::successors(chain, |chain| chain.above.as_deref());
        let mut names: Vec<&OsStr> = levels.map(|chain| OsStr::from_bytes(&chain.name)).collect();
        names.push(top.as_os_str());
        names.into_iter().rev().collect()
    }
}

impl Drop for PathChain {
    /// Drops the levels above one by one: a deep path would overflow the stack if each dropped the
    /// one above inside its own drop.
    fn drop(&mut self) {
        let mut above = self.above.take();
        while let Some(mut chain) = above.and_then(Rc::into_inner) {
            above = chain.above.take();
        }
    }
}

struct Open {
    fd: OwnedFd,
    guard: DirGuard,
}

const MOST_OPEN: usize = 256;

impl Default for DirCache {
    fn default() -> DirCache {
        DirCache {
            tree: 0,
            levels: Vec::new(),
            most_open: MOST_OPEN.min(process::descriptors_for_directories()),
            open: 0,
            top: None,
            broken: None,
        }
    }
}

impl DirCache {
    /// Turns to `names` below the outer `keep` levels, in a tree. What is open of the path there stays open.
    /// How many levels are new: a [`PathChain`] kept from before shares none of these.
    pub fn enter(&mut self, tree: usize, keep: usize, names: &[impl AsRef<[u8]>]) -> usize {
        if tree != self.tree {
            self.cut(0);
            self.top = None;
            self.tree = tree;
        }
        let inner = self.levels.get(keep..).unwrap_or_default();
        let same = inner.iter().zip(names);
        let same = same
            .take_while(|(level, name)| *level.chain.name == *name.as_ref())
            .count();
        let (keep, names) = (keep + same, &names[same..]);
        self.cut(keep);
        for name in names.iter().map(|name| Box::from(name.as_ref())) {
            let above = self.chain().cloned();
            let chain = Rc::new(PathChain { name, above });
            self.levels.push(CachedDir { chain, open: None });
        }
        names.len()
    }

    /// Keeps the outer `keep` levels.
    fn cut(&mut self, keep: usize) {
        for level in self.levels.drain(keep.min(self.levels.len())..) {
            self.open -= usize::from(level.open.is_some());
        }
        if self.broken.is_some_and(|(level, _)| level >= keep) {
            self.broken = None;
        }
    }

    /// Tries again to open what could not be opened.
    pub fn try_again(&mut self) {
        self.broken = None;
    }

    /// The names that lead here; `None` at the top of a tree.
    pub fn chain(&self) -> Option<&Rc<PathChain>> {
        self.levels.last().map(|level| &level.chain)
    }

    /// The directory's handle, and since when its names stand still.
    ///
    /// # Errors
    /// `EXDEV` for a mount that is not to be crossed.
    pub fn open<'r>(
        &'r mut self,
        root: BorrowedFd<'_>,
        mounts: Mounts<'_>,
    ) -> rustix::io::Result<(BorrowedFd<'r>, &'r DirGuard)> {
        if let Some((_, errno)) = self.broken {
            return Err(errno);
        }
        let last_open = self.levels.iter().rposition(|level| level.open.is_some());
        for i in last_open.map_or(0, |i| i + 1)..self.levels.len() {
            let above = i.checked_sub(1).and_then(|i| self.levels[i].open.as_ref());
            let parent = above.map_or(root, |open| open.fd.as_fd());
            match Open::at(parent, &self.levels[i].chain.name, mounts) {
                Ok(open) => {
                    self.levels[i].open = Some(open);
                    self.open += 1;
                }
                Err(errno) => {
                    self.broken = Some((i, errno));
                    return Err(errno);
                }
            }
            self.close_outer(i);
        }
        let Open { fd, guard } = match self.levels.last().and_then(|level| level.open.as_ref()) {
            Some(last) => last,
            None => match &mut self.top {
                Some(top) => top,
                none => none.insert(Open::on(open_dir(root, c"."), root, b".")?.0),
            },
        };
        Ok((fd.as_fd(), guard))
    }

    /// Closes the outer half when too many are open; `keep` and what follows it stay.
    fn close_outer(&mut self, keep: usize) {
        if self.open < self.most_open {
            return;
        }
        let outer = self.levels[..keep].iter_mut();
        let open = outer.filter(|level| level.open.is_some());
        for level in open.take(self.most_open / 2) {
            level.open = None;
            self.open -= 1;
        }
    }
}

/// Whether the mounts in a tree are a part of it.
#[derive(Clone, Copy)]
pub enum Mounts<'m> {
    /// They are not; with the device of the tree.
    Avoided(u64),
    /// They are, but for idmapped ones.
    Crossed(&'m LiveMounts),
}

impl Mounts<'_> {
    /// Makes sure that an open file, which is no tree's top, is a part of the tree.
    ///
    /// # Errors
    /// `EXDEV`
    pub fn check(self, handle: impl AsFd, stat: &Stat) -> rustix::io::Result<()> {
        let is_part = match self {
            Mounts::Avoided(dev) => !stat.crosses_mount(dev),
            Mounts::Crossed(live) => !stat.mount_root || live.check_not_idmapped(handle).is_ok(),
        };
        is_part.then_some(()).ok_or(Errno::XDEV)
    }
}

impl Open {
    fn at(parent: BorrowedFd<'_>, name: &[u8], mounts: Mounts<'_>) -> rustix::io::Result<Open> {
        let fd = match mounts {
            Mounts::Avoided(_) => open_dir_of_mount(parent, name),
            Mounts::Crossed(_) => open_dir(parent, name),
        };
        let (open, stat) = Open::on(fd, parent, name)?;
        mounts.check(&open.fd, &stat).map(|()| open)
    }

    /// What was opened for reading; where it cannot be, a handle.
    fn on(
        fd: rustix::io::Result<OwnedFd>,
        parent: BorrowedFd<'_>,
        name: &[u8],
    ) -> rustix::io::Result<(Open, Stat)> {
        let fd = match fd {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) | Ok(_) => fd?,
            // What cannot be read can still be gone through; only its names are slower to look at.
            Err(_) => open_unread(parent, name)?,
        };
        let stat = stat(&fd)?;
        let guard = DirGuard::seen(&stat);
        Ok((Open { fd, guard }, stat))
    }
}
