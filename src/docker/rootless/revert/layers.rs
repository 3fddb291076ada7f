//! Where the daemon's own files say that layers are. dockerd joins what it reads there to paths, as root: a user who writes
//! `../../..` would have it use any directory of the host as a layer.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::data_root::{DockerRoot, names, read_text};
use crate::docker::path_owner::DAEMON_FILES;
use crate::store_move::untrusted::{
    first_that_leads_out, is_layer_name, not_layer_directory, overlay_leads_out,
};

/// Refuses names and symlinks of layers that lead out of the storage driver's directory.
///
/// # Errors
/// The first of them.
pub(super) fn check(root: &DockerRoot, driver: &str) -> Result<(), DockerError> {
    let layerdb = root.path.join("image").join(driver).join("layerdb");
    for kind in names(&layerdb)? {
        if !["sha256", "mounts", "tmp"].contains(&kind.as_str()) {
            return Err(leads_out(&layerdb.join(kind)));
        }
    }
    for (kind, files) in [
        ("sha256", &["cache-id"][..]),
        ("mounts", &["mount-id", "init-id"]),
    ] {
        let dir = layerdb.join(kind);
        for layer in names(&dir)? {
            for file in files {
                check_name(&dir.join(&layer).join(file))?;
            }
        }
    }
    let top = root.path.join(driver);
    let strange = match driver {
        "overlay2" => overlay_leads_out(&top, &DAEMON_FILES)?,
        _ => {
            let of_top = not_layer_directory(&top, &DAEMON_FILES, &[])?;
            of_top.or(not_layer_directory(&top.join("dir"), &DAEMON_FILES, &[])?)
        }
    };
    if let Some(path) = strange {
        return Err(leads_out(&path));
    }
    let layers = layerdb.join("sha256");
    let mut all = names(&layers)?.into_iter();
    all.try_for_each(|layer| check_tar_split(&layers.join(layer), root, driver))
}

/// A file that holds the name of a layer, where it is there.
fn check_name(file: &Path) -> Result<(), DockerError> {
    match read_text(file)? {
        Some(text) if !is_layer_name(text.trim()) => Err(leads_out(file)),
        _ => Ok(()),
    }
}

/// Refuses a layer of which the daemon would read anything but its files.
fn check_tar_split(layer: &Path, root: &DockerRoot, driver: &str) -> Result<(), DockerError> {
    let Some(id) = read_text(&layer.join("cache-id"))? else {
        return Ok(());
    };
    let top = root.path.join(driver);
    let content = match driver {
        "overlay2" => top.join(id.trim()).join("diff"),
        _ => top.join("dir").join(id.trim()),
    };
    let file = layer.join("tar-split.json.gz");
    match first_that_leads_out(&file, &content).map_err(DockerError::io(&file))? {
        None => Ok(()),
        Some(name) => Err(DockerError::in_the_way(
            file,
            format!(
                "names {name:?}, which is no file of the layer: root's daemon would read it when it saves the image. {REMOVE}"
            ),
        )),
    }
}

fn leads_out(path: &Path) -> DockerError {
    let why = format!("is not what dockerd writes: it could lead out of the data-root. {REMOVE}");
    DockerError::in_the_way(path, why)
}

const REMOVE: &str =
    "Remove the image or container with `docker rmi` or `docker rm`, run as the user";
