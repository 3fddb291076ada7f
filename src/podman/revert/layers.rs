//! Files of layers and images, and what lists them. Podman joins names that it reads there to paths, as root: a user who
//! writes `../../..` would have it use any directory of the host as a layer.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::members::{first_bad, is_id, is_list_of, is_object_of, is_owner, is_time, listed};
use crate::fs::escape::shell_word;
use crate::podman::store::{DRIVER, Store};
use crate::store_move::MoveError;
use crate::store_move::files::{is_directory, names, read_text};
use crate::store_move::place::stat_of;
use crate::store_move::untrusted::{
    first_not_plain, first_that_leads_out, is_layer_name, is_plain_file, overlay_leads_out,
};

/// What tells whether a program mounts layers (fuse-overlayfs).
const FLAG: &str = ".has-mount-program";

/// Where the driver pulls, and removes layers (containers/storage 1.59, `drivers/overlay`). Empty when it is done.
const TEMPORARY: [&str; 2] = ["staging", "tempdirs"];

/// What the driver has of a layer: directories, and files with names of layers.
const OF_LAYER: [&str; 6] = ["diff", "empty", "link", "lower", "merged", "work"];

/// Refuses what could lead Podman out of the store, and lists with more than Podman writes of an image.
///
/// # Errors
/// The first of them.
pub(super) fn check(store: &Store) -> Result<(), MoveError> {
    let top = store.path.join(DRIVER);
    check_layers(store, &top)?;
    if let Some(path) = overlay_leads_out(&top, &[&[FLAG], &TEMPORARY[..]].concat())? {
        return Err(not_podmans(path));
    }
    for list in ["overlay-layers", "overlay-images"] {
        if let Some(path) = first_not_plain(&store.path.join(list))? {
            return Err(not_podmans(path));
        }
    }
    for id in names(&top)?.iter().filter(|name| is_id(name)) {
        check_tar_split(store, id)?;
    }
    let lists: [(&str, Fine); 4] = [
        ("overlay-layers/layers.json", &is_of_layer),
        ("overlay-layers/volatile-layers.json", &is_of_layer),
        ("overlay-images/images.json", &is_of_image),
        ("overlay-images/volatile-images.json", &is_of_image),
    ];
    for (list, is_fine) in lists {
        check_list(store, list, (is_fine, "`podman rmi` its image"))?;
    }
    Ok(())
}

pub(super) type Fine<'a> = &'a dyn Fn(&str, &Value) -> bool;

fn check_layers(store: &Store, top: &Path) -> Result<(), MoveError> {
    for name in names(top)? {
        let layer = top.join(&name);
        match name.as_str() {
            "l" if is_directory(&layer) => continue,
            FLAG => {
                let text = store.file(&format!("{DRIVER}/{FLAG}"))?;
                let has_none = text.is_some_and(|(bytes, _)| bytes.trim_ascii() == b"false");
                match has_none && is_plain_file(&layer) {
                    true => continue,
                    false => return Err(not_podmans(layer)),
                }
            }
            name if TEMPORARY.contains(&name) && is_directory(&layer) => {
                check_is_closed(&layer)?;
                check_is_empty(&layer)?;
                continue;
            }
            id if is_id(id) && is_layer_name(id) && is_directory(&layer) => {}
            _ => return Err(not_podmans(layer)),
        }
        check_is_closed(&layer)?;
        for entry in names(&layer)? {
            let path = layer.join(&entry);
            let is_fine = match entry.as_str() {
                "link" | "lower" => is_plain_file(&path),
                "lower-layers" => is_plain_file(&path) && has_only_ids(&path)?,
                other => OF_LAYER.contains(&other) && is_directory(&path),
            };
            if !is_fine {
                return Err(not_podmans(path));
            }
        }
    }
    Ok(())
}

/// Whether a file names layers by their ids, as Podman 5.8 does beside their short names.
fn has_only_ids(file: &Path) -> Result<bool, MoveError> {
    let text = read_text(file)?.unwrap_or_default();
    Ok(text.split(':').all(is_id))
}

/// What is in it is of a Podman that was killed.
fn check_is_empty(temporary: &Path) -> Result<(), MoveError> {
    match names(temporary)?.first() {
        None => Ok(()),
        Some(name) => {
            let path = temporary.join(name);
            let why = format!(
                "is left of a pull or of the removal of a layer that was cut short. `rm -rf {}` removes it, while no Podman of the \
                 user runs",
                shell_word(&path)
            );
            Err(MoveError::in_the_way(path, why))
        }
    }
}

/// Refuses a layer of which Podman would read anything but its files.
fn check_tar_split(store: &Store, id: &str) -> Result<(), MoveError> {
    let file = store.path.join(format!("overlay-layers/{id}.tar-split.gz"));
    let content = store.path.join(DRIVER).join(id).join("diff");
    match first_that_leads_out(&file, &content).map_err(MoveError::io(&file))? {
        None => Ok(()),
        Some(name) => {
            let why = format!(
                "names {name:?}, which is no file of the layer: root's Podman would read it when it saves the image. Remove the \
                 image with `podman rmi`, run as the user"
            );
            Err(MoveError::in_the_way(file, why))
        }
    }
}

/// Set-id programs become root's in it.
pub(super) fn check_is_closed(dir: &Path) -> Result<(), MoveError> {
    let mode = stat_of(dir)?.mode;
    match mode.bits() & 0o077 {
        0 => Ok(()),
        _ => {
            let why = format!(
                "has mode {mode}, and Podman makes it with 0700. `chmod 700 {}`",
                shell_word(dir)
            );
            Err(MoveError::in_the_way(dir, why))
        }
    }
}

/// Refuses a list of the store with a member that is not fine; `remedy`: what takes the entry out of it.
///
/// # Errors
/// The first of them.
pub(super) fn check_list(
    store: &Store,
    name: &str,
    (is_fine, remedy): (Fine, &str),
) -> Result<(), MoveError> {
    let path = store.path.join(name);
    let Some((bytes, _)) = store.file(name)? else {
        return Ok(());
    };
    let strange = |why: String| {
        let why = format!(
            "is not what Podman writes: {why}. `podman system check --repair`, run as the user, may repair it"
        );
        MoveError::in_the_way(&path, why)
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| strange(error.to_string()))?;
    for entry in listed(text).map_err(|error| strange(error.to_string()))? {
        let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
        if !is_id(id) {
            return Err(strange(format!("{id:?} is no id")));
        }
        if let Some(member) = first_bad(&entry, is_fine) {
            return Err(refused(path, (member, &entry), remedy));
        }
    }
    Ok(())
}

fn refused(path: PathBuf, (member, entry): (&str, &Map<String, Value>), remedy: &str) -> MoveError {
    let id = entry.get("id").and_then(Value::as_str).unwrap_or_default();
    let why = format!(
        "has {member:?} of {id}, which idshift does not know, or with a value that Podman does not write for a plain image or \
         container. {remedy} as the user"
    );
    MoveError::in_the_way(path, why)
}

/// A member of a layer that is about the layer itself alone (containers/storage 1.57, `layers.go`). With a value of another
/// type, root's Podman reads no list any more.
fn is_of_layer(name: &str, value: &Value) -> bool {
    match name {
        "id" | "parent" => value.as_str().is_some_and(is_id),
        "names" | "big-data-names" => is_list_of(value, Value::is_string),
        "created" => is_time(value),
        "compressed-diff-digest" | "diff-digest" | "toc-digest" => value.is_string(),
        "compressed-size" | "diff-size" | "compression" => value.is_i64(),
        "uidset" | "gidset" => is_list_of(value, is_owner),
        _ => false,
    }
}

/// A member of an image that is about the image itself alone (containers/storage 1.57, `images.go`).
fn is_of_image(name: &str, value: &Value) -> bool {
    match name {
        "id" | "layer" => value.as_str().is_some_and(is_id),
        "digest" | "metadata" => value.is_string(),
        "names" | "names-history" | "big-data-names" => is_list_of(value, Value::is_string),
        "big-data-sizes" => is_object_of(value, Value::is_i64),
        "big-data-digests" => is_object_of(value, Value::is_string),
        "created" => is_time(value),
        _ => false,
    }
}

fn not_podmans(path: PathBuf) -> MoveError {
    let why = "is not what Podman makes, and root's could be led out of the store by it. Remove the image or container with \
               `podman rmi` or `podman rm`, run as the user";
    MoveError::in_the_way(path, why)
}
