//! The files by which Docker's overlay2 driver and image store know layers, images and containers' mounts.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use serde::Serialize;

use super::digest::{Digest, HexId};
use super::layer::{ContainerLayers, Layer, OverlayDir};
use crate::fs::dir::open_dir;
use crate::fs::file_ops::move_entry;

/// The name of what becomes `image/overlay2` of a docker root: its `image` may be there already.
pub const STAGED_IMAGES: &str = "image-overlay2";

/// `overlay2` of a docker root, and what becomes its `image/overlay2`, made by [`LayerStore::create`].
///
/// Everything is 0:0, with the modes that Docker gives. Nothing is synced: whoever makes a store syncs its filesystem
/// once, before anything relies on it. No name that is there is overwritten.
#[derive(Debug)]
pub struct LayerStore {
    overlay: OwnedFd,
    links: OwnedFd,
    image: OwnedFd,
    contents: OwnedFd,
    metadata: OwnedFd,
    layers: OwnedFd,
    mounts: OwnedFd,
}

impl LayerStore {
    /// Makes `overlay2` and [`STAGED_IMAGES`], empty, in this directory.
    ///
    /// # Errors
    /// One is there already.
    pub fn create(root: BorrowedFd<'_>) -> io::Result<LayerStore> {
        let overlay = new_dir(root, "overlay2", 0o710)?;
        let image = new_dir(root, STAGED_IMAGES, 0o700)?;
        let images = new_dir(&image, "imagedb", 0o700)?;
        let (content, metadata) = (
            new_dir(&images, "content", 0o700)?,
            new_dir(&images, "metadata", 0o700)?,
        );
        let layers = new_dir(&image, "layerdb", 0o700)?;
        Ok(LayerStore {
            links: new_dir(&overlay, "l", 0o700)?,
            overlay,
            contents: new_dir(&content, "sha256", 0o700)?,
            metadata: new_dir(&metadata, "sha256", 0o700)?,
            mounts: new_dir(&layers, "mounts", 0o755)?,
            layers: new_dir(&layers, "sha256", 0o755)?,
            image,
        })
    }

    /// Makes a layer's directory in `overlay2`, without its `diff`, which has to be put or made there. All are
    /// `committed`, which Docker mounts read-only, but a container's own.
    ///
    /// # Errors
    /// It is there already, or the disk is full.
    pub fn add_dir(&self, dir: &OverlayDir, committed: bool) -> io::Result<OwnedFd> {
        let made = new_dir(&self.overlay, dir.name(), 0o710)?;
        let target = format!("../{}/diff", dir.name());
        rustix::fs::symlinkat(&*target, &self.links, dir.link().as_str())?;
        new_file(&made, "link", dir.link().as_str().as_bytes(), 0o644)?;
        let lower = dir.lower();
        if !lower.is_empty() {
            new_dir(&made, "work", 0o700)?;
            new_file(&made, "lower", lower.as_bytes(), 0o644)?;
        }
        if committed {
            new_file(&made, "committed", b"", 0o600)?;
        }
        Ok(made)
    }

    /// Adds a layer to `layerdb`. `size` is what [`content_size`] says of its `diff`; the directory
    /// that is returned lacks `tar-split.json.gz` ([`LayerEntry::tar_split`]).
    ///
    /// # Errors
    /// The layer is there already, or the disk is full.
    pub fn add_layer(&self, layer: &Layer, size: u64) -> io::Result<LayerEntry> {
        let entry = new_dir(&self.layers, layer.chain_id.hex().as_str(), 0o700)?;
        let cache_id = layer.dir.name();
        new_file(&entry, "cache-id", cache_id.as_bytes(), 0o644)?;
        new_file(&entry, "diff", layer.diff_id.to_string().as_bytes(), 0o644)?;
        new_file(&entry, "size", size.to_string().as_bytes(), 0o644)?;
        if let Some(parent) = &layer.parent {
            new_file(&entry, "parent", parent.to_string().as_bytes(), 0o644)?;
        }
        Ok(LayerEntry(entry))
    }

    /// Adds a container's layers to `layerdb`.
    ///
    /// # Errors
    /// The container is there already, or the disk is full.
    pub fn add_container(&self, layers: &ContainerLayers) -> io::Result<()> {
        let mount = new_dir(&self.mounts, layers.container.as_str(), 0o755)?;
        new_file(&mount, "mount-id", layers.dir.name().as_bytes(), 0o644)?;
        if let Some(init) = &layers.init {
            new_file(&mount, "init-id", init.name().as_bytes(), 0o644)?;
        }
        if let Some(parent) = &layers.parent {
            new_file(&mount, "parent", parent.to_string().as_bytes(), 0o644)?;
        }
        Ok(())
    }

    /// Puts an image's configuration there, byte for byte; its digest is the image's id.
    ///
    /// # Errors
    /// The image is there already, or the disk is full.
    pub fn add_image(&self, config: &[u8], metadata: &ImageMetadata) -> io::Result<HexId> {
        let id = HexId::hash(config);
        new_file(&self.contents, id.as_str(), config, 0o600)?;
        if *metadata == ImageMetadata::default() {
            return Ok(id);
        }
        let dir = new_dir(&self.metadata, id.as_str(), 0o700)?;
        if let Some(time) = &metadata.last_updated {
            new_file(&dir, "lastUpdated", time.as_bytes(), 0o600)?;
        }
        if let Some(parent) = &metadata.parent {
            new_file(&dir, "parent", parent.to_string().as_bytes(), 0o600)?;
        }
        Ok(id)
    }

    /// Puts the names of images there, `repositories.json`.
    ///
    /// # Errors
    /// The names are there already, or the disk is full.
    pub fn add_repositories(&self, repositories: &Repositories) -> io::Result<()> {
        let text = serde_json::to_vec(repositories)?;
        new_file(&self.image, "repositories.json", &text, 0o600)
    }
}

const TAR_SPLIT: &str = "tar-split.json.gz";

/// A layer's directory in `layerdb`.
#[derive(Debug)]
pub struct LayerEntry(OwnedFd);

impl LayerEntry {
    /// Makes `tar-split.json.gz`, for [`split_layer`](super::tar_split::split_layer) to write.
    ///
    /// # Errors
    /// It is there already.
    pub fn tar_split(&self) -> io::Result<std::fs::File> {
        create(&self.0, TAR_SPLIT, 0o644)
    }

    /// Takes a `tar-split.json.gz` that was written elsewhere on this filesystem: its layer had no name yet.
    ///
    /// # Errors
    /// There is one already.
    pub fn take_tar_split(&self, from: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let (from, to) = (
            (from, name.as_bytes()),
            (self.0.as_fd(), TAR_SPLIT.as_bytes()),
        );
        move_entry(from, to)
    }
}

/// What Docker knows of an image beside its configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageMetadata {
    /// When it was last tagged, RFC 3339 with nanoseconds.
    pub last_updated: Option<String>,
    /// The image that it was built on, as `docker build` without BuildKit notes it.
    pub parent: Option<Digest>,
}

/// `repositories.json`: repository, then reference (`name:tag` or `name@digest`), then image id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repositories {
    #[serde(rename = "Repositories")]
    repositories: BTreeMap<String, BTreeMap<String, Digest>>,
}

impl Repositories {
    /// Adds a name; a reference has one image, and keeps the one that it has.
    pub fn add(&mut self, repository: &str, reference: &str, image: &HexId) {
        let references = self.repositories.entry(repository.into()).or_default();
        let image = image.clone().into();
        references.entry(reference.into()).or_insert(image);
    }
}

/// The size that Docker gives a layer: of all that is not a directory, each inode once.
///
/// # Errors
/// Something cannot be read.
pub fn content_size(diff: BorrowedFd<'_>) -> io::Result<u64> {
    let mut linked = std::collections::HashSet::new();
    let mut size = 0;
    let mut ahead = vec![open_dir(diff, ".")?];
    // One descriptor for each level, not for each directory: names are taken before a directory is gone into.
    let mut names: Vec<Vec<Vec<u8>>> = vec![sub_entries(&ahead[0], &mut linked, &mut size)?];
    while let (Some(dir), Some(left)) = (ahead.last(), names.last_mut()) {
        match left.pop() {
            Some(name) => {
                let below = open_dir(dir.as_fd(), &name[..])?;
                names.push(sub_entries(&below, &mut linked, &mut size)?);
                ahead.push(below);
            }
            None => {
                ahead.pop();
                names.pop();
            }
        }
    }
    Ok(size)
}

/// The directories in a directory; adds up the sizes of all else.
fn sub_entries(
    dir: &OwnedFd,
    linked: &mut std::collections::HashSet<(u64, u64)>,
    size: &mut u64,
) -> io::Result<Vec<Vec<u8>>> {
    let mut dirs = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => dirs.push(name.to_bytes().to_vec()),
            _ if stat.st_nlink > 1 && !linked.insert((stat.st_dev, stat.st_ino)) => {}
            // Files with holes may say any size.
            _ => *size = size.saturating_add(stat.st_size.unsigned_abs()),
        }
    }
    Ok(dirs)
}

/// Makes a directory that is not there, and opens it.
pub fn new_dir(parent: impl AsFd, name: &str, mode: u32) -> io::Result<OwnedFd> {
    rustix::fs::mkdirat(&parent, name, Mode::RWXU)?;
    let dir = open_dir(parent.as_fd(), name)?;
    rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode))?;
    Ok(dir)
}

/// Makes a file that is not there.
pub fn create(dir: impl AsFd, name: &str, mode: u32) -> io::Result<std::fs::File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    Ok(file.into())
}

fn new_file(dir: impl AsFd, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
    let file = create(dir, name, mode)?;
    let mut left = content;
    while !left.is_empty() {
        match rustix::io::write(&file, left) {
            Ok(count) => left = &left[count..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
