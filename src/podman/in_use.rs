//! Who uses a store, or has used it since the boot.

use std::path::{Path, PathBuf};

use super::database::ContainerRow;
use super::paths::Directories;
use super::store::{DEFAULT_PATH, Store};
use crate::fs::Root;
use crate::fs::escape::shell_word;
use crate::fs::mountinfo;
use crate::preflight::TransientBlocker;
use crate::preflight::transient::check_not_in_use;
use crate::store_move::place::{Source, Target};
use crate::store_move::user::RootlessUser;

/// What keeps the store from being moved now: the Podman of the new place.
pub(super) fn blockers(to: &Target, user: &RootlessUser) -> Vec<TransientBlocker> {
    let other = to.there.and_then(|_| Root::open(&to.path()).ok());
    let other = other.and_then(|root| check_not_in_use(&[root], true).err());
    let used = used_since_boot(user).map(|(path, reason)| TransientBlocker::Store { path, reason });
    other.into_iter().chain(used).collect()
}

/// Containers that run, or what else Podman has mounted in the store: as long as it is there, not all of the store can be seen.
pub(super) fn mounted(from: &Source, containers: &[ContainerRow]) -> Option<TransientBlocker> {
    let active = containers.iter().filter(|it| it.is_active());
    let active: Vec<&str> = active.map(|it| it.name.as_str()).collect();
    if let Some(first) = active.first() {
        let reason = format!(
            "the container {first}{more} runs, or was not cleaned up. `podman stop {names}`, run as root, and `podman container \
             cleanup {names}` end that",
            more = super::and_more(active.len()),
            names = active.join(" ")
        );
        let path = from.path.clone();
        return Some(TransientBlocker::Store { path, reason });
    }
    let point = mountinfo::first_below(&from.path)?;
    let reason = format!(
        "something is mounted there. First, as root: `podman umount --all`, and `podman volume unmount VOLUME` for volumes. If \
         it is still mounted: `umount {}`",
        shell_word(&point)
    );
    Some(TransientBlocker::Store {
        path: point,
        reason,
    })
}

/// A Podman that was used since the boot does not set up containers that come later: their locks and directories in `/run`
/// are made for all at its first start.
fn used_since_boot(user: &RootlessUser) -> Option<(PathBuf, String)> {
    let directories = Directories::rootless(Path::new("/"), user.root.0);
    let locks = PathBuf::from(format!("/dev/shm/libpod_rootless_lock_{}", user.root.0));
    let (found, files) = made_since_boot(&directories, &locks)?;
    let reason = format!(
        "the Podman of {name} has been used since the last boot. It would not start the containers that this migration adds. Run \
         as {name}, which stops all containers of {name}: `podman system migrate && rm -f {files}`",
        name = user.name
    );
    Some((found, reason))
}

/// Whether root's Podman was used since the host booted. It has nothing in the store `to`. `usual`: the store that it uses unless told otherwise. Both
/// files are for all of its stores: without them, it takes the next command for the first one after a boot, and removes
/// containers with `--rm` that run (`libpod/runtime.go`, `refresh`, Podman 5.4.2).
pub(super) fn used_by_root_since_boot(to: &Path, usual: &Path) -> Option<(PathBuf, String)> {
    let directories = Directories::rootful(Path::new("/"));
    let (found, files) = made_since_boot(&directories, Path::new("/dev/shm/libpod_lock"))?;
    let others = [usual, Path::new(DEFAULT_PATH)];
    let help = match others.iter().find_map(|store| in_other_store(to, store)) {
        None => format!(
            "It has no containers, so its state can be removed, if it uses no other store (`podman --root`): `rm -f {files}`"
        ),
        Some(held) => format!(
            "{held}, which need what it made at its start. Stop what starts Podman at boot, reboot, and run this before Podman is used"
        ),
    };
    let reason = format!(
        "root's Podman has been used since the last boot, and would give the locks of the new volumes to others. {help}"
    );
    Some((found, reason))
}

/// What another store of root's has than `to`; `None`: no container and no volume.
fn in_other_store(to: &Path, store: &Path) -> Option<String> {
    let real = std::fs::canonicalize(store).unwrap_or_else(|_| store.to_path_buf());
    if real == to {
        return None;
    }
    let word = shell_word(&real);
    match Store::at(real).holds() {
        Ok(holds) if (holds.containers, holds.volumes) == (0, 0) => None,
        Ok(holds) => Some(format!("{word} has {holds}")),
        Err(_) => Some(format!("{word} may have containers and volumes")),
    }
}

/// What is there of the two that Podman makes at its first start, and both for a command line.
fn made_since_boot(directories: &Directories, locks: &Path) -> Option<(PathBuf, String)> {
    let alive = directories.tmp_dir.join("alive");
    let mut of_boot = [alive.as_path(), locks].into_iter();
    let found = of_boot.find(|path| path.symlink_metadata().is_ok())?;
    let files = format!("{} {}", shell_word(&alive), shell_word(locks));
    Some((found.to_path_buf(), files))
}
