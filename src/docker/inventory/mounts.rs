//! What is mounted below a docker root.

use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::data_root::is_remapped_name;
use crate::docker::path_owner::is_daemon_name;
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
    /// Where the docker root goes.
    destination: Destination,
    /// What of it containers own.
    shifted: Shifted,
}

/// Where a docker root goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Destination {
    /// Into the range.
    Migrate,
    /// Out of it.
    Revert,
    /// From one range to another.
    Rebase,
    /// Something else, or nowhere.
    Other,
}

impl Destination {
    fn of(rewriter: &PathRewriter) -> Destination {
        let (from, to) = (rewriter.from(), rewriter.to());
        let is_remapped = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(is_remapped_name)
        };
        match from != to && is_remapped(from) {
            true if from.parent() == Some(to) => Destination::Revert,
            true if is_remapped(to) => Destination::Rebase,
            false if to.parent() == Some(from) => Destination::Migrate,
            _ => Destination::Other,
        }
    }

    /// The command, in a list of what is to be done.
    fn command(self) -> &'static str {
        match self {
            Destination::Migrate => "migrate",
            Destination::Revert => "revert",
            Destination::Rebase | Destination::Other => "run this again",
        }
    }
}

/// What of a mount below a docker root is to be shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shifted {
    /// All of it.
    All,
    /// `_data` in it.
    Data,
    /// `_data` in each directory in it.
    EachData,
    /// All of it, and no command shifts it in its place: it is no volume.
    Elsewhere,
    /// Layers or metadata of the daemon, of which each has an owner of its own.
    Daemons,
}

impl Shifted {
    fn of(below: &Path) -> Shifted {
        let names: Vec<&str> = below.iter().filter_map(|name| name.to_str()).collect();
        match &names[..] {
            ["volumes"] => Shifted::EachData,
            ["volumes", _] => Shifted::Data,
            ["volumes", ..] => Shifted::All,
            [first, ..] if is_daemon_name(first.as_bytes()) => Shifted::Daemons,
            _ => Shifted::Elsewhere,
        }
    }
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
            destination: Destination::of(rewriter),
            shifted: Shifted::of(below),
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
    let names: Vec<&str> = below.iter().filter_map(|name| name.to_str()).collect();
    match &names[..] {
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

    /// Why, without the path, for who names that already.
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
                nor shifted. `umount {path}`, {}, shift the directory that it shows (`findmnt -o SOURCE,FSROOT {path}` \
                 says which), and bind that at {new}",
                self.destination.command()
            ),
            false => format!(
                "is a mount point ({}): what is mounted below a data-root is neither renamed nor shifted with it. {}",
                self.fs_type,
                self.help()
            ),
        }
    }

    /// What to do with it.
    fn help(&self) -> String {
        let (path, new) = (shell_word(&self.path), shell_word(&self.new_path));
        if self.shifted == Shifted::Daemons {
            return format!(
                "`umount {path}`, and copy what it holds to {path} with `cp -a` from another mount point. Then {}",
                self.destination.command()
            );
        }
        let first = format!("`umount {path}`, {}", self.destination.command());
        let shift = match self.destination {
            Destination::Migrate => "idshift shift",
            Destination::Revert => "idshift shift --reverse",
            Destination::Rebase => "idshift shift --from MAP --to MAP",
            Destination::Other => {
                return format!("{first}, and mount it at {new} (in /etc/fstab too)");
            }
        };
        let tree = match self.shifted {
            Shifted::Data => format!("{new}/_data"),
            Shifted::EachData => format!("{new}/*/_data"),
            _ => new.to_string(),
        };
        let maps = match self.destination {
            Destination::Rebase => ", with the maps of this run",
            _ => "",
        };
        match self.shifted {
            Shifted::Elsewhere => format!(
                "{first}, mount it outside of the data-root, shift it there with `{shift} DIR`{maps}, and mount it at {new} \
                 (in /etc/fstab too)"
            ),
            _ => format!(
                "{first}, mount it at {new} (in /etc/fstab too), and shift what containers own in it: `{shift} {tree}`{maps}"
            ),
        }
    }
}
