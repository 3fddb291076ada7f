//! Whether a docker root, or the containerd image store for the daemon that works in it, has anything.

use super::converted::lacks_files;
use super::guidance::empty_the_store;
use super::locate::{containerd_dirs, has_content, place, stores_of};
use crate::containerd::ContainerdRoot;
use crate::containerd::metadata::Namespace;
use crate::docker::DockerError;
use crate::docker::conversion::plan::NAMESPACE;
use crate::docker::conversion::reader::other_namespaces;
use crate::docker::conversion::summary::removal;
use crate::docker::data_root::{DockerRoot, names};
use crate::fs::escape::escaped;

/// Whether a daemon with that store worked here: its BuildKit keeps `buildkit/containerd-<snapshotter>`.
pub fn was_used(root: &DockerRoot) -> bool {
    let buildkit = names(&root.path.join("buildkit")).unwrap_or_default();
    buildkit.iter().any(|name| name.starts_with("containerd-"))
        || root.path.join("image/identity-cache.db").is_file()
}

/// Whether the containerd image store has, or may have, something of the daemon that works in this docker root. What the
/// store has of other daemons does not count: each sees its own namespace only.
///
/// # Errors
/// It cannot be told where the store is.
pub fn has_images(root: &DockerRoot) -> Result<bool, DockerError> {
    let (top, range) = place(root);
    if !was_used(root) || !has_content(&containerd_dirs(top, &root.path)?) {
        return Ok(false);
    }
    let (stores, namespace) = stores_of(root)?;
    let may_have = |store: &ContainerdRoot| may_have(store, &namespace, range);
    Ok(stores.is_empty() || stores.iter().any(may_have))
}

/// Where its database cannot be read, or names no namespace as dockerd names its own unless told otherwise, nobody can
/// tell. A daemon that is told another one appends its range to it, too.
fn may_have(store: &ContainerdRoot, namespace: &str, range: Option<&str>) -> bool {
    let Ok(metadata) = store.metadata() else {
        return true;
    };
    let holds = |it: &Namespace| !it.images.is_empty() || !it.snapshots.is_empty();
    let all = &metadata.namespaces;
    let is_usual = |name: &String| name == NAMESPACE || name.starts_with("moby-");
    match all.get(namespace) {
        Some(own) => holds(own),
        None if !all.keys().any(is_usual) => all.values().any(holds),
        None => range.is_some_and(|range| {
            let is_of_range = |name: &str| name.ends_with(&format!("-{range}"));
            all.iter().any(|(name, it)| is_of_range(name) && holds(it))
        }),
    }
}

/// What a user would miss of a docker root, in words; none: a daemon was started there, and nothing was made with it.
///
/// # Errors
/// It cannot be read.
pub fn content_of(root: &DockerRoot) -> Result<Option<String>, DockerError> {
    const IN_STORE: &str = "images in the containerd image store";
    let holds = root.holds()?;
    Ok(match (holds.is_unused(), has_images(root)?) {
        (true, false) => None,
        (true, true) => Some(IN_STORE.into()),
        (false, false) => Some(holds.to_string()),
        (false, true) => Some(format!("{holds}, and {IN_STORE}")),
    })
}

/// Whether a daemon was started in a docker root, and nothing was made with it.
///
/// # Errors
/// It cannot be read.
pub fn is_unused(root: &DockerRoot) -> Result<bool, DockerError> {
    Ok(root.holds()?.is_unused() && !has_images(root)?)
}

/// Whether a daemon that works here keeps its images in that store only.
///
/// # Errors
/// It cannot be read.
pub fn is_alone(root: &DockerRoot) -> Result<bool, DockerError> {
    for driver in root.drivers()? {
        if !root.graph_driver_holds(&driver)?.is_unused() {
            return Ok(false);
        }
    }
    Ok(was_used(root))
}

/// A store that a daemon does not use any more.
pub enum UnusedStore {
    /// What a conversion left of it: what it says, and how it is removed.
    Converted(String, String),
    /// It has images: what it says, and what is done to need it no more.
    HasImages(String, String),
}

/// What an operator should know of a store that a daemon does not use any more.
///
/// # Errors
/// It cannot be told where the store is.
pub fn no_more_used(root: &DockerRoot) -> Result<Option<UnusedStore>, DockerError> {
    let in_use = root.drivers().is_ok_and(|drivers| !drivers.is_empty());
    if !in_use || !has_images(root)? {
        return Ok(None);
    }
    let mut converted = stores_of(root)?.0.into_iter().filter(lacks_files);
    Ok(Some(match converted.next() {
        Some(store) => {
            let metadata = store.metadata().ok();
            let others = metadata.map(|it| other_namespaces(&it.namespaces));
            let found = format!(
                "{} has the rest of a store that was converted; its layers are in overlay2",
                escaped(&store.path)
            );
            UnusedStore::Converted(found, removal(&store.path, &others.unwrap_or_default()))
        }
        None => UnusedStore::HasImages(
            format!(
                "{} was used with the containerd image store too; a daemon that uses a storage driver does not \
                show images in it, and they are not migrated",
                escaped(&root.path)
            ),
            empty_the_store(),
        ),
    }))
}

#[cfg(test)]
mod tests;
