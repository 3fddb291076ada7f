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
use crate::docker::layer_store::unpack::check_layer;
use crate::engine::RunControl;
use crate::fs::dir::open_dir;
use crate::fs::space::{Amount, BARE_INODE};
use crate::oci::digest::Digest;

/// The result of checking a conversion.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The ids that images get which are made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Room that layers take which are unpacked.
    pub unpacked: Amount,
    /// Files of snapshots that are not as they are in the blobs of their layers.
    pub changed: Vec<PathBuf>,
}

impl Checked {
    fn add_room(&mut self, room: Amount) {
        let bytes = &mut self.unpacked.bytes;
        *bytes = bytes.saturating_add(room.bytes);
        self.unpacked.inodes += room.inodes;
    }
}

/// Reads every blob, and the files of layers.
///
/// When somebody asks to stop, the result is of what was read by then.
///
/// # Errors
/// A blob is damaged or not what its image says.
pub fn check_conversion(
    conversion: &Conversion,
    control: RunControl<'_>,
) -> Result<Checked, DockerError> {
    let mut checked = Checked::default();
    begin(conversion, 1, control);
    match check_layers(conversion, control, &mut checked) {
        // What is not whole then is no fault of the store.
        Err(_) if control.is_cancelled() => Ok(checked),
        Err(error) => Err(error),
        Ok(()) => Ok(checked),
    }
}

fn check_layers(
    conversion: &Conversion,
    control: RunControl<'_>,
    checked: &mut Checked,
) -> Result<(), DockerError> {
    let reader = LayerReader::new(conversion, control);
    let mut layers: Vec<Layer> = Vec::new();
    let mut seen = HashSet::new();
    for planned in &conversion.layers {
        let layer = match (&planned.tar, planned.snapshot) {
            (LayerTar::Blob { layer, blob }, None) => {
                checked.add_room(check_blob(&reader, layer, blob)?);
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

/// Room that layers take which are unpacked.
///
/// # Errors
/// One of their blobs is damaged.
pub fn unpacked(conversion: &Conversion, control: RunControl<'_>) -> Result<Amount, DockerError> {
    let reader = LayerReader::new(conversion, control);
    let mut checked = Checked::default();
    for planned in &conversion.layers {
        let (LayerTar::Blob { layer, blob }, None) = (&planned.tar, planned.snapshot) else {
            continue;
        };
        match check_blob(&reader, layer, blob) {
            Err(_) if control.is_cancelled() => break,
            room => checked.add_room(room?),
        }
    }
    Ok(checked.unpacked)
}

fn bad_document(conversion: &Conversion, error: serde_json::Error) -> DockerError {
    DockerError::io(&conversion.containerd.path)(error.into())
}

/// Room that a layer takes when its blob is unpacked.
fn check_blob(
    reader: &LayerReader<'_>,
    layer: &Layer,
    blob: &Digest,
) -> Result<Amount, DockerError> {
    let check = |blob: &mut WatchedBlob<'_>| check_layer(blob);
    let found = reader.read((layer, blob), check, |it| &it.diff_id)?;
    Ok(Amount {
        bytes: found.bytes + found.entries * BARE_INODE,
        inodes: found.entries,
    })
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
