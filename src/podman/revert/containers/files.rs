//! Directories of containers, and the list of them. Root's Podman writes, mounts and follows what is there, as root.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use serde_json::Value;

use crate::fs::escape::shell_word;
use crate::podman::revert::layers::{check_is_closed, check_list};
use crate::podman::revert::members::{first_bad, is_id, of_text, unless, wrong};
use crate::podman::store::Store;
use crate::store_move::MoveError;
use crate::store_move::files::is_directory;
use crate::store_move::files::names;
use crate::store_move::untrusted::{first_not_plain, is_plain_file};

/// Where they are, in the store.
const TOP: &str = "overlay-containers";

/// Lists, and the lock of them.
const OF_TOP: [&str; 3] = [
    "containers.json",
    "containers.lock",
    "volatile-containers.json",
];

/// What `podman commit` leaves in the directory of a container. Root's Buildah would believe it: it stays behind.
const OF_BUILDAH: &str = "buildah.json";

/// Refuses anything but what Podman makes for these containers (`id`, `name`). Gives the names, in the store, of what is not
/// for root's Podman.
///
/// # Errors
/// The first of it.
pub(super) fn check(
    store: &Store,
    containers: &[(&str, &str)],
) -> Result<Vec<[String; 4]>, MoveError> {
    let top = store.path.join(TOP);
    let mut left = Vec::new();
    if top.symlink_metadata().is_err() {
        return Ok(left);
    }
    if !is_directory(&top) {
        return Err(not_podmans(&top, "--all"));
    }
    check_is_closed(&top)?;
    for list in ["containers.json", "volatile-containers.json"] {
        let of_list = (
            is_of_container as fn(&str, &Value) -> bool,
            "`podman rm` it",
        );
        check_list(store, &format!("{TOP}/{list}"), (&of_list.0, of_list.1))?;
    }
    for entry in names(&top)? {
        let path = top.join(&entry);
        if OF_TOP.contains(&entry.as_str()) && is_plain_file(&path) {
            continue;
        }
        match containers.iter().find(|(id, _)| *id == entry) {
            Some((_, name)) if is_id(&entry) => {
                if check_container(&path, name)? {
                    left.push([TOP, &entry, "userdata", OF_BUILDAH].map(String::from));
                }
            }
            _ => {
                let why = "belongs to no container that Podman knows. Move it out of the store";
                return Err(MoveError::in_the_way(path, why));
            }
        }
    }
    Ok(left)
}

/// Whether Buildah left something there.
fn check_container(dir: &Path, name: &str) -> Result<bool, MoveError> {
    let own = dir.join("userdata");
    if !is_directory(dir) {
        return Err(not_podmans(dir, name));
    }
    check_is_closed(dir)?;
    for entry in names(dir)? {
        if entry != "userdata" || !is_directory(&own) {
            return Err(not_podmans(&dir.join(entry), name));
        }
    }
    if !is_directory(&own) {
        return Err(not_podmans(&own, name));
    }
    check_is_closed(&own)?;
    let mut is_of_buildah = false;
    for entry in names(&own)? {
        let path = own.join(&entry);
        match entry == OF_BUILDAH && is_plain_file(&path) {
            true => is_of_buildah = true,
            false if is_of_podman(&path, &entry)? => {}
            false => return Err(not_podmans(&path, name)),
        }
    }
    Ok(is_of_buildah)
}

/// What Podman and conmon leave there (Podman 5.4.2). Podman removes pipes and sockets of the last run, and `config.json`,
/// before it starts a container.
fn is_of_podman(path: &Path, name: &str) -> Result<bool, MoveError> {
    let found = path.symlink_metadata().map_err(MoveError::io(path))?;
    Ok(match name {
        "config.json" | "ctr.log" => is_plain_file(path),
        "ctl" | "winsz" => found.file_type().is_fifo() && found.nlink() == 1,
        "attach" => found.file_type().is_socket() && found.nlink() == 1,
        "artifacts" | "secrets" => is_directory(path) && first_not_plain(path)?.is_none(),
        // A filesystem in memory is mounted on it.
        "shm" => is_directory(path) && names(path)?.is_empty(),
        _ => false,
    })
}

/// A member of a container that is about the container itself alone (containers/storage 1.57, `containers.go`).
fn is_of_container(name: &str, value: &Value) -> bool {
    match name {
        "id" | "layer" | "image" => value.as_str().is_some_and(is_id),
        "names" | "created" | "big-data-names" | "big-data-sizes" | "big-data-digests" => true,
        "metadata" => value.as_str().is_some_and(is_metadata),
        // The others are SELinux labels; such a container is removed when it has ended.
        "flags" => {
            let is_volatile =
                |name: &str, value: &Value| unless(name == "volatile" && value == true);
            wrong(value, &is_volatile).is_empty()
        }
        _ => false,
    }
}

/// What Podman notes there, as JSON (Podman 5.4.2, `libpod/storage.go`).
fn is_metadata(text: &str) -> bool {
    let known = ["image-name", "image-id", "name", "created-at"];
    let is_known = |name: &str, _: &Value| known.contains(&name);
    of_text(text).is_ok_and(|members| first_bad(&members, &is_known).is_none())
}

fn not_podmans(path: &Path, name: &str) -> MoveError {
    let why = format!(
        "is not what Podman makes for a container, and root's could be led elsewhere by it. `podman rm {}`, run as the user, or \
         move it away",
        shell_word(Path::new(name))
    );
    MoveError::in_the_way(path, why)
}
