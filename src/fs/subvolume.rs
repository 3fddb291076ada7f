//! Subvolumes of btrfs in a tree. Each has a device number of its own and no mount (`btrfs-subvolume(8)`), so `cp
//! --one-file-system` makes an empty directory of it, without a word.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::PinnedFile;

/// The first directory of a tree that is on another device than `dev`, and no mount point. What is mounted in the tree is
/// not entered.
///
/// # Errors
/// Something cannot be read.
pub fn first_subvolume(tree: &Path, dev: u64) -> io::Result<Option<PathBuf>> {
    // Only directories are looked at: other files are where their directory is.
    for entry in WalkDir::new(tree).same_file_system(true) {
        let entry = entry.map_err(io::Error::from)?;
        if !entry.file_type().is_dir() {
            continue;
        }
        let found = entry.metadata().map_err(io::Error::from)?;
        if found.dev() != dev && !PinnedFile::path(entry.path())?.stat()?.mount_root {
            return Ok(Some(entry.into_path()));
        }
    }
    Ok(None)
}

/// Whether an entry of a walk is not a directory on which something is mounted: then what is below is in the tree, also
/// where it is a subvolume.
pub fn is_in_tree(entry: &DirEntry) -> bool {
    let is_mount_point = || {
        let stat = PinnedFile::path(entry.path()).and_then(|pin| pin.stat());
        stat.is_ok_and(|stat| stat.mount_root)
    };
    entry.depth() == 0 || !entry.file_type().is_dir() || !is_mount_point()
}
