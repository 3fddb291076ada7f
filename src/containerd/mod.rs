//! What containerd keeps on disk, read while it is stopped. Nothing here writes.
//!
//! - [`bolt`]: the database files of containerd and its snapshotters
//! - [`metadata`]: `meta.db`: namespaces, images, blobs, keys of snapshots
//! - [`snapshots`]: the database of a snapshotter: directories of snapshots
//! - [`content`]: the blobs

pub mod bolt;
pub mod content;
pub mod metadata;
pub mod snapshots;

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use thiserror::Error;

use self::bolt::BoltError;
use self::content::ContentStore;
use self::metadata::Metadata;
use self::snapshots::Snapshots;
use crate::fs::escape::escaped;

/// Why something of containerd's cannot be read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A database is damaged.
    #[error(transparent)]
    Bolt(#[from] BoltError),
    /// A file cannot be opened or read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file has content that containerd does not write.
    #[error("{path}: {reason}", path = escaped(path))]
    Content {
        /// Which.
        path: PathBuf,
        /// What it holds.
        reason: String,
    },
}

/// containerd's directory, `root` in its configuration: `/var/lib/containerd`, or `<data-root>/containerd/daemon` of
/// one that dockerd runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerdRoot {
    /// Where it is.
    pub path: PathBuf,
}

impl ContainerdRoot {
    /// At this path.
    pub fn at(path: impl Into<PathBuf>) -> ContainerdRoot {
        ContainerdRoot { path: path.into() }
    }

    fn plugin(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Its blobs.
    pub fn content(&self) -> ContentStore {
        ContentStore::at(self.plugin("io.containerd.content.v1.content"))
    }

    /// What it knows of its namespaces.
    ///
    /// # Errors
    /// The database is missing or damaged.
    pub fn metadata(&self) -> Result<Metadata, StoreError> {
        Metadata::open(&self.plugin("io.containerd.metadata.v1.bolt/meta.db"))
    }

    /// When its database was last written to.
    pub fn written_at(&self) -> Option<Timestamp> {
        let database = self.plugin("io.containerd.metadata.v1.bolt/meta.db");
        let time = database.symlink_metadata().ok()?.modified().ok()?;
        Timestamp::try_from(time).ok()
    }

    /// The directory of a snapshotter.
    pub fn snapshotter(&self, name: &str) -> PathBuf {
        self.plugin(&format!("io.containerd.snapshotter.v1.{name}"))
    }

    /// Whether the files of a snapshot of the overlayfs snapshotter are there.
    pub fn has_files(&self, id: u64) -> bool {
        let files = self.path.join(overlayfs_snapshot(id));
        files.symlink_metadata().is_ok_and(|found| found.is_dir())
    }

    /// What a snapshotter has.
    ///
    /// # Errors
    /// The database is missing or damaged.
    pub fn snapshots(&self, snapshotter: &str) -> Result<Snapshots, StoreError> {
        Snapshots::open(&self.snapshotter(snapshotter).join("metadata.db"))
    }
}

/// The names from containerd's directory to those of the overlayfs snapshotter's snapshots.
pub const OVERLAYFS_SNAPSHOTS: [&str; 2] = ["io.containerd.snapshotter.v1.overlayfs", "snapshots"];

/// The files of a snapshot of the overlayfs snapshotter, from containerd's directory.
pub fn overlayfs_snapshot(id: u64) -> PathBuf {
    let [snapshotter, snapshots] = OVERLAYFS_SNAPSHOTS;
    Path::new(snapshotter)
        .join(snapshots)
        .join(id.to_string())
        .join("fs")
}
