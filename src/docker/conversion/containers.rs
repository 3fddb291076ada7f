//! Containers of a store: what their files stand on, also where their images are gone.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::gone_image::GoneImage;
use super::init_layer::{PlannedInit, lacks};
use super::plan::{ContainerImage, LayerTar, PlannedContainer, PlannedLayer};
use super::reader::{SNAPSHOTTER, StoreReader};
use crate::containerd::snapshots::SnapshotKind;
use crate::containerd::{StoreError, overlayfs_snapshot};
use crate::docker::DockerError;
use crate::docker::container::Container;
use crate::docker::layer_store::layer::{ContainerLayers, MAX_LAYERS, OverlayDir};
use crate::fs::escape::shell_word;
use crate::oci::digest::{Digest, HexId};
use crate::oci::manifest::Descriptor;

/// Seconds by which the clocks of a daemon and of a filesystem may differ.
const CLOCKS: i64 = 60;

/// A container while it is planned.
pub(super) struct StoreContainer<'c> {
    container: &'c Container,
    /// Its `config.v2.json`.
    config: &'c str,
    hex: HexId,
    /// Its snapshots.
    init: Option<u64>,
    snapshot: u64,
    /// The key of the snapshot that its first one is on.
    base: Option<String>,
}

impl StoreContainer<'_> {
    pub(super) fn id(&self) -> &str {
        &self.container.id
    }
}

impl StoreReader<'_> {
    fn bad_container(&self, container: &Container, reason: &str) -> DockerError {
        let name = &container.name;
        DockerError::in_the_way(
            &self.containerd.path,
            format!("the container {name} cannot be converted: {reason}"),
        )
    }

    /// Whether a container without files was being removed: Docker says so, or the files of others are in this containerd.
    fn is_half_removed(&self, state: &State) -> bool {
        state.dead || state.removal_in_progress || self.has_container_files()
    }

    /// When this containerd was last written to, where a container was started after that: each start is.
    fn written_before(&self, state: &State) -> Option<Timestamp> {
        let written = self.containerd.written_at()?;
        let started: Timestamp = state.started_at.parse().ok()?;
        (started.as_second() > written.as_second() + CLOCKS).then_some(written)
    }

    /// A container's own files. `root`: the docker root.
    pub(super) fn look_at<'c>(
        &self,
        (container, config): (&'c Container, &'c str),
        root: &Path,
    ) -> Result<StoreContainer<'c>, DockerError> {
        let Container {
            id, name, driver, ..
        } = container;
        let bad = |reason: &str| self.bad_container(container, reason);
        if driver != SNAPSHOTTER {
            return Err(bad(&format!(
                "its files are in the snapshotter {driver}; only those in {SNAPSHOTTER} can be converted. \
                With a plain daemon, `docker commit {name} IMAGE:TAG` keeps what it wrote, and `docker rm \
                {name}` removes it"
            )));
        }
        let hex: HexId = id.parse().map_err(|_| bad("its id is not valid"))?;
        let state = State::of(config);
        const OTHER: &str = "idshift finds its directory if it is the `root` in the configuration or in the unit of containerd, or \
                             containerd/daemon in the data-root";
        let missing = || match self.is_half_removed(&state) {
            true => bad(&format!(
                "its files are gone, as an interrupted `docker rm` leaves it. With a plain daemon: `docker rm -f {name}`. If \
                that daemon does not know it: with Docker stopped, `mv {} /root/`",
                shell_word(&root.join("containers").join(id))
            )),
            false => bad(&format!(
                "its files are not here. If the daemon uses another containerd, {OTHER}"
            )),
        };
        if let Some(written) = self.written_before(&state) {
            return Err(bad(&format!(
                "it was started at {}, and this containerd was last written to before, at {written}. So the daemon uses another \
                one, and {OTHER}. If it is this one, start the container once more with a plain daemon, and stop it",
                state.started_at
            )));
        }
        let snapshot = |key: &str| {
            let found = self.snapshot(key);
            found.filter(|(_, it)| self.containerd.has_files(it.id))
        };
        let (parent, own) = snapshot(id).ok_or_else(missing)?;
        let init_key = format!("{id}-init");
        let (base, init) = match parent {
            Some(key) if key == init_key => {
                let (base, init) = snapshot(key).ok_or_else(missing)?;
                (base, Some(init.id))
            }
            parent => (parent, None),
        };
        Ok(StoreContainer {
            container,
            config,
            hex,
            init,
            snapshot: own.id,
            base: base.map(str::to_string),
        })
    }

    /// The plan for a container whose image is there; `None`: a part of the image is gone.
    pub(super) fn of_known_image(
        &mut self,
        it: &StoreContainer<'_>,
    ) -> Result<Option<PlannedContainer>, DockerError> {
        let bad = |reader: &Self, reason: &str| reader.bad_container(it.container, reason);
        let manifest = container_manifest(it.config);
        let manifest = manifest.ok_or_else(|| {
            bad(
                self,
                &format!("it names no image. {}", by_export(it.container)),
            )
        })?;
        // An index, where Docker 23 to 25 wrote no more.
        let manifest = match self.choose(&manifest) {
            Err(error) if is_missing(&error) => return Ok(None),
            chosen => chosen.map_err(|error| {
                let name = &it.container.name;
                let help =
                    "With a plain daemon, `docker pull` its image again, or save what it holds and";
                bad(self, &format!("{error}. {help} `docker rm {name}`"))
            })?,
        };
        let image = &self.images[&manifest];
        let top = image.top.as_ref().map(|layer| layer.chain_id.to_string());
        if it.base != top {
            let reason = "its files are on layers that are not those of its image";
            return Err(bad(self, &format!("{reason}. {}", by_export(it.container))));
        }
        let mut numbers = Vec::new();
        let mut next = image.top.as_ref().map(|layer| &layer.chain_id);
        while let Some(n) = next.and_then(|chain| self.by_chain.get(chain)) {
            numbers.push(*n);
            next = match &self.layers[*n].tar {
                LayerTar::Blob { layer, .. } => layer.parent.as_ref(),
                LayerTar::Made { .. } => None,
            };
        }
        Ok(Some(PlannedContainer {
            layers: ContainerLayers::new(&it.hex, image.top.as_ref(), it.init.is_some()),
            init: self.planned_init(it, &numbers)?,
            snapshot: it.snapshot,
            image: ContainerImage::Known(image.config.clone()),
        }))
    }

    /// The plan for a container whose image is gone, with only its snapshots left: layers whose
    /// tars are made of their files.
    pub(super) fn of_gone_image(
        &mut self,
        it: &StoreContainer<'_>,
    ) -> Result<PlannedContainer, DockerError> {
        let mut keys = Vec::new();
        let mut next = it.base.clone();
        while let Some(key) = next {
            if keys.len() > 2 * MAX_LAYERS {
                return Err(self.bad_container(it.container, "its snapshots are in a loop"));
            }
            let found = self.snapshot(&key);
            let found = found.filter(|(_, it)| self.containerd.has_files(it.id));
            let (parent, snapshot) = found.ok_or_else(|| {
                let reason = format!("its image is gone, and so is the snapshot {key}");
                self.bad_container(it.container, &reason)
            })?;
            let (id, kind) = (snapshot.id, snapshot.kind);
            next = parent.map(str::to_string);
            // What Docker had put into the container that a layer was made of is no layer.
            if !is_init(&key) {
                keys.push((key, id, kind));
            }
        }
        let mut stack: Vec<usize> = Vec::new();
        for (key, id, kind) in keys.into_iter().rev() {
            if kind != SnapshotKind::Committed {
                let reason = format!("the snapshot {key} that it is on is not committed");
                return Err(self.bad_container(it.container, &reason));
            }
            let layer = self.gone_layer(&key, id, stack.last().copied());
            stack.push(layer);
        }
        if stack.len() > MAX_LAYERS {
            return Err(self.bad_container(it.container, "it has too many layers"));
        }
        let image = GoneImage::of(it.config, stack);
        let image = image.map_err(|error| self.bad_container(it.container, &error.to_string()))?;
        let top = image.stack.last().map(|top| self.layers[*top].dir());
        let layers = ContainerLayers::on_dir(&it.hex, top, it.init.is_some());
        let numbers: Vec<usize> = image.stack.iter().rev().copied().collect();
        Ok(PlannedContainer {
            layers,
            init: self.planned_init(it, &numbers)?,
            snapshot: it.snapshot,
            image: ContainerImage::Gone(image),
        })
    }

    /// What the init layer of a container becomes. `layers`: numbers of those that it is on, topmost first.
    fn planned_init(
        &self,
        it: &StoreContainer<'_>,
        layers: &[usize],
    ) -> Result<Option<PlannedInit>, DockerError> {
        let Some(snapshot) = it.init else {
            return Ok(None);
        };
        let dir = |id| self.containerd.path.join(overlayfs_snapshot(id));
        let ids = layers.iter().filter_map(|n| self.layers[*n].snapshot);
        let dirs: Vec<PathBuf> = ids.map(dir).collect();
        let lacks = match self.is_on_init(it) {
            true => lacks(&dir(snapshot), &dirs)?,
            false => Vec::new(),
        };
        Ok(Some(PlannedInit { snapshot, lacks }))
    }

    /// Whether what Docker had put into another container is below this one.
    fn is_on_init(&self, it: &StoreContainer<'_>) -> bool {
        let mut next = it.base.as_deref();
        for _ in 0..2 * MAX_LAYERS {
            match next {
                Some(key) if is_init(key) => return true,
                Some(key) => next = self.snapshot(key).and_then(|(parent, _)| parent),
                None => break,
            }
        }
        false
    }

    /// The layer that a snapshot becomes: that of an image that is there, or one whose tar is made.
    fn gone_layer(&mut self, key: &str, id: u64, below: Option<usize>) -> usize {
        let known = key.parse::<Digest>().ok();
        let known = known.and_then(|chain| self.by_chain.get(&chain).copied());
        let known = known.filter(|n| self.layers[*n].snapshot == Some(id));
        if let Some(n) = known.or(self.by_key.get(key).copied()) {
            return n;
        }
        let cache_id = HexId::hash(format!("cache snapshot {key}").as_bytes());
        let dir = OverlayDir::new(&cache_id, below.map(|n| self.layers[n].dir()));
        let n = self.layers.len();
        self.layers.push(PlannedLayer {
            tar: LayerTar::Made { dir, below },
            snapshot: Some(id),
        });
        self.by_key.insert(key.to_string(), n);
        n
    }
}

/// What `config.v2.json` says of how it is.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    dead: bool,
    removal_in_progress: bool,
    started_at: String,
}

impl State {
    fn of(config: &str) -> State {
        #[derive(Default, serde::Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        struct Config {
            state: State,
        }
        let config: Config = serde_json::from_str(config).unwrap_or_default();
        config.state
    }
}

/// What keeps the files of a container that cannot be converted; `docker commit` needs its image.
fn by_export(Container { name, .. }: &Container) -> String {
    format!(
        "With a plain daemon, `docker export {name} | docker import - IMAGE:TAG` keeps its files, and `docker rm {name}` \
        removes it"
    )
}

/// The key of what Docker puts into a container before it starts it.
fn is_init(key: &str) -> bool {
    let id = key.strip_suffix("-init");
    id.is_some_and(|id| id.parse::<HexId>().is_ok())
}

/// Whether a blob is not there, and nothing else is wrong.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
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
