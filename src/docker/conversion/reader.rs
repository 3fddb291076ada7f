//! Reads a store for a plan: images by their names, containers by their ids, and what either stands on.

use std::collections::{BTreeMap, BTreeSet};

use super::names::references;
use super::plan::{Conversion, NAMESPACE, PlannedContainer, PlannedImage, PlannedLayer};
use crate::containerd::metadata::Namespace;
use crate::containerd::snapshots::{Kind, Snapshot, Snapshots};
use crate::containerd::{ContainerdRoot, StoreError};
use crate::docker::DockerError;
use crate::docker::container::Container;
use crate::docker::graph::layer::{ContainerLayers, Layer};
use crate::docker::graph::store::ImageMetadata;
use crate::oci::digest::{Digest, HexId};
use crate::oci::manifest::{Descriptor, ImageConfig, Manifest, Target};

/// The only snapshotter whose snapshots are what overlay2 has as layers.
const SNAPSHOTTER: &str = "overlayfs";

/// Indexes in indexes.
const MAX_INDEXES: usize = 4;

/// The label by which Docker notes what an image was built on.
const PARENT_LABEL: &str = "org.mobyproject.image.parent";

/// What is read of a store while a plan is made.
pub(super) struct Reader<'a> {
    containerd: &'a ContainerdRoot,
    namespace: Namespace,
    snapshots: Snapshots,
    layers: BTreeMap<Digest, PlannedLayer>,
    order: Vec<Digest>,
    /// By their manifests' digests.
    images: BTreeMap<Digest, PlannedImage>,
    left_manifests: BTreeSet<Digest>,
    in_use: bool,
}

impl<'a> Reader<'a> {
    /// Reads what containerd knows.
    pub(super) fn open(containerd: &'a ContainerdRoot) -> Result<Reader<'a>, DockerError> {
        let mut metadata = containerd.metadata()?;
        let snapshots = containerd.snapshots(SNAPSHOTTER)?;
        Ok(Reader {
            namespace: metadata.namespaces.remove(NAMESPACE).unwrap_or_default(),
            containerd,
            snapshots,
            layers: BTreeMap::new(),
            order: Vec::new(),
            images: BTreeMap::new(),
            left_manifests: BTreeSet::new(),
            in_use: metadata.in_use(),
        })
    }

    /// All images that have names; the image of each manifest or index that a name stands for.
    pub(super) fn read_images(&mut self) -> Result<BTreeMap<Digest, Digest>, DockerError> {
        let mut targets = BTreeMap::new();
        for (name, image) in std::mem::take(&mut self.namespace.images) {
            let bad = |reason: String| {
                DockerError::in_the_way(
                    &self.containerd.path,
                    format!(
                        "the image {name} cannot be carried: {reason}. With a plain daemon, `docker pull` it again or \
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
            let none = Default::default();
            let labels = self.namespace.blobs.get(&image.target).unwrap_or(&none);
            let names = references(&name, &target, labels);
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
    fn choose(&mut self, target: &Digest) -> Result<Digest, StoreError> {
        let mut all = Vec::new();
        self.manifests(target, None, 0, &mut all)?;
        // The sort is stable.
        all.sort_by_key(|(_, is_hosts)| !is_hosts);
        let mut first = None;
        let mut chosen = None;
        for (digest, _) in &all {
            match self.image(digest) {
                _ if chosen.is_some() => {}
                Ok(()) => chosen = Some(digest.clone()),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let others = all.iter().map(|(digest, _)| digest);
        let others = others.filter(|digest| Some(*digest) != chosen.as_ref());
        self.left_manifests.extend(others.cloned());
        match (chosen, first) {
            (Some(digest), _) => Ok(digest),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.bad(target, "names no image")),
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
            self.left_manifests.insert(digest.clone());
            return Ok(());
        }
        match self.target(digest)? {
            Target::Manifest(_) => all.push((digest.clone(), is_hosts)),
            Target::Index(_) if depth == MAX_INDEXES => {
                return Err(self.bad(digest, "is an index too deep in others"));
            }
            Target::Index(inner) => {
                for one in inner {
                    if one.is_attestation() {
                        self.left_manifests.insert(one.digest.clone());
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
            return Err(self.bad(digest, "is an index, and no manifest"));
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
            if self.layers.contains_key(&layer.chain_id) {
                continue;
            }
            content.open(&blob.digest)?;
            planned.push(PlannedLayer {
                snapshot: self.layer_snapshot(&layer.chain_id)?,
                layer: layer.clone(),
                blob: blob.digest.clone(),
            });
        }
        for layer in planned {
            let chain_id = layer.layer.chain_id.clone();
            self.order.push(chain_id.clone());
            self.layers.insert(chain_id, layer);
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

    fn layer_snapshot(&self, chain_id: &Digest) -> Result<u64, StoreError> {
        let bad = |reason: &str| StoreError::Content {
            path: self.containerd.snapshotter(SNAPSHOTTER),
            reason: format!("the layer {chain_id} {reason}"),
        };
        let (_, snapshot) = self
            .snapshot(&chain_id.to_string())
            .ok_or_else(|| bad("is not unpacked"))?;
        match snapshot.kind {
            Kind::Committed => Ok(snapshot.id),
            _ => Err(bad("is not committed")),
        }
    }

    /// A snapshot by its key, and the key of the one that it is on.
    fn snapshot(&self, key: &str) -> Option<(Option<&str>, &Snapshot)> {
        let name = self.namespace.snapshots.get(SNAPSHOTTER)?.get(key)?;
        let snapshot = self.snapshots.all.get(&name.name)?;
        Some((name.parent.as_deref(), snapshot))
    }

    pub(super) fn container(
        &mut self,
        container: &Container,
        config: &str,
    ) -> Result<PlannedContainer, DockerError> {
        let Container {
            id, name, driver, ..
        } = container;
        let path = self.containerd.path.clone();
        let bad = |reason: &str| {
            DockerError::in_the_way(
                &path,
                format!("the container {name} cannot be carried: {reason}"),
            )
        };
        if driver != SNAPSHOTTER {
            return Err(bad(&format!(
                "its files are in the snapshotter {driver}, and those of {SNAPSHOTTER} are carried"
            )));
        }
        let hex: HexId = id.parse().map_err(|_| bad("its id is none"))?;
        let manifest = container_manifest(config).ok_or_else(|| bad("it names no image"))?;
        // An index, where Docker 23 to 25 wrote no more.
        let manifest = self.choose(&manifest).map_err(|error| {
            bad(&format!(
                "{error}. With a plain daemon, `docker pull` its image again, or save what it holds and `docker rm {name}`"
            ))
        })?;
        let image = &self.images[&manifest];
        let (parent, own) = self
            .snapshot(id)
            .ok_or_else(|| bad("its files are missing"))?;
        let init_key = format!("{id}-init");
        let (base, init) = match parent {
            Some(key) if key == init_key => {
                let (base, init) = self
                    .snapshot(key)
                    .ok_or_else(|| bad("its files are missing"))?;
                (base, Some(init.id))
            }
            parent => (parent, None),
        };
        let top = image.top.as_ref().map(|layer| layer.chain_id.to_string());
        if base.map(str::to_string) != top {
            return Err(bad("its files are on other layers than its image has"));
        }
        Ok(PlannedContainer {
            layers: ContainerLayers::new(&hex, image.top.as_ref(), init.is_some()),
            init,
            snapshot: own.id,
            image: image.config.clone(),
        })
    }

    pub(super) fn conversion(
        mut self,
        containers: BTreeMap<String, PlannedContainer>,
    ) -> Conversion {
        let layers = &mut self.layers;
        let ordered = self.order.iter().filter_map(|id| layers.remove(id));
        let layers = ordered.collect();
        // Several manifests may have the same configuration.
        let mut images: BTreeMap<Digest, PlannedImage> = BTreeMap::new();
        for (manifest, image) in self.images {
            self.left_manifests.remove(&manifest);
            match images.get_mut(&image.config) {
                Some(other) => other.references.extend(image.references),
                None => drop(images.insert(image.config.clone(), image)),
            }
        }
        Conversion {
            containerd: self.containerd.clone(),
            layers,
            images: images.into_values().collect(),
            containers,
            left_manifests: self.left_manifests.len(),
            in_use: self.in_use || self.snapshots.in_use(),
        }
    }
}

/// This host's architecture as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The manifest that a container's `config.v2.json` names, or the index.
fn container_manifest(config: &str) -> Option<Digest> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        image: Option<Digest>,
        image_manifest: Option<Descriptor>,
    }
    let config: Config = serde_json::from_str(config).ok()?;
    let manifest = config.image_manifest.map(|it| it.digest);
    manifest.or(config.image)
}
