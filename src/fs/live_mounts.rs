//! The mount table, kept up to date, and whether a mount came after a run was checked.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use thiserror::Error;

use super::PinnedFile;
use super::escape::{escaped, shell_word};
use super::mount_watch;
use super::mountinfo::{self, Mount};
use crate::guidance::Guidance;

/// Why nothing is changed through a mount.
#[derive(Debug, Error)]
pub enum MountError {
    /// It is idmapped.
    #[error(
        "is seen through an idmapped mount that was made during the run ({point}), so its owners on disk are not \
        those shown. `umount {word}`, then run this again",
        point = escaped(.0), word = shell_word(.0)
    )]
    Idmapped(PathBuf),
    /// It is not the mount that was there before.
    #[error(
        "is on a mount that was made during the run ({point}), so what it shows was not checked. `umount \
        {word}`, then run this again",
        point = escaped(.0), word = shell_word(.0)
    )]
    New(PathBuf),
    /// The kernel does not tell.
    #[error(
        "is on a mount that idshift cannot identify: {0}. {help}",
        help = Guidance::MountProc
    )]
    Unknown(#[from] io::Error),
}

/// A mount that an open file is on is not in the mount table.
#[derive(Debug, Error)]
#[error("/proc/self/mountinfo does not list it")]
struct NotListed;

/// The current mounts, read again when one was added or removed. Create it before the threads that
/// use it: they have descriptor tables of their own.
pub struct LiveMounts {
    table: Mutex<Table>,
}

struct Table {
    watch: Option<File>,
    mounts: HashMap<i32, Mount>,
}

impl LiveMounts {
    /// Those that the calling thread sees.
    pub fn new() -> LiveMounts {
        LiveMounts {
            table: Mutex::new(Table {
                watch: mount_watch::watch(),
                mounts: HashMap::new(),
            }),
        }
    }

    /// The mount that an open file is seen through.
    ///
    /// # Errors
    /// `/proc` does not list it.
    fn of(&self, handle: impl AsFd) -> io::Result<Mount> {
        let id = mountinfo::id_of(handle)?;
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = match &table.watch {
            Some(watch) => mount_watch::has_event(watch),
            None => true,
        };
        // One that is just coming may be met before the kernel tells of it.
        if is_old || !table.mounts.contains_key(&id) {
            table.mounts = read()?;
        }
        let mount = table.mounts.get(&id).cloned();
        mount.ok_or_else(|| io::Error::other(NotListed))
    }

    /// Refuses an open file that is seen through an idmapped mount.
    ///
    /// # Errors
    /// It is, or the kernel does not tell.
    pub fn check_not_idmapped(&self, handle: impl AsFd) -> Result<(), MountError> {
        let mount = self.of(handle)?;
        match mount.idmapped {
            true => Err(MountError::Idmapped(mount.point)),
            false => Ok(()),
        }
    }
}

impl Default for LiveMounts {
    fn default() -> LiveMounts {
        LiveMounts::new()
    }
}

/// The mounts that existed before the checks of a run: it may cross only those.
pub struct KnownMounts {
    /// By mount point.
    before: HashMap<PathBuf, Vec<Mount>>,
    live: LiveMounts,
}

impl KnownMounts {
    /// The mounts that exist now; none if they cannot be read.
    pub fn now() -> KnownMounts {
        let mut before: HashMap<PathBuf, Vec<Mount>> = HashMap::new();
        for mount in mountinfo::of_this_thread().unwrap_or_default() {
            before.entry(mount.point.clone()).or_default().push(mount);
        }
        KnownMounts {
            before,
            live: LiveMounts::new(),
        }
    }

    /// The mount points that were there below a directory, in order, and what is mounted there. Without those that are covered
    /// by another mount, or are away by now.
    pub fn below(&self, dir: &Path) -> Vec<(PathBuf, PinnedFile)> {
        let points = self.before.keys();
        let mut points: Vec<_> = points
            .filter(|point| *point != dir && point.starts_with(dir))
            .collect();
        points.sort();
        let pinned = points.into_iter().filter_map(|point| {
            let pin = PinnedFile::path(point).ok()?;
            let is_seen = self.live.of(&pin).is_ok_and(|mount| mount.point == *point);
            is_seen.then(|| (point.clone(), pin))
        });
        pinned.collect()
    }

    /// Refuses an open file on a mount that was not there, or that is another one now. A mount that
    /// was removed and made again in its place is the same. Its number does not tell, because
    /// numbers are soon used again (`proc_pid_mountinfo(5)`).
    ///
    /// # Errors
    /// Names the mount point.
    pub fn check(&self, handle: impl AsFd) -> Result<(), MountError> {
        let mount = self.live.of(handle)?;
        if mount.idmapped {
            return Err(MountError::Idmapped(mount.point));
        }
        let there = self.before.get(&mount.point);
        let is_same = |before: &Mount| {
            let id = mount.id;
            Mount {
                id,
                ..before.clone()
            } == mount
        };
        match there.is_some_and(|before| before.iter().any(is_same)) {
            true => Ok(()),
            false => Err(MountError::New(mount.point)),
        }
    }
}

fn read() -> io::Result<HashMap<i32, Mount>> {
    let mounts = mountinfo::of_this_thread()?;
    Ok(mounts.into_iter().map(|mount| (mount.id, mount)).collect())
}
