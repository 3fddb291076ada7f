//! Writing out what a run changed, at its end.
//!
//! Not while it goes on: the kernel does that by itself, and on btrfs each sync is a commit that copies the blocks of
//! the tree anew.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;

use crate::fs::{Root, dir};

/// The filesystems of a run's trees.
///
/// Opened before anything is changed: `syncfs(2)` tells an open file of a write that failed since it was opened, or
/// since it was told last. One that is opened later does not hear what somebody else's sync has been told.
pub struct Filesystems {
    /// None: it has no directory that could be opened.
    each: Vec<io::Result<Option<File>>>,
    /// Also those that are mounted in the trees.
    all: bool,
}

impl Filesystems {
    /// Those of some trees. What cannot be opened is told by [`Filesystems::sync`].
    pub(super) fn of(roots: &[Root], cross_mounts: bool) -> Filesystems {
        Filesystems {
            each: roots.iter().map(open).collect(),
            all: cross_mounts,
        }
    }

    /// Waits until the disks have every change, so that a journal which says so is right also after a
    /// power cut.
    ///
    /// # Errors
    /// A write failed, or whether one did cannot be told. Of filesystems below a mount point nothing is told.
    pub(super) fn sync(&self) -> io::Result<()> {
        let by_path = |one: &io::Result<Option<File>>| matches!(one, Ok(None));
        if self.all || self.each.iter().any(by_path) {
            nix::unistd::sync();
        }
        for one in &self.each {
            match one {
                Ok(Some(top)) => rustix::fs::syncfs(top)?,
                Ok(None) => {}
                Err(error) => return Err(io::Error::new(error.kind(), error.to_string())),
            }
        }
        Ok(())
    }
}

/// Any directory of the filesystem will do: a tree whose top cannot be opened any more may have been
/// changed all the same.
fn open(root: &Root) -> io::Result<Option<File>> {
    let is_dir = root.is_dir();
    let top = match is_dir {
        true => dir::open_dir(root.pin.as_fd(), c"."),
        false => Err(Errno::NOTDIR),
    };
    let errno = match top {
        Ok(top) => return Ok(Some(top.into())),
        Err(errno) => errno,
    };
    let above = root.path.parent().unwrap_or(Path::new("/"));
    let above = dir::open_dir(rustix::fs::CWD, above)?;
    match rustix::fs::fstat(&above)?.st_dev == root.dev {
        true => Ok(Some(above.into())),
        false if is_dir => Err(errno.into()),
        // A file with a mount of its own.
        false => Ok(None),
    }
}
