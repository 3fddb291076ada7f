//! What a conversion makes: layers, images, containers' mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::copy_files::copy_files;
use super::gone_image::{GoneImage, gone_document, made_layer, same_files};
use super::init_layer::{PlannedInit, complete};
use super::layer_reader::{LayerReader, WatchedBlob, begin};
use super::plan::{ContainerImage, Conversion, LayerTar, PlannedContainer, PlannedLayer, Transfer};
use crate::docker::DockerError;
use crate::docker::layer_store::layer::{ContainerLayers, Layer, OverlayDir};
use crate::docker::layer_store::pack::pack_layer;
use crate::docker::layer_store::store::{
    ImageMetadata, LayerEntry, LayerStore, Repositories, content_size, create, new_dir,
};
use crate::docker::layer_store::tar_split::split_layer;
use crate::docker::layer_store::unpack::unpack_layer;
use crate::engine::RunControl;
use crate::fs::dir::open_dir;
use crate::oci::digest::Digest;

/// What is written while a layer has no name yet.
pub(super) const UNNAMED: &str = "tar-split";

/// What was made.
pub(super) struct Filled {
    /// The ids of images that were made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Files of snapshots that are not as they are in the blobs of their layers.
    pub changed: Vec<PathBuf>,
}

/// Makes the layer store in an empty directory.
///
/// # Errors
/// The disk is full, a blob is damaged, or somebody asked to stop. The directory is useless then.
pub(super) fn fill(
    dir: &Path,
    conversion: &Conversion,
    control: RunControl<'_>,
) -> Result<Filled, DockerError> {
    let io = |error| DockerError::io(dir)(error);
    let root = open_dir(rustix::fs::CWD, dir).map_err(|errno| io(errno.into()))?;
    let mut filler = Filler {
        dir,
        store: LayerStore::create(root.as_fd()).map_err(io)?,
        root,
        conversion,
        reader: LayerReader::new(conversion, control),
        layers: Vec::new(),
        images: BTreeMap::new(),
        changed: Vec::new(),
    };
    begin(conversion, 2, control);
    for layer in &conversion.layers {
        filler.check_goes_on()?;
        let made = filler.add_layer(layer)?;
        filler.layers.push(made);
    }
    filler.add_images()?;
    for (id, container) in &conversion.containers {
        filler.check_goes_on()?;
        filler.add_container(id, container)?;
    }
    Ok(Filled {
        images: filler.images,
        changed: filler.changed,
    })
}

struct Filler<'a> {
    dir: &'a Path,
    root: OwnedFd,
    store: LayerStore,
    conversion: &'a Conversion,
    reader: LayerReader<'a>,
    /// Those of the plan, as far as they are made.
    layers: Vec<Layer>,
    images: BTreeMap<String, Digest>,
    changed: Vec<PathBuf>,
}

/// The files of a layer, where they are as long as nothing is renamed.
struct Files {
    dir: OwnedFd,
    path: PathBuf,
}

impl Files {
    fn open(path: PathBuf) -> Result<Files, DockerError> {
        match open_dir(rustix::fs::CWD, &path) {
            Ok(dir) => Ok(Files { dir, path }),
            Err(errno) => Err(DockerError::io(path)(errno.into())),
        }
    }
}

impl Filler<'_> {
    fn io(&self, error: io::Error) -> DockerError {
        DockerError::io(self.dir)(error)
    }

    fn check_goes_on(&self) -> Result<(), DockerError> {
        match self.reader.control.is_cancelled() {
            false => Ok(()),
            true => {
                let why = "the conversion was interrupted. Nothing was changed";
                Err(DockerError::in_the_way(self.dir, why))
            }
        }
    }

    fn add_layer(&mut self, planned: &PlannedLayer) -> Result<Layer, DockerError> {
        let files = self.add_files(planned)?;
        let size = content_size(files.dir.as_fd()).map_err(DockerError::io(&files.path))?;
        match &planned.tar {
            LayerTar::Blob { layer, blob } => {
                let entry = self.store.add_layer(layer, size);
                let entry = entry.map_err(|error| self.io(error))?;
                let changed = self.split(blob, layer, &files, &entry)?;
                // What was unpacked just now, nobody has changed.
                if let Some(id) = planned.snapshot {
                    let kept = self.conversion.snapshot_dir(id);
                    let names = changed.iter();
                    let paths = names.map(|name| kept.join(OsStr::from_bytes(name)));
                    self.changed.extend(paths);
                }
                Ok(layer.clone())
            }
            LayerTar::Made { dir, below } => {
                let out = create(&self.root, UNNAMED, 0o644).map_err(|error| self.io(error))?;
                let diff_id = pack_layer(files.dir.as_fd(), out)
                    .map_err(|error| DockerError::in_the_way(&files.path, error.to_string()))?;
                let layer = made_layer(dir, below.map(|n| &self.layers[n]), diff_id);
                let entry = self.store.add_layer(&layer, size);
                let entry = entry.map_err(|error| match error.kind() {
                    io::ErrorKind::AlreadyExists => same_files(&files.path),
                    _ => self.io(error),
                })?;
                let taken = entry.take_tar_split(self.root.as_fd(), UNNAMED);
                taken.map_err(|error| self.io(error))?;
                Ok(layer)
            }
        }
    }

    /// Makes a layer's directory, and its files where they are not those of a snapshot that is renamed.
    fn add_files(&self, planned: &PlannedLayer) -> Result<Files, DockerError> {
        let made = self.store.add_dir(planned.dir(), true);
        let made = made.map_err(|error| self.io(error))?;
        match (planned.snapshot, &planned.tar) {
            (Some(id), _) => self.take_snapshot(id, planned.dir()),
            (None, LayerTar::Blob { layer, blob }) => {
                let dir = new_dir(&made, "diff", 0o755).map_err(|error| self.io(error))?;
                self.unpack(blob, layer, &dir)?;
                let path = self.diff_path(planned.dir());
                Ok(Files { dir, path })
            }
            (None, LayerTar::Made { .. }) => {
                let why = "a layer has neither a blob nor a snapshot";
                Err(DockerError::in_the_way(self.dir, why))
            }
        }
    }

    fn diff_path(&self, dir: &OverlayDir) -> PathBuf {
        self.dir.join("overlay2").join(dir.name()).join("diff")
    }

    /// The files of a snapshot, copied where they are to stay.
    fn take_snapshot(&self, id: u64, dir: &OverlayDir) -> Result<Files, DockerError> {
        let from = self.conversion.snapshot_dir(id);
        match self.conversion.transfer {
            Transfer::Rename => Files::open(from),
            Transfer::Copy => {
                let to = self.diff_path(dir);
                copy_files(&from, &to, self.reader.control)?;
                Files::open(to)
            }
        }
    }

    /// What Docker put into a container, with what the layers below have no more.
    fn take_init(&self, init: &PlannedInit, dir: &OverlayDir) -> Result<(), DockerError> {
        if init.lacks.is_empty() {
            return self.take_snapshot(init.snapshot, dir).map(drop);
        }
        let to = self.diff_path(dir);
        let from = self.conversion.snapshot_dir(init.snapshot);
        copy_files(&from, &to, self.reader.control)?;
        complete(&to, &init.lacks).map_err(DockerError::io(to))
    }

    fn unpack(&self, digest: &Digest, layer: &Layer, dir: &OwnedFd) -> Result<(), DockerError> {
        fn diff_id(unpacked: &Digest) -> &Digest {
            unpacked
        }
        let unpack = |blob: &mut WatchedBlob<'_>| unpack_layer(blob, dir.as_fd());
        self.reader.read((layer, digest), unpack, diff_id).map(drop)
    }

    fn split(
        &self,
        digest: &Digest,
        layer: &Layer,
        files: &Files,
        entry: &LayerEntry,
    ) -> Result<BTreeSet<Vec<u8>>, DockerError> {
        let out = entry.tar_split().map_err(|error| self.io(error))?;
        let split = |blob: &mut WatchedBlob<'_>| split_layer(blob, files.dir.as_fd(), out);
        let split = self.reader.read((layer, digest), split, |it| &it.diff_id)?;
        Ok(split.changed)
    }

    fn add_images(&self) -> Result<(), DockerError> {
        let mut repositories = Repositories::default();
        for image in &self.conversion.images {
            let content = self.conversion.containerd.content();
            let bytes = content.document(&image.config)?;
            let id = self.store.add_image(&bytes, &image.metadata);
            let id = id.map_err(|error| self.io(error))?;
            for name in &image.references {
                repositories.add(&name.repository, &name.reference, &id);
            }
        }
        let added = self.store.add_repositories(&repositories);
        added.map_err(|error| self.io(error))
    }

    fn add_container(&mut self, id: &str, planned: &PlannedContainer) -> Result<(), DockerError> {
        let PlannedContainer {
            layers,
            init,
            snapshot,
            image,
        } = planned;
        if let Some((dir, init)) = layers.init.as_ref().zip(init.as_ref()) {
            let made = self.store.add_dir(dir, true);
            made.map_err(|error| self.io(error))?;
            self.take_init(init, dir)?;
        }
        let made = self.store.add_dir(&layers.dir, false);
        made.map_err(|error| self.io(error))?;
        self.take_snapshot(*snapshot, &layers.dir)?;
        let layers = match image {
            ContainerImage::Known(_) => layers.clone(),
            ContainerImage::Gone(image) => {
                let made = self.add_gone_image(image)?;
                self.images.insert(id.to_string(), made);
                ContainerLayers {
                    parent: image.stack.last().map(|n| self.layers[*n].chain_id.clone()),
                    ..layers.clone()
                }
            }
        };
        let added = self.store.add_container(&layers);
        added.map_err(|error| self.io(error))
    }

    fn add_gone_image(&self, image: &GoneImage) -> Result<Digest, DockerError> {
        let document = gone_document(image, &self.layers);
        let document = document.map_err(|error| self.io(error.into()))?;
        let id = Digest::of(&document);
        match self.store.add_image(&document, &ImageMetadata::default()) {
            // Two containers of one image.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(id),
            Err(error) => Err(self.io(error)),
            Ok(_) => Ok(id),
        }
    }
}
