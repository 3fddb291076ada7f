//! What is mounted below a docker root.

use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::storage_drivers;
use crate::fs::escape::shell_word;
use crate::fs::{PinnedFile, mountinfo};

/// A mount point below a docker root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountPoint {
    /// Where.
    pub path: PathBuf,
    /// What, as `findmnt` says it: `tmpfs`, `ext4`.
    pub fs_type: String,
    /// What is seen through it has other owners on disk.
    pub idmapped: bool,
    /// Where it is to be mounted afterwards.
    pub new_path: PathBuf,
    /// The daemon mounts it for a container that runs, and unmounts it.
    pub by_daemon: bool,
}

/// The mount points below the docker root, as this process sees them. `devices`: names of volumes that the
/// daemon mounts when they are used.
///
/// # Errors
/// `/proc` does not tell.
pub fn mount_points(
    rewriter: &PathRewriter,
    devices: &[&str],
) -> Result<Vec<MountPoint>, DockerError> {
    let table =
        mountinfo::of_this_thread().map_err(DockerError::io("/proc/thread-self/mountinfo"))?;
    let mut found: Vec<MountPoint> = Vec::new();
    for mount in table {
        let below = mount.point.strip_prefix(rewriter.from());
        let Some(new_path) = rewriter.new_path(&mount.point) else {
            continue;
        };
        let Ok(below) = below else { continue };
        // One that another hides is no concern.
        let is_there = PinnedFile::path(&mount.point).and_then(|pin| pin.stat());
        if below.as_os_str().is_empty() || !is_there.is_ok_and(|stat| stat.mount_root) {
            continue;
        }
        found.retain(|other| other.path != mount.point);
        found.push(MountPoint {
            by_daemon: is_of_daemon(below, devices),
            idmapped: mount.idmapped,
            path: mount.point,
            fs_type: mount.fs_type,
            new_path,
        });
    }
    Ok(found)
}

/// Whether the daemon mounts something there itself (moby `daemon/graphdriver/overlay2`, `container/container_unix.go`,
/// `volume/local`, `plugin/manager_linux.go`).
fn is_of_daemon(below: &Path, devices: &[&str]) -> bool {
    let way: Vec<&str> = below.iter().filter_map(|name| name.to_str()).collect();
    match &way[..] {
        ["containers", _, _, ..] | ["rootfs" | "buildkit" | "plugins", _, ..] => true,
        ["volumes", name, "_data"] => devices.contains(name),
        [first, below @ ..] => {
            storage_drivers::find(first.as_bytes()).is_some_and(|it| it.mounts(below))
        }
        [] => false,
    }
}

impl MountPoint {
    /// Why the data-root is not carried with it.
    pub fn refusal(&self) -> DockerError {
        DockerError::in_the_way(&self.path, self.reason())
    }

    /// The same, for whoever names the path himself.
    pub fn reason(&self) -> String {
        let (path, new) = (shell_word(&self.path), shell_word(&self.new_path));
        match self.by_daemon {
            true => format!(
                "is a mount ({}) of a container that runs, or one that a killed daemon left. Stop the \
                containers and the daemon if they run. If it is still mounted then, `umount {path}`",
                self.fs_type
            ),
            false if self.idmapped => format!(
                "is an idmapped mount, so its owners on disk are not those shown, and it is neither renamed \
                nor shifted. `umount {path}`, migrate, shift the directory that it shows (`findmnt -o SOURCE,FSROOT {path}` \
                 says which), and bind that at {new}"
            ),
            false => format!(
                "is a mount point ({}): what is mounted below a data-root is neither renamed nor shifted with it. \
                 `umount {path}`, migrate, mount it at {new} (in /etc/fstab too), and shift it with `idshift prepare {new}`",
                self.fs_type
            ),
        }
    }
}
