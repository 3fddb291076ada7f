//! Unmounting an idmapped mount.

use std::io;
use std::path::{Path, PathBuf};

use super::list::{MountState, record_of, state_of};
use super::record::{self, MountRecord};
use super::{MountError, unit};
use crate::fs::PinnedFile;
use crate::fs::idmapped_mount::{self, MountIdentity, UnmountError, Unmounting};
use crate::fs::mountinfo::{self, Mount};
use crate::fs::resolve::{Resolved, resolve};
use crate::fs::root::RootError;
use crate::preflight::in_use;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct UnmountRequest {
    /// The mount point.
    pub target: PathBuf,
    /// Also when it is in use: who has something open keeps it.
    pub allow_in_use: bool,
    /// The unit stays, and makes it again at the next boot.
    pub keep_unit: bool,
    /// Nothing is done.
    pub dry_run: bool,
}

/// What was done, or would be done.
#[derive(Debug)]
pub struct Unmounted {
    /// The mount point.
    pub target: PathBuf,
    /// An idmapped mount was there.
    pub was_mounted: bool,
    /// What was known of it, where idshift made it.
    pub record: Option<MountRecord>,
    /// The unit that was removed.
    pub unit: Option<PathBuf>,
    /// Why the unit, or the record of the mount, is still there. There is no mount any more.
    pub left: Option<MountError>,
}

impl UnmountRequest {
    /// Unmounts, and removes what belongs to the mount. One that is not there any more leaves its unit to be removed.
    ///
    /// # Errors
    /// It stays as it is.
    pub fn run(&self) -> Result<Unmounted, MountError> {
        let target = real(&self.target)?;
        let mut unit = unit::unit_for(&target).filter(|_| !self.keep_unit);
        if let Some(path) = unit::foreign_unit_for(&target).filter(|_| !self.keep_unit) {
            return Err(MountError::ForeignUnitStays { path, target });
        }
        if let Some(unit) = &unit {
            unit::check_removable(unit, &target)?;
        }
        let there = mount_at(&target)?;
        let (mount, identity) = match there {
            Some((mount, identity)) if mount.idmapped => (mount, identity),
            other => return self.not_mounted(target, unit, other.is_some()),
        };
        if !self.allow_in_use {
            let users = in_use::users_of_idmapped(&mount).map_err(MountError::io(&target))?;
            if !users.is_empty() {
                return Err(MountError::InUse(target, users));
            }
        }
        let record = record_of(&target, &identity);
        let mut left = None;
        if !self.dry_run {
            let mode = match self.allow_in_use {
                true => Unmounting::Lazy,
                false => Unmounting::Unused,
            };
            idmapped_mount::unmount(&target, &identity, mode).map_err(|source| {
                let path = target.clone();
                match source {
                    UnmountError::InUse => MountError::Busy { path },
                    source => MountError::Unmount { path, source },
                }
            })?;
            (unit, left) = forget(&target, unit);
        }
        Ok(Unmounted {
            target,
            was_mounted: true,
            record,
            unit,
            left,
        })
    }

    fn not_mounted(
        &self,
        target: PathBuf,
        mut unit: Option<PathBuf>,
        is_mount: bool,
    ) -> Result<Unmounted, MountError> {
        let mounts = mountinfo::of_this_thread().map_err(MountError::io(&target))?;
        let record = record::records_for(&target)?.into_iter().next();
        let state = record.as_ref().map(|record| state_of(record, &mounts).0);
        if state == Some(MountState::Covered) {
            let path = target;
            return Err(MountError::NotMounted { path, is_mount });
        }
        // systemd stops a unit whose mount somebody else has taken down.
        if unit.is_none() && record.is_none() && !self.keep_unit {
            let path = target;
            return Err(MountError::NotMounted { path, is_mount });
        }
        let mut left = None;
        if !self.dry_run {
            (unit, left) = match forget(&target, unit) {
                // Nothing was changed.
                (None, Some(error)) => return Err(error),
                done => done,
            };
        }
        Ok(Unmounted {
            target,
            was_mounted: false,
            record,
            unit,
            left,
        })
    }
}

/// Removes the unit, then the record: of the two the first can fail more easily, and the record still tells of it then. Gives the
/// unit that was removed, and why one of them is still there.
fn forget(target: &Path, unit: Option<PathBuf>) -> (Option<PathBuf>, Option<MountError>) {
    match unit.as_deref().map_or(Ok(()), unit::remove) {
        Ok(()) => (unit, record::remove_of(target).err()),
        Err(error) => (None, Some(error)),
    }
}

/// The path without symlinks. What root may not open is found all the same, and what is gone is where it was.
fn real(path: &Path) -> Result<PathBuf, MountError> {
    match resolve(path) {
        Ok(Resolved::Place(real)) => Ok(real),
        Ok(Resolved::Symlink(target)) => Err(RootError::Symlink {
            path: path.to_path_buf(),
            target,
        }
        .into()),
        Ok(Resolved::Strangers { link, uid }) => Err(RootError::Strangers {
            path: path.to_path_buf(),
            link,
            uid,
        }
        .into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::path::absolute(path).map_err(MountError::io(path))
        }
        Err(error) => Err(MountError::io(path)(error)),
    }
}

/// The mount whose top is seen at a path.
fn mount_at(target: &Path) -> Result<Option<(Mount, MountIdentity)>, MountError> {
    let pin = match PinnedFile::exactly(target) {
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        pin => pin.map_err(|errno| MountError::io(target)(errno.into()))?,
    };
    let io = |error| MountError::io(target)(error);
    let id = mountinfo::id_of(&pin).map_err(io)?;
    let mounts = mountinfo::of_this_thread().map_err(io)?;
    let mount = mounts
        .into_iter()
        .find(|mount| mount.id == id && mount.point == target);
    match mount {
        Some(mount) => Ok(Some((mount, MountIdentity::of(&pin).map_err(io)?))),
        None => Ok(None),
    }
}
