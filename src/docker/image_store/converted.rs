//! What is left of a store whose snapshots became layers: images and their blobs, and snapshots without files.

use crate::containerd::snapshots::SnapshotKind;
use crate::containerd::{ContainerdRoot, StoreError};
use crate::docker::conversion::plan::NAMESPACE;
use crate::docker::conversion::reader::SNAPSHOTTER;

/// Whether layers of a plain daemon's images have no files in this containerd, though it knows them as unpacked: a conversion has
/// renamed them. A daemon that uses it shows these images, and starts no container of them.
pub(super) fn lacks_files(containerd: &ContainerdRoot) -> bool {
    has_snapshot_without_files(containerd).unwrap_or(false)
}

fn has_snapshot_without_files(containerd: &ContainerdRoot) -> Result<bool, StoreError> {
    let metadata = containerd.metadata()?;
    let namespace = metadata.namespaces.get(NAMESPACE);
    let Some(names) = namespace.and_then(|it| it.snapshots.get(SNAPSHOTTER)) else {
        return Ok(false);
    };
    let snapshots = containerd.snapshots(SNAPSHOTTER)?;
    let mut own = names.values().filter_map(|it| snapshots.all.get(&it.name));
    Ok(own.any(|it| it.kind == SnapshotKind::Committed && !containerd.has_files(it.id)))
}
