//! Where the daemon's own files say that layers are. dockerd joins what it reads there to paths, as root: a user who writes
//! `../../..` would have it use any directory of the host as a layer.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::shape::OF_DAEMON;
use super::tar_split::first_that_leads_out;
use crate::docker::DockerError;
use crate::docker::data_root::{DockerRoot, names, read_text};

/// Short names of layers.
const LINKS: &str = "l";

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
        "overlay2" => overlay_leads_out(&top, &OF_DAEMON)?,
        _ => {
            let of_top = not_directory(&top, &OF_DAEMON, &[])?;
            of_top.or(not_directory(&top.join("dir"), &OF_DAEMON, &[])?)
        }
    };
    if let Some(path) = strange {
        return Err(leads_out(&path));
    }
    let layers = layerdb.join("sha256");
    let mut all = names(&layers)?.into_iter();
    all.try_for_each(|layer| check_tar_split(&layers.join(layer), root, driver))
}

/// The first path below the directory of an overlay driver that could lead out of it: Docker's overlay2, and the overlay of
/// containers/storage. `others`: names in it that are no layers.
///
/// # Errors
/// Something cannot be read.
pub(crate) fn overlay_leads_out(
    top: &Path,
    others: &[&str],
) -> Result<Option<PathBuf>, DockerError> {
    let links = top.join(LINKS);
    for name in names(&links)? {
        let link = links.join(&name);
        let target = std::fs::read_link(&link).map_err(DockerError::io(&link))?;
        let layer = target.to_str().and_then(|target| {
            let rest = target.strip_prefix("../")?;
            rest.strip_suffix("/diff")
        });
        if !layer.is_some_and(is_layer_name) {
            return Ok(Some(link));
        }
    }
    let is_layer = |name: &String| name != LINKS && !others.contains(&name.as_str());
    let layers: Vec<String> = names(top)?.into_iter().filter(is_layer).collect();
    for layer in &layers {
        let dir = top.join(layer);
        let link = dir.join("link");
        if read_text(&link)?.is_some_and(|text| !is_layer_name(text.trim()))
            || has_more_names(&link)
        {
            return Ok(Some(link));
        }
        let lower = dir.join("lower");
        let text = read_text(&lower)?.unwrap_or_default();
        let is_short = |name: &str| name.strip_prefix("l/").is_some_and(is_layer_name);
        if !text.is_empty() && !text.split(':').all(is_short) || has_more_names(&lower) {
            return Ok(Some(lower));
        }
    }
    not_directory(top, others, &["diff", "work", "merged"])
}

/// A container could write to it, where one of its names is in a volume.
fn has_more_names(file: &Path) -> bool {
    file.symlink_metadata().is_ok_and(|found| found.nlink() > 1)
}

/// Everything in this directory but `others` should be a directory with the name of a layer, and so should those entries of
/// it, where they are there: the first that is none.
fn not_directory(
    top: &Path,
    others: &[&str],
    entries: &[&str],
) -> Result<Option<PathBuf>, DockerError> {
    for name in names(top)? {
        if others.contains(&name.as_str()) {
            continue;
        }
        let dir = top.join(&name);
        if !is_layer_name(&name) {
            return Ok(Some(dir));
        }
        let below = entries.iter().map(|entry| dir.join(entry));
        for path in std::iter::once(dir.clone()).chain(below) {
            match path.symlink_metadata() {
                Ok(found) if !found.is_dir() => {
                    return Ok(Some(path));
                }
                _ => {}
            }
        }
    }
    Ok(None)
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

/// What engines call a layer. A comma or a colon would end it in the options of a mount.
pub(crate) fn is_layer_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    !name.is_empty() && name.bytes().all(is_fine)
}

fn leads_out(path: &Path) -> DockerError {
    let why = format!("is not what dockerd writes: it could lead out of the data-root. {REMOVE}");
    DockerError::in_the_way(path, why)
}

const REMOVE: &str =
    "Remove the image or container with `docker rmi` or `docker rm`, run as the user";
