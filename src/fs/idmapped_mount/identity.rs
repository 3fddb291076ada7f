//! Which mount it is.

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use super::super::containing_mount::{ContainingMount, mount_of, unique_id};
use super::super::mountinfo;

/// Identifies a mount, also against a later one at the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountIdentity {
    /// No other mount has it until the next boot (`STATX_MNT_ID_UNIQUE`). `None` before Linux 6.8.
    pub unique: Option<u64>,
    /// Its number in `mountinfo`, which a later mount may get.
    pub id: i32,
    /// The filesystem, as `mountinfo` has it: `MAJOR:MINOR`.
    pub device: String,
    /// The directory of the filesystem that it shows; `None` where the table does not list it.
    pub root: Option<PathBuf>,
}

impl MountIdentity {
    /// Of the mount that an open file is seen through.
    ///
    /// # Errors
    /// `/proc` does not tell.
    pub fn of(handle: impl AsFd) -> io::Result<MountIdentity> {
        let mounts = mountinfo::of_this_thread()?;
        let unique = unique_id(&handle);
        Ok(match mount_of(&handle, &mounts)? {
            ContainingMount::Listed(mount) => MountIdentity {
                unique,
                id: mount.id,
                device: mount.device.clone(),
                root: Some(mount.root.clone()),
            },
            ContainingMount::Unlisted { id, device, .. } => MountIdentity {
                unique,
                id,
                device,
                root: None,
            },
        })
    }

    /// Whether it is the same mount. A directory of it that was renamed meanwhile has another path.
    pub fn is(&self, other: &MountIdentity) -> bool {
        match (self.unique, other.unique) {
            (Some(one), Some(other)) => one == other,
            _ => (self.id, &self.device, &self.root) == (other.id, &other.device, &other.root),
        }
    }
}
