//! What a containerd image store becomes: which snapshot is which layer, for every image and container.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, StatxFlags};

use super::copy_files::check_is_closed;
use super::gone_image::GoneImage;
use super::init_layer::PlannedInit;
use super::names::Reference;
use crate::containerd::{ContainerdRoot, OVERLAYFS_SNAPSHOTS, overlayfs_snapshot};
use crate::docker::DockerError;
use crate::docker::holds::Holds;
use crate::docker::layer_store::layer::{ContainerLayers, Layer, OverlayDir};
use crate::docker::layer_store::store::ImageMetadata;
use crate::docker::layout::SnapshotTrees;
use crate::fs::space::{self, Amount, BARE_INODE};
use crate::oci::digest::Digest;

/// The namespace of a daemon that is not remapped.
pub const NAMESPACE: &str = "moby";

/// The plan of a conversion.
#[derive(Debug)]
pub struct Conversion {
    /// containerd's directory.
    pub containerd: ContainerdRoot,
    /// Each once; what is below a layer comes before it.
    pub layers: Vec<PlannedLayer>,
    /// Each once, whatever names it has.
    pub images: Vec<PlannedImage>,
    /// Containers by their ids.
    pub containers: BTreeMap<String, PlannedContainer>,
    /// How the files of snapshots become those of layers.
    pub transfer: Transfer,
    /// What a storage driver cannot keep.
    pub left: Left,
    /// containerd runs, and may change any of it.
    pub in_use: bool,
}

/// What stays in the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Manifests for other platforms.
    pub platforms: usize,
    /// Statements about images.
    pub attestations: usize,
    /// Bytes of all blobs that Docker has there.
    pub blob_bytes: u64,
    /// containerd's namespaces of others than Docker.
    pub namespaces: Vec<String>,
}

/// How the files of a snapshot become those of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// The snapshot is renamed.
    Rename,
    /// It stays, and is copied.
    Copy,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct PlannedLayer {
    /// What it becomes, and of what.
    pub tar: LayerTar,
    /// The number of its snapshot; none: it is unpacked from its blob.
    pub snapshot: Option<u64>,
}

/// Where the tar of a layer is.
#[derive(Clone, Debug)]
pub enum LayerTar {
    /// In the content store.
    Blob {
        /// What it becomes.
        layer: Layer,
        /// The blob.
        blob: Digest,
    },
    /// Nowhere any more: one is made of the files.
    Made {
        /// Its directory.
        dir: OverlayDir,
        /// The number of the layer that it is on.
        below: Option<usize>,
    },
}

impl PlannedLayer {
    /// Its directory in `overlay2`.
    pub fn dir(&self) -> &OverlayDir {
        match &self.tar {
            LayerTar::Blob { layer, .. } => &layer.dir,
            LayerTar::Made { dir, .. } => dir,
        }
    }
}

/// An image.
#[derive(Clone, Debug)]
pub struct PlannedImage {
    /// Its configuration's digest: its id with a storage driver.
    pub config: Digest,
    /// What else Docker knows of it.
    pub metadata: ImageMetadata,
    /// Its names.
    pub references: Vec<Reference>,
    pub(super) top: Option<Layer>,
}

/// A container.
#[derive(Clone, Debug)]
pub struct PlannedContainer {
    /// What its files become.
    pub layers: ContainerLayers,
    /// What Docker put into it.
    pub init: Option<PlannedInit>,
    /// The number of the snapshot with what it wrote.
    pub snapshot: u64,
    /// Its image.
    pub image: ContainerImage,
}

/// The image of a container.
#[derive(Clone, Debug)]
pub enum ContainerImage {
    /// Its id.
    Known(Digest),
    /// Only its snapshots are left.
    Gone(GoneImage),
}

impl PlannedContainer {
    /// The id of its image; `made`: of those that were made, by the ids of their containers.
    pub fn image_id(&self, made: &BTreeMap<String, Digest>) -> Digest {
        let id = self.layers.container.as_str();
        match &self.image {
            ContainerImage::Known(image) => image.clone(),
            // Before it is made, a plan has another name for it.
            ContainerImage::Gone(_) => made.get(id).cloned().unwrap_or(Digest::of(id.as_bytes())),
        }
    }
}

impl Conversion {
    /// Counts what is in the store together with what a docker root holds.
    pub fn add_to(&self, holds: &mut Holds) {
        holds.images += self.images.len();
        holds.layers += self.layers.len() + self.containers.len();
    }

    /// The files of a snapshot.
    pub fn snapshot_dir(&self, id: u64) -> PathBuf {
        self.containerd.path.join(overlayfs_snapshot(id))
    }

    /// Where the snapshots are, for steps and owners. `next`: the number of the tree that containerd's directory is
    /// when it is not in the data-root.
    pub fn snapshot_trees(&self, top: &Path, next: usize) -> SnapshotTrees {
        let below = self.containerd.path.strip_prefix(top);
        let is_inside = below.is_ok();
        let names = |path: &Path| -> Vec<Vec<u8>> {
            path.iter().map(|name| name.as_bytes().to_vec()).collect()
        };
        let mut path = below.map(names).unwrap_or_default();
        path.extend(OVERLAYFS_SNAPSHOTS.map(|name| name.as_bytes().to_vec()));
        let ids = match self.transfer {
            Transfer::Rename => self.snapshots().map(|(id, _)| id.to_string().into_bytes()),
            Transfer::Copy => return SnapshotTrees::none(if is_inside { 0 } else { next }, path),
        };
        SnapshotTrees {
            root: if is_inside { 0 } else { next },
            ids: ids.collect(),
            path,
        }
    }

    /// Chooses how the files of snapshots get into the docker root. `keeps_store`: the store stays
    /// as it is.
    ///
    /// # Errors
    /// One is missing, belongs to two layers, or could be changed by others while it is copied.
    pub fn choose_transfer(&mut self, root: &Path, keeps_store: bool) -> Result<(), DockerError> {
        let there = mount_of(root)?;
        let (mut seen, mut is_near) = (BTreeSet::new(), !keeps_store);
        for (id, _) in self.snapshots() {
            let dir = self.snapshot_dir(id);
            if !seen.insert(id) {
                return Err(DockerError::in_the_way(&dir, "belongs to two layers"));
            }
            is_near &= mount_of(&dir)? == there;
        }
        if !is_near && !seen.is_empty() {
            self.transfer = Transfer::Copy;
        }
        match self.copied().is_empty() {
            true => Ok(()),
            false => check_is_closed(&self.containerd.snapshotter("overlayfs")),
        }
    }

    /// The directories of snapshots that are copied.
    pub fn copied(&self) -> Vec<PathBuf> {
        let others = self.snapshots().filter(|_| self.transfer == Transfer::Copy);
        let others = others.map(|(id, _)| self.snapshot_dir(id));
        others.chain(self.completed()).collect()
    }

    /// Room that copies of snapshots take in a directory of the data-root's filesystem.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn copied_size(&self, root: &Path) -> Result<Amount, DockerError> {
        let dirs = self.copied();
        if dirs.is_empty() {
            return Ok(Amount::default());
        }
        let used = space::used(&dirs).map_err(DockerError::io(&self.containerd.path))?;
        let dev = |dir: &Path| dir.metadata().map(|found| found.dev()).ok();
        let shares = dirs.iter().all(|dir| dev(dir) == dev(root)) && space::can_reflink(root, root);
        Ok(Amount {
            bytes: if shares {
                used.inodes * BARE_INODE
            } else {
                used.bytes
            },
            ..used
        })
    }

    /// The directories of init layers that something is added to: these are copied in any case.
    fn completed(&self) -> impl Iterator<Item = PathBuf> {
        let inits = self.containers.values().filter_map(|it| it.init.as_ref());
        let inits = inits.filter(|init| !init.lacks.is_empty());
        inits.map(|init| self.snapshot_dir(init.snapshot))
    }

    /// All snapshots that are renamed, or copied as they are, each with the directory of `overlay2` whose `diff` it
    /// becomes.
    pub fn snapshots(&self) -> impl Iterator<Item = (u64, &str)> {
        let layers = self.layers.iter();
        let layers = layers.filter_map(|it| Some((it.snapshot?, it.dir().name())));
        let containers = self.containers.values().flat_map(|it| {
            let init = it.init.as_ref().zip(it.layers.init.as_ref());
            let init = init.filter(|(init, _)| init.lacks.is_empty());
            let init = init.map(|(init, dir)| (init.snapshot, dir.name()));
            init.into_iter()
                .chain([(it.snapshot, it.layers.dir.name())])
        });
        layers.chain(containers)
    }
}

/// The device and the mount that a directory is on; no symlink is followed.
fn mount_of(path: &Path) -> Result<(u32, u32, u64), DockerError> {
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    let wanted = StatxFlags::TYPE | StatxFlags::MNT_ID;
    let found = rustix::fs::statx(rustix::fs::CWD, path, flags, wanted);
    let found = found.map_err(|errno| DockerError::io(path)(errno.into()))?;
    let kind = FileType::from_raw_mode(found.stx_mode.into());
    match kind == FileType::Directory {
        true => Ok((found.stx_dev_major, found.stx_dev_minor, found.stx_mnt_id)),
        false => Err(DockerError::in_the_way(path, "is not a directory")),
    }
}

/// Whether `path` is one of containerd's own.
pub fn is_containerd(path: &Path) -> bool {
    path.join("io.containerd.metadata.v1.bolt/meta.db")
        .is_file()
}
