//! The blobs of a store read to their ends, for a conversion and for its dry run: progress is told, and whoever asks to
//! stop is heard in the middle of a blob.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

use super::plan::{Conversion, LayerTar};
use crate::containerd::content::ContentStore;
use crate::docker::DockerError;
use crate::docker::layer_store::blob::Blob;
use crate::docker::layer_store::layer::Layer;
use crate::docker::layer_store::tar_reader::TarError;
use crate::engine::{Phase, RunControl};
use crate::oci::digest::Digest;

/// Reads the layers of a store.
pub(super) struct LayerReader<'a> {
    content: ContentStore,
    pub(super) control: RunControl<'a>,
}

/// A blob as it is read.
pub(super) type WatchedBlob<'a> = Blob<Watched<'a>>;

/// Somebody asked to stop. Not of the kind `Interrupted`: readers try again after that.
#[derive(Debug, Error)]
#[error("reading it was interrupted")]
struct ReadingInterrupted;

/// Tells of what is read of a file.
pub(super) struct Watched<'a> {
    file: File,
    control: RunControl<'a>,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.control.is_cancelled() {
            return Err(io::Error::other(ReadingInterrupted));
        }
        let count = self.file.read(into)?;
        self.control.monitor.progress(count as u64, 0);
        Ok(count)
    }
}

impl<'a> LayerReader<'a> {
    pub(super) fn new(conversion: &Conversion, control: RunControl<'a>) -> LayerReader<'a> {
        LayerReader {
            content: conversion.containerd.content(),
            control,
        }
    }

    /// Reads one blob to its end by `read`, which tells the digest of the tar in it.
    ///
    /// # Errors
    /// It is damaged, another layer than its image says, or cannot be read.
    pub(super) fn read<T>(
        &self,
        (layer, digest): (&Layer, &Digest),
        read: impl FnOnce(&mut WatchedBlob<'a>) -> Result<T, TarError>,
        diff_id: impl FnOnce(&T) -> &Digest,
    ) -> Result<T, DockerError> {
        let path = self.content.path(digest);
        let failed = |error| DockerError::io(&path)(error);
        let file = Watched {
            file: self.content.open(digest)?,
            control: self.control,
        };
        let mut blob = Blob::new(file, digest).map_err(failed)?;
        let found =
            read(&mut blob).map_err(|error| DockerError::in_the_way(&path, error.to_string()))?;
        blob.finish().map_err(failed)?;
        check_diff_id(&path, layer, diff_id(&found))?;
        Ok(found)
    }
}

/// Says that blobs are read now, so many bytes of them: each blob once, and those of layers without a snapshot
/// `unpacked` times.
pub(super) fn begin(conversion: &Conversion, unpacked: u64, control: RunControl<'_>) {
    let bytes = blob_bytes(conversion, 1, unpacked);
    control.monitor.phase(Phase::ReadingLayers, Some(bytes));
}

/// Bytes of blobs; those of layers that have a snapshot count `there` times, the others `unpacked` times.
pub(super) fn blob_bytes(conversion: &Conversion, there: u64, unpacked: u64) -> u64 {
    let content = conversion.containerd.content();
    let layers = conversion.layers.iter();
    let bytes = layers.map(|layer| {
        let LayerTar::Blob { blob, .. } = &layer.tar else {
            return 0;
        };
        let found = content.path(blob).symlink_metadata();
        let times = match layer.snapshot {
            Some(_) => there,
            None => unpacked,
        };
        times * found.map_or(0, |it| it.len())
    });
    bytes.sum()
}

fn check_diff_id(path: &Path, layer: &Layer, found: &Digest) -> Result<(), DockerError> {
    let expected = &layer.diff_id;
    match found == expected {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            path,
            format!("is not the layer that its image names: {found}, not {expected}"),
        )),
    }
}
