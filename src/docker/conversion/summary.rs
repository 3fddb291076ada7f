//! What an operator should know of a conversion: what becomes of what, what is lost by it, what stays.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::leftover;
use super::plan::{ContainerImage, Conversion, LayerTar, Transfer};
use crate::docker::DockerError;
use crate::docker::data_root::count;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::mountinfo;
use crate::journal::name;

/// A summary of a conversion, before or after it is done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ConversionSummary {
    /// containerd's directory.
    #[serde(serialize_with = "name::serialize_path")]
    pub containerd: PathBuf,
    /// Images.
    pub images: usize,
    /// Layers of images.
    pub layers: usize,
    /// Of these, unpacked from their blobs.
    pub unpacked_layers: usize,
    /// Snapshots that are renamed or copied.
    pub snapshots: usize,
    /// Containers.
    pub containers: usize,
    /// Names of those whose images are gone.
    pub without_image: Vec<String>,
    /// Snapshots are copied, and the store stays as it is.
    pub is_copied: bool,
    /// Bytes that the copies take.
    pub copied_bytes: u64,
    /// Bytes of blobs that are read and hashed.
    pub read_bytes: u64,
    /// About how long that takes, seconds.
    pub seconds: f64,
    /// Manifests for other platforms, which are not carried.
    pub left_platforms: usize,
    /// Attestations, which are not carried.
    pub left_attestations: usize,
    /// Bytes that the store still takes up when its snapshots are renamed: its blobs.
    pub left_bytes: u64,
    /// Where it is then.
    #[serde(serialize_with = "name::serialize_path")]
    pub left_at: PathBuf,
    /// What else is in this containerd: namespaces of others.
    pub other_namespaces: Vec<String>,
    /// What a conversion had made that was cut short before it changed anything. The run removes it.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "name::serialize_optional_path"
    )]
    pub leftover: Option<PathBuf>,
    /// Files of snapshots that are not as they are in the blobs of their layers, as far as these were read.
    #[serde(serialize_with = "name::serialize_paths")]
    pub changed_files: Vec<PathBuf>,
}

/// A message about files in layers that somebody changed.
pub fn changed_files(files: &[PathBuf]) -> Option<String> {
    let first = files.first()?;
    Some(format!(
        "{} in layers differed from the image or {} gone, the first is {}. Containers see the files as they were on \
        disk; `docker save` and `docker push` use the files of the image.",
        count(files.len(), "file"),
        if files.len() == 1 { "was" } else { "were" },
        escaped(first)
    ))
}

/// Bytes of compressed blobs that are read, unpacked, hashed twice and compared with the disk a second: measured with gzip.
const BYTES_A_SECOND: f64 = 40e6;

/// When a conversion is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// It is not planned yet, or is about to begin.
    Ahead,
    /// A dry run ends.
    WouldBe,
    /// It is done.
    Done,
}

impl When {
    fn becomes(self) -> &'static str {
        match self {
            When::Ahead => "become",
            When::WouldBe => "would become",
            When::Done => "are now",
        }
    }

    fn stays(self) -> &'static str {
        match self {
            When::Ahead | When::Done => "stays",
            When::WouldBe => "would stay",
        }
    }
}

fn unpacked(layers: usize) -> String {
    format!("{} unpacked from blobs", count(layers, "layer"))
}

impl ConversionSummary {
    /// Of a conversion in this data-root; `names`: of containers, by their ids. `range`: the name of the remapped root.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn of<'n>(
        conversion: &Conversion,
        (top, range): (&Path, &str),
        name: impl Fn(&str) -> Option<&'n str>,
    ) -> Result<ConversionSummary, DockerError> {
        let containerd = &conversion.containerd;
        let content = containerd.content();
        let mut read_bytes = 0;
        let mut unpacked_layers = 0;
        for layer in &conversion.layers {
            let times = match layer.snapshot {
                Some(_) => 1,
                None => 2,
            };
            unpacked_layers += times - 1;
            if let LayerTar::Blob { blob, .. } = &layer.tar {
                let found = content.path(blob).symlink_metadata();
                read_bytes += times as u64 * found.map_or(0, |it| it.len());
            }
        }
        let gone = conversion.containers.iter();
        let gone = gone.filter(|(_, it)| matches!(it.image, ContainerImage::Gone(_)));
        let gone = gone.map(|(id, _)| name(id).unwrap_or(id).to_string());
        let is_copied = conversion.transfer == Transfer::Copy;
        let copied = conversion.copied_size(top)?;
        Ok(ConversionSummary {
            containerd: containerd.path.clone(),
            images: conversion.images.len(),
            layers: conversion.layers.len(),
            unpacked_layers,
            snapshots: match is_copied {
                true => conversion.copied().len(),
                false => conversion.snapshots().count(),
            },
            containers: conversion.containers.len(),
            without_image: gone.collect(),
            is_copied,
            copied_bytes: copied.bytes,
            read_bytes,
            seconds: read_bytes as f64 / BYTES_A_SECOND + copied.bytes as f64 / 200e6,
            left_platforms: conversion.left.platforms,
            left_attestations: conversion.left.attestations,
            left_bytes: conversion.left.blob_bytes,
            // What is in the data-root goes along.
            left_at: match containerd.path.strip_prefix(top) {
                Ok(below) if !is_copied => top.join(range).join(below),
                _ => containerd.path.clone(),
            },
            other_namespaces: conversion.left.namespaces.clone(),
            leftover: leftover::unfinished(top, range),
            changed_files: Vec::new(),
        })
    }

    /// In sentences. `bytes`: an amount in words.
    pub fn sentences(&self, when: When, bytes: impl Fn(u64) -> String) -> Vec<String> {
        let mut all = self.effects(when, &bytes);
        all.push(self.what_stays(when, &bytes));
        // As long as nothing is converted, the store is all there is.
        all.extend((when == When::Done).then(|| self.removal()));
        all
    }

    /// What becomes of what, and what is lost.
    pub fn effects(&self, when: When, bytes: &impl Fn(u64) -> String) -> Vec<String> {
        let becomes = when.becomes();
        let mut all = vec![format!(
            "{} and {} of the containerd image store {becomes} overlay2 layers: {}.",
            count(self.images, "image"),
            count(self.containers, "container"),
            self.ways(bytes),
        )];
        if !self.without_image.is_empty() {
            all.push(format!(
                "The image of {} is gone: a new one without a name is made of the files of its layers, so \
                that the container can be committed.",
                self.without_image.join(", ")
            ));
        }
        let left = [
            (
                self.left_platforms,
                "manifest for another platform",
                "manifests for other platforms",
            ),
            (self.left_attestations, "attestation", "attestations"),
        ];
        let left = left.into_iter().filter(|(n, ..)| *n > 0);
        let left = left.map(|(n, one, many)| format!(", {n} {}", if n == 1 { one } else { many }));
        all.push(format!(
            "What is lost: the build cache{}; and the digests of images that were built or loaded here, so that `IMAGE@sha256:...` \
            does not find them any more. Images get other ids, those of their configurations.",
            left.collect::<String>()
        ));
        all
    }

    /// What a run counts and a dry run does not: it is not there yet.
    pub fn not_counted(&self) -> String {
        let unpacked = match self.unpacked_layers {
            0 => String::new(),
            n => format!(", and the files of {}", unpacked(n)),
        };
        format!(
            "A run counts more inodes than a dry run, those that the conversion makes: metadata of {} and {} in image/, \
            directories and links of layers in overlay2/{unpacked}.",
            count(self.images, "image"),
            count(self.layers, "layer"),
        )
    }

    fn ways(&self, bytes: &impl Fn(u64) -> String) -> String {
        let how = match self.is_copied {
            true => format!("copied ({})", bytes(self.copied_bytes)),
            false => "renamed".into(),
        };
        let parts = [
            (
                self.snapshots,
                format!("{} {how}", count(self.snapshots, "snapshot")),
            ),
            (self.unpacked_layers, unpacked(self.unpacked_layers)),
        ];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0);
        let parts: Vec<String> = parts.map(|(_, text)| text).collect();
        match parts.is_empty() {
            true => "none has files".into(),
            false => parts.join(", "),
        }
    }

    fn what_stays(&self, when: When, bytes: &impl Fn(u64) -> String) -> String {
        let place = escaped(&self.left_at);
        let stays = when.stays();
        match self.is_copied {
            true => {
                format!("The store in {place} {stays} as it is; a remapped daemon does not use it.")
            }
            false => format!(
                "The rest of the store, {} of blobs, {stays} in {place}: `idshift rollback` needs it, and a remapped daemon \
                 does not use it.",
                bytes(self.left_bytes)
            ),
        }
    }

    fn removal(&self) -> String {
        removal(&self.left_at, &self.other_namespaces)
    }
}

/// How what a conversion leaves of a store is removed. `others`: namespaces in it that others than Docker use.
pub fn removal(left_at: &Path, others: &[String]) -> String {
    // `rm -rf` would go through it.
    let mount = mountinfo::first_below(left_at);
    match others {
        [] if let Some(point) = mount => format!(
            "The store is not to be removed while something is mounted on {}.",
            escaped(&point)
        ),
        [] => format!(
            "When you need neither it nor the rollback any more, with docker and containerd stopped: rm -rf {}/*",
            shell_word(left_at)
        ),
        others => format!(
            "Do not remove all of the store: {} in it {} not of this daemon.",
            others.join(", "),
            if others.len() == 1 { "is" } else { "are" }
        ),
    }
}
