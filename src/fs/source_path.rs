//! Where in its filesystem a file lies, whatever mount it is seen through.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::mountinfo::{self, Mount};

/// A place in a filesystem. Bind mounts show one place under several paths; this is the same for all of them, in
/// every mount namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePath {
    /// The filesystem, by the device number of its superblock: `MAJOR:MINOR`.
    device: String,
    /// From the filesystem's own top.
    path: Vec<u8>,
}

impl SourcePath {
    /// Of an open file that has this path, without symlinks, given the mounts of this thread. `None` where the
    /// mount is not among them: in a chroot whose top is no mount point.
    ///
    /// # Errors
    /// `/proc` does not tell which mount it is on.
    pub fn of(handle: impl AsFd, path: &Path, mounts: &[Mount]) -> io::Result<Option<SourcePath>> {
        let id = mountinfo::id_of(handle)?;
        let mount = mounts.iter().find(|mount| mount.id == id);
        Ok(mount.and_then(|mount| {
            let below = path.strip_prefix(&mount.point).ok()?;
            // To join nothing would put a slash behind it, and paths of files have none.
            let path = match below.as_os_str().is_empty() {
                true => mount.root.clone(),
                false => mount.root.join(below),
            };
            Some(SourcePath {
                device: mount.device.clone(),
                path: path.into_os_string().into_vec(),
            })
        }))
    }

    /// Whether `other` is this place, or lies below it.
    pub fn holds(&self, other: &SourcePath) -> bool {
        let [path, other_path] =
            [self, other].map(|place| Path::new(OsStr::from_bytes(&place.path)));
        self.device == other.device && other_path.starts_with(path)
    }

    /// Whether one of the two holds the other.
    pub fn meets(&self, other: &SourcePath) -> bool {
        self.holds(other) || other.holds(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(device: &str, path: &str) -> SourcePath {
        SourcePath {
            device: device.into(),
            path: path.into(),
        }
    }

    #[test]
    fn a_place_holds_what_is_below_it_in_its_filesystem() {
        let top = place("8:1", "/");
        assert!(top.holds(&place("8:1", "/srv")));
        assert!(!place("8:1", "/srv").holds(&top));
        assert!(place("8:1", "/srv").meets(&top));
        assert!(place("8:1", "/srv").holds(&place("8:1", "/srv")));
        assert!(!place("8:1", "/srv").meets(&place("8:1", "/srv2")));
        assert!(!top.meets(&place("8:2", "/srv")));
    }
}
