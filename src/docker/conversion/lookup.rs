//! One image or container of a store, looked up: what it runs as, and the directories that its files are in.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::names::references;
use super::reader::StoreReader;
use crate::containerd::{ContainerdRoot, overlayfs_snapshot};
use crate::docker::DockerError;

/// An image of a store.
#[derive(Clone, Debug)]
pub struct StoreImage {
    /// Where its configuration is.
    pub path: PathBuf,
    /// Its configuration.
    pub config: Vec<u8>,
    /// The directories that its files are in, topmost first; none where it is not unpacked.
    pub layers: Vec<PathBuf>,
}

/// The directories that a container's files are in, topmost first; none where they are not in this store.
///
/// # Errors
/// A database cannot be read.
pub fn container_layers(
    containerd: &ContainerdRoot,
    namespace: &str,
    id: &str,
) -> Result<Vec<PathBuf>, DockerError> {
    Ok(layers(&StoreReader::open(containerd, namespace)?, id))
}

/// The image with this name, as Docker shows it and with its tag, or with this id or the beginning of one. The names
/// that there are go to `known`.
///
/// # Errors
/// The store cannot be read, or the image is not whole.
pub fn image(
    containerd: &ContainerdRoot,
    namespace: &str,
    (tagged, id): (&str, &str),
    known: &mut Vec<String>,
) -> Result<Option<StoreImage>, DockerError> {
    let mut reader = StoreReader::open(containerd, namespace)?;
    let hex = id.trim_start_matches("sha256:");
    let mut found = None;
    for (name, image) in reader.images_by_name() {
        let Ok(target) = image.target.parse() else {
            continue;
        };
        let names = references(name, &target, reader.labels(&image.target));
        let is_named = names.iter().any(|it| it.reference == tagged);
        known.extend(names.into_iter().map(|it| it.reference));
        let has_id = hex.len() >= 4 && target.hex().as_str().starts_with(hex);
        if is_named || (has_id && found.is_none()) {
            found = Some(target);
        }
        if is_named {
            break;
        }
    }
    let Some(target) = found else {
        return Ok(None);
    };
    let manifest = reader.choose(&target)?;
    let image = &reader.images[&manifest];
    let content = containerd.content();
    let config = content.document(&image.config)?;
    let top = image.top.as_ref().map(|it| it.chain_id.to_string());
    Ok(Some(StoreImage {
        path: content.path(&image.config),
        config,
        layers: top.map_or(Vec::new(), |key| layers(&reader, &key)),
    }))
}

/// The directories of a snapshot and of those that it is on.
fn layers(reader: &StoreReader<'_>, key: &str) -> Vec<PathBuf> {
    let mut dirs = Vec::new();
    let mut seen = BTreeSet::new();
    let mut next = Some(key.to_string());
    while let Some(key) = next.take_if(|key| seen.insert(key.clone())) {
        let Some((parent, snapshot)) = reader.snapshot(&key) else {
            break;
        };
        if !reader.containerd.has_files(snapshot.id) {
            return Vec::new();
        }
        dirs.push(reader.containerd.path.join(overlayfs_snapshot(snapshot.id)));
        next = parent.map(str::to_string);
    }
    dirs
}
