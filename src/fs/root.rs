//! A tree as the operator names it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

use super::Pin;
use super::shown::shown;
use super::stat::{Stat, stat};
use crate::ownership::FileType;

/// The top of a tree: a directory or a single file, pinned.
#[derive(Debug)]
pub struct Root {
    /// Absolute path without symlinks.
    pub path: PathBuf,
    /// Its pin.
    pub pin: Pin,
    /// What `statx` said when it was opened.
    pub stat: Stat,
    /// Device and inode of itself and of each directory above it, innermost first. Two trees meet
    /// when one's own pair is in the other's list.
    pub lineage: Vec<(u64, u64)>,
}

/// Why a path cannot be a root.
#[derive(Debug, Error)]
pub enum RootError {
    /// The kernel does not open it.
    #[error("{path}: {source}", path = shown(path))]
    Open {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symlink: which of the two is meant must not be guessed.
    #[error(
        "{path}: is a symlink to {target}; nothing is followed. Name the directory itself: {target}",
        path = shown(path), target = shown(target)
    )]
    Symlink {
        /// As given.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
}

impl Root {
    /// Pins a path that the operator gave. Symlinks before the last component are followed once,
    /// here; the result is what everything later starts from.
    pub fn open(path: &Path) -> Result<Root, RootError> {
        let failed = |source: io::Error| RootError::Open {
            path: path.to_path_buf(),
            source,
        };
        let pin = Pin::path(path).map_err(|errno| failed(errno.into()))?;
        let stat = pin.stat().map_err(|errno| failed(errno.into()))?;
        if stat.file_type == FileType::Symlink {
            let target = std::fs::canonicalize(path).or_else(|_| std::fs::read_link(path));
            return Err(RootError::Symlink {
                path: path.to_path_buf(),
                target: target.map_err(failed)?,
            });
        }
        let real = std::fs::canonicalize(path).map_err(failed)?;
        // Between the two calls the path may have come to mean something else.
        let again = Pin::path(&real).and_then(|pin| pin.stat());
        let again = again.map_err(|errno| failed(errno.into()))?;
        if (again.dev, again.identity) != (stat.dev, stat.identity) {
            return Err(failed(Errno::STALE.into()));
        }
        let lineage = lineage(&pin, &stat, &real).map_err(failed)?;
        Ok(Root {
            path: real,
            pin,
            stat,
            lineage,
        })
    }

    /// Whether one of the two trees holds the other.
    pub fn meets(&self, lineage: &[(u64, u64)]) -> bool {
        meet(&self.lineage, lineage)
    }
}

/// Whether one of two trees holds the other, by their lineages.
pub fn meet(a: &[(u64, u64)], b: &[(u64, u64)]) -> bool {
    a.first().is_some_and(|top| b.contains(top)) || b.first().is_some_and(|top| a.contains(top))
}

/// Device and inode of a place and of everything above it, innermost first.
pub fn lineage_of(path: &Path) -> io::Result<Vec<(u64, u64)>> {
    let pin = Pin::path(path)?;
    let stat = pin.stat()?;
    lineage(&pin, &stat, path)
}

fn lineage(pin: &Pin, stat: &Stat, real: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut lineage = vec![(stat.dev, stat.identity.ino)];
    let mut here: OwnedFd = match stat.is_dir() {
        true => parent_of(pin)?,
        false => {
            let parent = real.parent().unwrap_or(Path::new("/"));
            rustix::fs::open(parent, ABOVE, Mode::empty())?
        }
    };
    loop {
        let now = stat_pair(&here)?;
        // The parent of the top directory is itself.
        if lineage.last() == Some(&now) {
            return Ok(lineage);
        }
        lineage.push(now);
        here = parent_of(&here)?;
    }
}

const ABOVE: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

fn parent_of(dir: impl AsFd) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, c"..", ABOVE, Mode::empty())
}

fn stat_pair(handle: &OwnedFd) -> rustix::io::Result<(u64, u64)> {
    stat(handle).map(|now| (now.dev, now.identity.ino))
}
