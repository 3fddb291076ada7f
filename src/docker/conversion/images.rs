//! Images of a store: which manifest an image is carried by, and which layers it has.

use std::collections::BTreeMap;

use super::containers::is_missing;
use super::names::references;
use super::plan::{LayerTar, PlannedImage, PlannedLayer};
use super::reader::{SNAPSHOTTER, StoreReader};
use crate::containerd::StoreError;
use crate::containerd::snapshots::SnapshotKind;
use crate::docker::DockerError;
use crate::docker::layer_store::layer::Layer;
use crate::docker::layer_store::store::ImageMetadata;
use crate::oci::architecture;
use crate::oci::digest::Digest;
use crate::oci::manifest::{Descriptor, ImageConfig, Manifest, Target};

/// Indexes in indexes.
const MAX_INDEXES: usize = 4;

/// The label by which Docker notes what an image was built on.
const PARENT_LABEL: &str = "org.mobyproject.image.parent";

/// The label by which containerd notes the digest of a blob's tar, uncompressed.
const TAR_LABEL: &str = "containerd.io/uncompressed";

impl StoreReader<'_> {
    /// All images that have names; the image of each manifest or index that a name stands for.
    pub(super) fn read_images(&mut self) -> Result<BTreeMap<Digest, Digest>, DockerError> {
        let mut targets = BTreeMap::new();
        for (name, image) in std::mem::take(&mut self.namespace.images) {
            let bad = |reason: String| {
                DockerError::in_the_way(
                    &self.containerd.path,
                    format!(
                        "the image {name} cannot be converted: {reason}. With a plain daemon, `docker pull` it again or \
                         `docker rmi` it"
                    ),
                )
            };
            let target: Digest = image
                .target
                .parse()
                .map_err(|error| bad(format!("{error}")))?;
            let manifest = self
                .choose(&target)
                .map_err(|error| bad(error.to_string()))?;
            targets.insert(target.clone(), manifest.clone());
            let names = references(&name, &target, self.labels(&image.target));
            let parent = image.labels.get(PARENT_LABEL);
            let Some(found) = self.images.get_mut(&manifest) else {
                continue;
            };
            found.references.extend(names);
            let metadata = &mut found.metadata;
            let time = image.updated_at.map(|time| time.to_string());
            metadata.last_updated = metadata.last_updated.take().max(time);
            // A manifest's digest so far.
            let parent = parent.and_then(|parent| parent.parse().ok());
            metadata.parent = metadata.parent.take().or(parent);
        }
        Ok(targets)
    }

    /// Parents are noted as manifests in the store, and as configurations with a storage driver.
    pub(super) fn note_parents(&mut self, targets: &BTreeMap<Digest, Digest>) {
        let config = |manifest: &Digest| {
            let manifest = targets.get(manifest).unwrap_or(manifest);
            self.images.get(manifest).map(|it| it.config.clone())
        };
        let parents: Vec<Option<Digest>> = self
            .images
            .values()
            .map(|it| it.metadata.parent.as_ref().and_then(config))
            .collect();
        for (image, parent) in self.images.values_mut().zip(parents) {
            image.metadata.parent = parent;
        }
    }

    /// The manifest that an image is carried by: this host's platform, or the first that is all there.
    pub(super) fn choose(&mut self, target: &Digest) -> Result<Digest, StoreError> {
        let mut all = Vec::new();
        self.manifests(target, None, 0, &mut all)?;
        // The sort is stable.
        all.sort_by_key(|(_, is_hosts)| !is_hosts);
        let mut first = None;
        let mut chosen = None;
        for (digest, _) in &all {
            // One is carried: what is looked at after it would be carried as an image without a name.
            match self.image(digest) {
                Ok(()) => {
                    chosen = Some(digest.clone());
                    break;
                }
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let others = all.iter().map(|(digest, _)| digest);
        let others = others.filter(|digest| Some(*digest) != chosen.as_ref());
        self.other_platforms.extend(others.cloned());
        match (chosen, first) {
            (Some(digest), _) => Ok(digest),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.bad(target, "has no platform whose content is complete here")),
        }
    }

    /// The manifests that a target stands for, and whether each is for this host.
    fn manifests(
        &mut self,
        digest: &Digest,
        of: Option<&Descriptor>,
        depth: usize,
        all: &mut Vec<(Digest, bool)>,
    ) -> Result<(), StoreError> {
        let is_hosts = of
            .and_then(|it| it.platform.as_ref())
            .is_none_or(|it| it.os == "linux" && it.architecture == architecture());
        if of.is_some() && !self.containerd.content().has(digest) {
            // Of another platform, mostly: only what is used was pulled.
            return Ok(());
        }
        match self.target(digest)? {
            Target::Manifest(_) => all.push((digest.clone(), is_hosts)),
            Target::Index(_) if depth == MAX_INDEXES => {
                return Err(self.bad(digest, "is an index that is nested too deep"));
            }
            Target::Index(inner) => {
                for one in inner {
                    if one.is_attestation() {
                        let is_there = self.containerd.content().has(&one.digest);
                        self.attestations
                            .extend(is_there.then(|| one.digest.clone()));
                    } else {
                        self.manifests(&one.digest, Some(&one), depth + 1, all)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn target(&self, digest: &Digest) -> Result<Target, StoreError> {
        let bytes = self.containerd.content().document(digest)?;
        Target::parse(&bytes).map_err(|error| self.bad(digest, &error.to_string()))
    }

    fn bad(&self, digest: &Digest, reason: &str) -> StoreError {
        StoreError::Content {
            path: self.containerd.content().path(digest),
            reason: reason.to_string(),
        }
    }

    /// The image of a manifest, with its layers.
    fn image(&mut self, digest: &Digest) -> Result<(), StoreError> {
        if self.images.contains_key(digest) {
            return Ok(());
        }
        let Target::Manifest(Manifest { config, layers }) = self.target(digest)? else {
            return Err(self.bad(digest, "is an index, not a manifest"));
        };
        let content = self.containerd.content();
        let bytes = content.document(&config.digest)?;
        let parsed = ImageConfig::parse(&bytes);
        let parsed = parsed.map_err(|error| self.bad(&config.digest, &error.to_string()))?;
        if parsed.diff_ids.len() != layers.len() {
            return Err(self.bad(
                digest,
                "has another number of layers than its configuration",
            ));
        }
        let stack = Layer::stack(&parsed.diff_ids);
        let stack = stack.map_err(|error| self.bad(&config.digest, &error.to_string()))?;
        let mut planned = Vec::new();
        for (layer, blob) in stack.iter().zip(&layers) {
            if self.by_chain.contains_key(&layer.chain_id) {
                continue;
            }
            let blob = self.layer_blob(&blob.digest, &layer.diff_id)?;
            let snapshot = self.layer_snapshot(&layer.chain_id)?;
            let tar = LayerTar::Blob {
                layer: layer.clone(),
                blob,
            };
            planned.push((layer.chain_id.clone(), PlannedLayer { tar, snapshot }));
        }
        for (chain_id, layer) in planned {
            self.by_chain.insert(chain_id, self.layers.len());
            self.layers.push(layer);
        }
        let image = PlannedImage {
            config: config.digest,
            metadata: ImageMetadata::default(),
            references: Vec::new(),
            top: stack.last().cloned(),
        };
        self.images.insert(digest.clone(), image);
        Ok(())
    }

    /// The blob of a layer. A pull leaves out what is unpacked already, of a blob that was packed otherwise: then that one
    /// is taken, which has the same tar.
    fn layer_blob(&self, told: &Digest, diff_id: &Digest) -> Result<Digest, StoreError> {
        let content = self.containerd.content();
        match content.open(told) {
            Err(error) if is_missing(&error) => {
                let tar = diff_id.to_string();
                let blobs = self.namespace.blobs.iter();
                let same = blobs.filter(|(_, labels)| labels.get(TAR_LABEL) == Some(&tar));
                let same = same.filter_map(|(digest, _)| digest.parse().ok());
                let mut same = std::iter::once(diff_id.clone()).chain(same);
                same.find(|digest| content.has(digest)).ok_or(error)
            }
            opened => opened.map(|_| told.clone()),
        }
    }

    /// The snapshot that a layer is unpacked in; none: it is not, or an earlier conversion made a layer of its files.
    fn layer_snapshot(&self, chain_id: &Digest) -> Result<Option<u64>, StoreError> {
        match self.snapshot(&chain_id.to_string()) {
            None => Ok(None),
            Some((_, snapshot)) if snapshot.kind == SnapshotKind::Committed => {
                Ok(Some(snapshot.id).filter(|id| self.containerd.has_files(*id)))
            }
            Some(_) => Err(StoreError::Content {
                path: self.containerd.snapshotter(SNAPSHOTTER),
                reason: format!("the layer {chain_id} is not committed"),
            }),
        }
    }
}
