//! A tree as the operator names it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use thiserror::Error;

use super::PinnedFile;
use super::escape::escaped;
use super::resolve::{Resolved, resolve};
use super::served_mount::why_denied;
use super::stat::{Identity, Stat, stat};
use crate::ownership::FileType;

/// The root of a tree: a directory or a single file, pinned.
#[derive(Debug)]
pub struct Root {
    /// Absolute path without symlinks.
    pub path: PathBuf,
    /// Its pin.
    pub pin: PinnedFile,
    /// Its `st_dev`.
    pub dev: u64,
    /// Which inode it is.
    pub identity: Identity,
    /// The mount that it is seen through, as in [`Stat`].
    pub mount_id: u64,
    /// What it is. Owner and mode are not kept: another run may change them until this one has its lock.
    pub file_type: FileType,
    /// Device and inode of itself and of each directory above it, innermost first. Two trees meet
    /// when one's own pair is in the other's list.
    pub ancestor_ids: Vec<(u64, u64)>,
}

/// A directory that a tree lies below.
#[derive(Debug)]
pub struct Ancestor {
    /// Absolute path without symlinks.
    pub path: PathBuf,
    /// Its pin.
    pub pin: PinnedFile,
    /// What `statx` said of it.
    pub stat: Stat,
}

/// Why a path cannot be a root.
#[derive(Debug, Error)]
pub enum RootError {
    /// The kernel does not open it.
    #[error("{path}: {source}{help}", path = escaped(path), help = why_denied(path, source))]
    Open {
        /// As given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A symlink: idshift must not guess which of the two is meant.
    #[error(
        "{path}: is a symlink to {target}, which idshift does not follow. Name the directory itself: \
        {target}",
        path = escaped(path), target = escaped(target)
    )]
    Symlink {
        /// As given.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A symlink in the path that belongs to another user.
    #[error(
        "{path}: contains the symlink {link}, which belongs to uid {uid}, who can change where it leads. \
        Name the directory by its real path: `realpath` shows where it leads now",
        path = escaped(path), link = escaped(link)
    )]
    Strangers {
        /// As given.
        path: PathBuf,
        /// The symlink.
        link: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// It leads to another place than before.
    #[error(
        "{path}: now leads to {target}: somebody is changing the directories above it",
        path = escaped(path), target = escaped(target)
    )]
    Moved {
        /// As it was found.
        path: PathBuf,
        /// Where it leads now.
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
        let real = match resolve(path).map_err(failed)? {
            Resolved::Place(real) => real,
            Resolved::Symlink(target) => {
                let path = path.to_path_buf();
                return Err(RootError::Symlink { path, target });
            }
            Resolved::Strangers { link, uid } => {
                let path = path.to_path_buf();
                return Err(RootError::Strangers { path, link, uid });
            }
        };
        // From here on it is what has this very path, whoever makes symlinks on the way meanwhile.
        let pin = PinnedFile::exactly(&real).map_err(|errno| failed(errno.into()))?;
        let stat = pin.stat().map_err(|errno| failed(errno.into()))?;
        if stat.file_type == FileType::Symlink {
            return Err(failed(Errno::LOOP.into()));
        }
        let ancestor_ids = ancestor_ids(&pin, &stat, &real).map_err(failed)?;
        Ok(Root {
            path: real,
            pin,
            dev: stat.dev,
            identity: stat.identity,
            mount_id: stat.mount_id,
            file_type: stat.file_type,
            ancestor_ids,
        })
    }

    /// A second handle on the same inode, seen through the same mount.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn try_clone(&self) -> rustix::io::Result<Root> {
        Ok(Root {
            path: self.path.clone(),
            pin: self.pin.try_clone()?,
            ancestor_ids: self.ancestor_ids.clone(),
            ..*self
        })
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Directory
    }

    /// Pins a path that was found to have no symlinks a while ago.
    ///
    /// # Errors
    /// Also when it has one now.
    pub fn open_exactly(path: &Path) -> Result<Root, RootError> {
        let root = Root::open(path)?;
        root.check_exactly(path).map(|()| root)
    }

    /// Makes sure that no symlink led from this path to here.
    ///
    /// # Errors
    /// One did: somebody is changing the directories above.
    pub fn check_exactly(&self, path: &Path) -> Result<(), RootError> {
        match self.path == path {
            true => Ok(()),
            false => Err(RootError::Moved {
                path: path.to_path_buf(),
                target: self.path.clone(),
            }),
        }
    }

    /// Makes sure that it still is where it was when it was opened, and so is everything above it.
    ///
    /// # Errors
    /// Somebody moved it, or put something else in its place.
    pub fn check_in_place(&self) -> Result<(), RootError> {
        match Root::open(&self.path) {
            Ok(now) if now.path == self.path && now.ancestor_ids == self.ancestor_ids => Ok(()),
            Ok(now) => Err(RootError::Moved {
                path: self.path.clone(),
                target: now.path,
            }),
            Err(error) => Err(error),
        }
    }

    /// The directories above it, innermost first, each opened from the one below: what they are
    /// called by now plays no part.
    ///
    /// # Errors
    /// They are not those any more that it was opened below.
    pub fn ancestors(&self) -> Result<Vec<Ancestor>, RootError> {
        let moved = |source: io::Error| RootError::Open {
            path: self.path.clone(),
            source,
        };
        let mut here: Option<PinnedFile> = None;
        let mut above = Vec::new();
        for (path, pair) in self.path.ancestors().zip(&self.ancestor_ids).skip(1) {
            let pin = match &here {
                None if !self.is_dir() => PinnedFile::exactly(path),
                None => PinnedFile::above(&self.pin),
                Some(below) => PinnedFile::above(below),
            };
            let pin = pin.map_err(|errno| moved(errno.into()))?;
            let stat = pin.stat().map_err(|errno| moved(errno.into()))?;
            if (stat.dev, stat.identity.ino) != *pair {
                return Err(moved(Errno::STALE.into()));
            }
            here = Some(pin.try_clone().map_err(|errno| moved(errno.into()))?);
            let path = path.to_path_buf();
            above.push(Ancestor { path, pin, stat });
        }
        match self.path.ancestors().count() == self.ancestor_ids.len() {
            true => Ok(above),
            false => Err(moved(Errno::STALE.into())),
        }
    }

    /// Whether one of the two trees holds the other.
    pub fn overlaps(&self, ancestor_ids: &[(u64, u64)]) -> bool {
        overlap(&self.ancestor_ids, ancestor_ids)
    }
}

/// Whether one of two trees holds the other, by their lineages.
pub fn overlap(a: &[(u64, u64)], b: &[(u64, u64)]) -> bool {
    a.first().is_some_and(|top| b.contains(top)) || b.first().is_some_and(|top| a.contains(top))
}

/// Device and inode number of a place and of everything above it, innermost first. Not its birth: on an
/// overlay that changes when a directory is copied up, as a run does, and then two runs on one tree would
/// not see each other. That a number is used again can only keep two runs apart for nothing.
pub fn ancestor_ids_of(path: &Path) -> io::Result<Vec<(u64, u64)>> {
    let pin = PinnedFile::path(path)?;
    let stat = pin.stat()?;
    ancestor_ids(&pin, &stat, path)
}

fn ancestor_ids(pin: &PinnedFile, stat: &Stat, real: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut ancestor_ids = vec![(stat.dev, stat.identity.ino)];
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
        if ancestor_ids.last() == Some(&now) {
            return Ok(ancestor_ids);
        }
        ancestor_ids.push(now);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_with_its_parent_is_not_in_place() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        let at = |path: &str| place.join(path);
        std::fs::create_dir_all(at("above/tree")).unwrap();
        let root = Root::open(&at("above/tree")).unwrap();
        root.check_in_place().unwrap();
        std::fs::rename(at("above"), at("away")).unwrap();
        assert!(root.check_in_place().is_err(), "gone");
        std::fs::create_dir_all(at("above/tree")).unwrap();
        assert!(root.check_in_place().is_err(), "another");
        std::fs::remove_dir(at("above/tree")).unwrap();
        std::fs::rename(at("away/tree"), at("above/tree")).unwrap();
        assert!(root.check_in_place().is_err(), "below another directory");
    }
}
