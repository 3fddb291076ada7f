//! What [`fill`](super::fill) reads, read for a dry run: nothing is made.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::AsFd;
use std::path::Path;

use super::fill::{check_diff_id, gone_document, made_layer, same_files};
use super::plan::{ContainerImage, Conversion, LayerTar, PlannedLayer};
use crate::docker::DockerError;
use crate::docker::graph::blob::Blob;
use crate::docker::graph::layer::Layer;
use crate::docker::graph::pack::pack_layer;
use crate::docker::graph::unpack::check_layer;
use crate::engine::Cancel;
use crate::fs::dir::open_dir;
use crate::fs::space::{Amount, BARE_INODE};
use crate::oci::digest::Digest;

/// What a conversion would come to.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// The ids that images get which are made for containers whose own are gone, by the containers' ids.
    pub images: BTreeMap<String, Digest>,
    /// Room that layers take which are unpacked.
    pub unpacked: Amount,
}

/// Reads every blob, and the files of layers whose blobs are gone.
///
/// # Errors
/// A blob is damaged or not what its image says.
pub fn check_conversion(conversion: &Conversion, cancel: &Cancel) -> Result<Checked, DockerError> {
    let mut checked = Checked::default();
    let mut layers: Vec<Layer> = Vec::new();
    let mut seen = HashSet::new();
    for planned in &conversion.layers {
        if cancel.is_requested() {
            return Ok(checked);
        }
        let layer = match &planned.tar {
            LayerTar::Blob { layer, blob } => {
                let room = check_blob(conversion, layer, blob)?;
                if planned.snapshot.is_none() {
                    let bytes = &mut checked.unpacked.bytes;
                    *bytes = bytes.saturating_add(room.bytes);
                    checked.unpacked.inodes += room.inodes;
                }
                layer.clone()
            }
            LayerTar::Made { dir, below } => {
                let diff_id = pack(conversion, planned)?;
                made_layer(dir, below.map(|n| &layers[n]), diff_id)
            }
        };
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
    Ok(checked)
}

/// Room that layers take which are unpacked.
///
/// # Errors
/// One of their blobs is damaged.
pub fn unpacked(conversion: &Conversion, cancel: &Cancel) -> Result<Amount, DockerError> {
    let mut all = Amount::default();
    for planned in &conversion.layers {
        if let (LayerTar::Blob { layer, blob }, None) = (&planned.tar, planned.snapshot)
            && !cancel.is_requested()
        {
            let room = check_blob(conversion, layer, blob)?;
            all.bytes = all.bytes.saturating_add(room.bytes);
            all.inodes += room.inodes;
        }
    }
    Ok(all)
}

fn bad_document(conversion: &Conversion, error: serde_json::Error) -> DockerError {
    DockerError::io(&conversion.containerd.path)(error.into())
}

fn check_blob(
    conversion: &Conversion,
    layer: &Layer,
    digest: &Digest,
) -> Result<Amount, DockerError> {
    let content = conversion.containerd.content();
    let path = content.path(digest);
    let failed = |error| DockerError::io(&path)(error);
    let mut blob = Blob::new(content.open(digest)?, digest).map_err(failed)?;
    let found = check_layer(&mut blob);
    let found = found.map_err(|error| DockerError::in_the_way(&path, error.to_string()))?;
    blob.finish().map_err(failed)?;
    check_diff_id(&path, layer, &found.diff_id)?;
    Ok(Amount {
        bytes: found.bytes + found.entries * BARE_INODE,
        inodes: found.entries,
    })
}

/// The diff id of a layer whose tar is made of its files.
fn pack(conversion: &Conversion, planned: &PlannedLayer) -> Result<Digest, DockerError> {
    let files = conversion.snapshot_dir(planned.snapshot.unwrap_or_default());
    let bad = |path: &Path, why: String| DockerError::in_the_way(path, why);
    let dir =
        open_dir(rustix::fs::CWD, &files).map_err(|errno| DockerError::io(&files)(errno.into()))?;
    pack_layer(dir.as_fd(), std::io::sink()).map_err(|error| bad(&files, error.to_string()))
}
