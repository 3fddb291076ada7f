//! Reads a store for a plan: images by their names, containers by their ids, and what either stands on.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{
    Conversion, Left, NAMESPACE, PlannedContainer, PlannedImage, PlannedLayer, Transfer,
};
use crate::containerd::ContainerdRoot;
use crate::containerd::metadata::{Image, Labels, Namespace};
use crate::containerd::snapshots::{Snapshot, Snapshots};
use crate::docker::DockerError;
use crate::oci::digest::{Digest, HexId};

/// The only snapshotter whose snapshots are what overlay2 has as layers.
pub const SNAPSHOTTER: &str = "overlayfs";

static NO_LABELS: Labels = Labels::new();

/// What is read of a store while a plan is made.
pub(super) struct StoreReader<'a> {
    pub(super) containerd: &'a ContainerdRoot,
    pub(super) namespace: Namespace,
    snapshots: Option<Snapshots>,
    pub(super) layers: Vec<PlannedLayer>,
    /// Which of them has this chain id.
    pub(super) by_chain: BTreeMap<Digest, usize>,
    /// Which of them is made of the snapshot with this key.
    pub(super) by_key: BTreeMap<String, usize>,
    /// By their manifests' digests.
    pub(super) images: BTreeMap<Digest, PlannedImage>,
    pub(super) other_platforms: BTreeSet<Digest>,
    pub(super) attestations: BTreeSet<Digest>,
    other_namespaces: Vec<String>,
    in_use: bool,
}

impl<'a> StoreReader<'a> {
    /// Reads what containerd knows.
    pub(super) fn open(
        containerd: &'a ContainerdRoot,
        namespace: &str,
    ) -> Result<StoreReader<'a>, DockerError> {
        let mut metadata = containerd.metadata()?;
        // Where another snapshotter is used, layers are unpacked from their blobs.
        let has_any = containerd.snapshotter(SNAPSHOTTER).join("metadata.db");
        let snapshots = match has_any.symlink_metadata() {
            Ok(_) => Some(containerd.snapshots(SNAPSHOTTER)?),
            Err(_) => None,
        };
        let own = metadata.namespaces.remove(namespace);
        let others = other_namespaces(&metadata.namespaces);
        if own.is_none() && !others.is_empty() {
            return Err(DockerError::in_the_way(
                &containerd.path,
                format!(
                    "has no namespace {namespace}, in which a plain daemon keeps its images, but {}. If the daemon is told \
                     another containerd-namespace, remove that option: with the plain daemon, `docker save` the images \
                     that you need first, and `docker load` them then",
                    others.join(", ")
                ),
            ));
        }
        Ok(StoreReader {
            namespace: own.unwrap_or_default(),
            containerd,
            snapshots,
            layers: Vec::new(),
            by_chain: BTreeMap::new(),
            by_key: BTreeMap::new(),
            images: BTreeMap::new(),
            other_platforms: BTreeSet::new(),
            attestations: BTreeSet::new(),
            other_namespaces: others,
            in_use: metadata.in_use(),
        })
    }

    /// Images by their names.
    pub(super) fn images_by_name(&self) -> impl Iterator<Item = (&str, &Image)> {
        let all = self.namespace.images.iter();
        all.map(|(name, image)| (name.as_str(), image))
    }

    /// The labels of a blob.
    pub(super) fn labels(&self, digest: &str) -> &Labels {
        self.namespace.blobs.get(digest).unwrap_or(&NO_LABELS)
    }

    /// A snapshot by its key, and the key of the one that it is on.
    pub(super) fn snapshot(&self, key: &str) -> Option<(Option<&str>, &Snapshot)> {
        let name = self.namespace.snapshots.get(SNAPSHOTTER)?.get(key)?;
        let snapshot = self.snapshots.as_ref()?.all.get(&name.name)?;
        Some((name.parent.as_deref(), snapshot))
    }

    /// Whether it has the files of any container.
    pub(super) fn has_container_files(&self) -> bool {
        let keys = self.namespace.snapshots.get(SNAPSHOTTER);
        let mut keys = keys.into_iter().flat_map(BTreeMap::keys);
        keys.any(|key| {
            let snapshot = self.snapshot(key).filter(|_| key.parse::<HexId>().is_ok());
            snapshot.is_some_and(|(_, it)| self.containerd.has_files(it.id))
        })
    }

    fn blob_bytes(&self) -> u64 {
        let content = self.containerd.content();
        let digests = self.namespace.blobs.keys();
        let paths = digests.filter_map(|it| it.parse().ok().map(|it| content.path(&it)));
        let sizes = paths.filter_map(|path| path.symlink_metadata().ok().map(|it| it.len()));
        sizes.sum()
    }

    pub(super) fn conversion(
        mut self,
        containers: BTreeMap<String, PlannedContainer>,
    ) -> Conversion {
        let blob_bytes = self.blob_bytes();
        // Several manifests may have the same configuration.
        let mut images: BTreeMap<Digest, PlannedImage> = BTreeMap::new();
        for (manifest, image) in self.images {
            self.other_platforms.remove(&manifest);
            match images.get_mut(&image.config) {
                Some(other) => other.references.extend(image.references),
                None => drop(images.insert(image.config.clone(), image)),
            }
        }
        Conversion {
            containerd: self.containerd.clone(),
            layers: self.layers,
            images: images.into_values().collect(),
            containers,
            transfer: Transfer::Rename,
            left: Left {
                platforms: self.other_platforms.len(),
                attestations: self.attestations.len(),
                blob_bytes,
                namespaces: self.other_namespaces,
            },
            in_use: self.in_use || self.snapshots.is_some_and(|it| it.in_use()),
        }
    }
}

/// Namespaces of others than Docker that have something in this containerd.
pub fn other_namespaces(all: &BTreeMap<String, Namespace>) -> Vec<String> {
    let is_used =
        |it: &Namespace| !it.images.is_empty() || !it.snapshots.is_empty() || !it.blobs.is_empty();
    let is_other = |name: &str| name != NAMESPACE && name != "moby_history";
    let others = all
        .iter()
        .filter(|(name, it)| is_other(name) && is_used(it));
    others.map(|(name, _)| name.clone()).collect()
}
