//! What [`fill`](super::fill) reads, read for a dry run and an audit: nothing is made.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::gone_image::{gone_document, made_layer, same_files};
use super::layer_reader::{LayerReader, WatchedBlob, begin};
use super::plan::{ContainerImage, Conversion, LayerTar, PlannedLayer};
use crate::docker::DockerError;
use crate::docker::layer_store::layer::Layer;
use crate::docker::layer_store::pack::pack_layer;
use crate::docker::layer_store::tar_split::split_layer;
use crate::docker::layer_store::unpack::limits::Limits;
use crate::docker::layer_store::unpack::{ReadLayer, check_layer};
use crate::engine::{Problem, RunControl, Stats};
use crate::fs::dir::open_dir;
use crate::fs::escape::escaped;
use crate::fs::space::{Amount, BARE_INODE};
use crate::idmap::{Direction, IdMap};
use crate::oci::digest::Digest;
use crate::ownership::{Mapping, map_all_of_ownership};

/// The result of checking a conversion.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The ids that images get which are made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Room that layers take which are unpacked.
    pub unpacked: Amount,
    /// Files of snapshots that are not as they are in the blobs of their layers.
    pub changed: Vec<PathBuf>,
    /// What is in layers that are unpacked, and cannot be shifted then.
    pub left: Stats,
}

impl Checked {
    fn add_unpacked(&mut self, layer: Amount) {
        let bytes = &mut self.unpacked.bytes;
        *bytes = bytes.saturating_add(layer.bytes);
        self.unpacked.inodes += layer.inodes;
    }
}

/// Reads every blob, and the files of layers, for a data-root. `map`: what the owners of files go through; none: they
/// stay as they are.
///
/// When somebody asks to stop, the result is of what was read by then.
///
/// # Errors
/// A blob is damaged or not what its image says.
pub fn check_conversion(
    conversion: &Conversion,
    (top, map): (&Path, Option<&IdMap>),
    control: RunControl<'_>,
) -> Result<Checked, DockerError> {
    let mut checked = Checked::default();
    begin(conversion, 1, control);
    match check_layers(conversion, (top, map), control, &mut checked) {
        // What is not whole then is no fault of the store.
        Err(_) if control.is_cancelled() => Ok(checked),
        Err(error) => Err(error),
        Ok(()) => Ok(checked),
    }
}

fn check_layers(
    conversion: &Conversion,
    (top, map): (&Path, Option<&IdMap>),
    control: RunControl<'_>,
    checked: &mut Checked,
) -> Result<(), DockerError> {
    let reader = LayerReader::new(conversion, control);
    let limits = limits(top)?;
    let mut layers: Vec<Layer> = Vec::new();
    let mut seen = HashSet::new();
    for planned in &conversion.layers {
        let layer = match (&planned.tar, planned.snapshot) {
            (LayerTar::Blob { layer, blob }, None) => {
                let read = check_blob(&reader, (layer, blob), &limits)?;
                checked.add_unpacked(unpacked_size(&read));
                let path = conversion.containerd.content().path(blob);
                check_owners(&read, &path, map, &mut checked.left);
                layer.clone()
            }
            (LayerTar::Blob { layer, blob }, Some(id)) => {
                let files = conversion.snapshot_dir(id);
                let changed = compare(&reader, (layer, blob), &files)?;
                checked.changed.extend(changed);
                layer.clone()
            }
            (LayerTar::Made { dir, below }, _) => {
                let diff_id = pack(conversion, planned)?;
                made_layer(dir, below.map(|n| &layers[n]), diff_id)
            }
        };
        if control.is_cancelled() {
            return Ok(());
        }
        if !seen.insert(layer.chain_id.clone()) {
            let id = planned.snapshot.unwrap_or_default();
            return Err(same_files(&conversion.snapshot_dir(id)));
        }
        layers.push(layer);
    }
    for (id, container) in &conversion.containers {
        if let ContainerImage::Gone(image) = &container.image {
            let document = gone_document(image, &layers);
            let document = document.map_err(|error| bad_document(conversion, error))?;
            checked.images.insert(id.clone(), Digest::of(&document));
        }
    }
    Ok(())
}

/// Room that layers take which are unpacked in a data-root.
///
/// # Errors
/// One of their blobs is damaged.
pub fn unpacked(
    conversion: &Conversion,
    top: &Path,
    control: RunControl<'_>,
) -> Result<Amount, DockerError> {
    let reader = LayerReader::new(conversion, control);
    let limits = limits(top)?;
    let mut checked = Checked::default();
    for planned in &conversion.layers {
        let (LayerTar::Blob { layer, blob }, None) = (&planned.tar, planned.snapshot) else {
            continue;
        };
        match check_blob(&reader, (layer, blob), &limits) {
            Err(_) if control.is_cancelled() => break,
            read => checked.add_unpacked(unpacked_size(&read?)),
        }
    }
    Ok(checked.unpacked)
}

fn bad_document(conversion: &Conversion, error: serde_json::Error) -> DockerError {
    DockerError::io(&conversion.containerd.path)(error.into())
}

/// What the filesystem of a data-root keeps of a layer.
fn limits(top: &Path) -> Result<Limits, DockerError> {
    let dir = open_dir(rustix::fs::CWD, top).map_err(std::io::Error::from);
    dir.and_then(Limits::of).map_err(DockerError::io(top))
}

/// What a layer becomes when its blob is unpacked.
fn check_blob(
    reader: &LayerReader<'_>,
    (layer, blob): (&Layer, &Digest),
    limits: &Limits,
) -> Result<ReadLayer, DockerError> {
    let check = |blob: &mut WatchedBlob<'_>| check_layer(blob, limits);
    reader.read((layer, blob), check, |it| &it.diff_id)
}

fn unpacked_size(read: &ReadLayer) -> Amount {
    Amount {
        bytes: read.bytes + read.entries * BARE_INODE,
        inodes: read.entries,
    }
}

/// Adds what the walk of a run would find of a layer once it is unpacked (`Layout`): ids that the map does not have.
fn check_owners(read: &ReadLayer, blob: &Path, map: Option<&IdMap>, left: &mut Stats) {
    let Some(map) = map else { return };
    for (path, ownership) in read.tree.owners() {
        if let Mapping::Unmapped(why) = map_all_of_ownership(ownership, map, Direction::Into) {
            left.add_problem(Problem {
                path: blob.to_path_buf(),
                kind: (&why).into(),
                reason: format!("tar entry {}: {why}", escaped(&path)),
            });
        }
    }
}

/// The files of a layer that are not as they are in its blob.
fn compare(
    reader: &LayerReader<'_>,
    (layer, blob): (&Layer, &Digest),
    files: &Path,
) -> Result<Vec<PathBuf>, DockerError> {
    let dir = open_files(files)?;
    let compare = |blob: &mut WatchedBlob<'_>| split_layer(blob, dir.as_fd(), io::sink());
    let split = reader.read((layer, blob), compare, |it| &it.diff_id)?;
    let names = split.changed.iter();
    Ok(names
        .map(|name| files.join(OsStr::from_bytes(name)))
        .collect())
}

/// The diff id of a layer whose tar is made of its files.
fn pack(conversion: &Conversion, planned: &PlannedLayer) -> Result<Digest, DockerError> {
    let files = conversion.snapshot_dir(planned.snapshot.unwrap_or_default());
    let dir = open_files(&files)?;
    let packed = pack_layer(dir.as_fd(), io::sink());
    packed.map_err(|error| DockerError::in_the_way(&files, error.to_string()))
}

fn open_files(files: &Path) -> Result<OwnedFd, DockerError> {
    let dir = open_dir(rustix::fs::CWD, files);
    dir.map_err(|errno| DockerError::io(files)(errno.into()))
}
