//! What a containerd image store becomes: which snapshot is which layer, for every image and container of a plain
//! daemon.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, StatxFlags};

use super::names::Reference;
use super::reader::Reader;
use super::staging::staging_name;
use crate::containerd::{ContainerdRoot, OVERLAYFS_SNAPSHOTS, overlayfs_snapshot};
use crate::docker::DockerError;
use crate::docker::container::Container;
use crate::docker::graph::layer::{ContainerLayers, Layer};
use crate::docker::graph::store::ImageMetadata;
use crate::docker::layout::SnapshotTrees;
use crate::fs::escape::escaped;
use crate::oci::digest::Digest;

/// The namespace of a daemon that is not remapped.
pub const NAMESPACE: &str = "moby";

/// What a store becomes.
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
    /// Manifests for other platforms and attestations, which a storage driver has no place for.
    pub left_manifests: usize,
    /// containerd runs, and may change any of it.
    pub in_use: bool,
}

/// A layer of an image.
#[derive(Clone, Debug)]
pub struct PlannedLayer {
    /// What it becomes.
    pub layer: Layer,
    /// Its tar.
    pub blob: Digest,
    /// The number of its snapshot.
    pub snapshot: u64,
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
    /// The numbers of its snapshots: what Docker put into it, and what it wrote.
    pub init: Option<u64>,
    /// See `init`.
    pub snapshot: u64,
    /// Its image.
    pub image: Digest,
}

impl Conversion {
    /// Looks at all that a plain daemon has in this containerd.
    ///
    /// # Errors
    /// Something cannot be read, or not be carried: it is named.
    pub fn plan<'c>(
        containerd: &ContainerdRoot,
        containers: impl IntoIterator<Item = (&'c Container, &'c str)>,
    ) -> Result<Conversion, DockerError> {
        let mut reader = Reader::open(containerd)?;
        let targets = reader.read_images()?;
        let mut planned = BTreeMap::new();
        for (container, config) in containers {
            let layers = reader.container(container, config)?;
            planned.insert(container.id.clone(), layers);
        }
        reader.note_parents(&targets);
        Ok(reader.conversion(planned))
    }

    /// The files of a snapshot.
    pub fn snapshot_dir(&self, id: u64) -> PathBuf {
        self.containerd.path.join(overlayfs_snapshot(id))
    }

    /// Where the snapshots are, for steps and owners. `next`: the number of the tree that containerd's directory is
    /// when it is not in the data-root.
    pub fn snapshot_trees(&self, top: &Path, next: usize, range: &str) -> SnapshotTrees {
        let below = self.containerd.path.strip_prefix(top);
        let is_inside = below.is_ok();
        let names = |path: &Path| -> Vec<Vec<u8>> {
            path.iter().map(|name| name.as_bytes().to_vec()).collect()
        };
        let mut way = below.map(names).unwrap_or_default();
        way.extend(OVERLAYFS_SNAPSHOTS.map(|name| name.as_bytes().to_vec()));
        let ids = self.renamed().map(|(id, _)| id.to_string().into_bytes());
        SnapshotTrees {
            root: if is_inside { 0 } else { next },
            way,
            ids: ids.collect(),
            staging: staging_name(range).into_bytes(),
        }
    }

    /// Whether all snapshots can be renamed into the docker root.
    ///
    /// # Errors
    /// One is missing, or on another filesystem.
    pub fn check_dirs(&self, root: &Path) -> Result<(), DockerError> {
        let there = mount_of(root)?;
        let mut seen = BTreeSet::new();
        for (id, _) in self.renamed() {
            let dir = self.snapshot_dir(id);
            if !seen.insert(id) {
                return Err(DockerError::in_the_way(&dir, "belongs to two layers"));
            }
            if mount_of(&dir)? != there {
                return Err(DockerError::in_the_way(
                    &dir,
                    format!(
                        "is on another filesystem or mount than {}, and layers are renamed. Move containerd's directory \
                         into the data-root's filesystem first, and tell containerd with `root` in \
                         /etc/containerd/config.toml",
                        escaped(root)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// All snapshots that are renamed, each with the directory of `overlay2` whose `diff` it becomes.
    pub fn renamed(&self) -> impl Iterator<Item = (u64, &str)> {
        let layers = self.layers.iter();
        let layers = layers.map(|it| (it.snapshot, it.layer.dir.name()));
        let containers = self.containers.values().flat_map(|it| {
            let init = it.init.zip(it.layers.init.as_ref());
            let init = init.map(|(id, dir)| (id, dir.name()));
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
        false => Err(DockerError::in_the_way(path, "is no directory")),
    }
}

/// Whether `path` is one of containerd's own.
pub fn is_containerd(path: &Path) -> bool {
    path.join("io.containerd.metadata.v1.bolt/meta.db")
        .is_file()
}
