//! Where a tree lies: on which filesystem, and where on that.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use thiserror::Error;

use super::THIS_THREAD;
use super::viewed_mount::ViewedMount;
use crate::fs::escape::escaped;
use crate::preflight::in_use::TreeInUse;
use crate::preflight::in_use::containment::{Above, FileId};

/// A tree whose place cannot be told.
#[derive(Debug, Error)]
#[error("{path}: cannot find out who uses it: {reason}", path = escaped(path))]
struct TreeNotFound {
    path: PathBuf,
    reason: NotFoundReason,
}

/// Why it cannot.
#[derive(Debug, Error)]
enum NotFoundReason {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("something else has taken its place meanwhile")]
    Replaced,
    #[error("its mount is not in /proc/self/mountinfo; inside a chroot it is not shown")]
    MountNotListed,
}

/// Where a tree lies.
#[derive(Debug)]
pub struct TreeMount {
    /// Its filesystem, as [`ViewedMount::filesystem`].
    pub filesystem: String,
    /// Its path from the top of that filesystem.
    pub path: PathBuf,
    /// The mount through which it was named.
    pub mount: u64,
    /// Device and inode number of the directories above it, as far as they are on that mount.
    pub above: Vec<(u64, u64)>,
}

impl TreeMount {
    /// Finds the filesystem of a tree and its place on it.
    ///
    /// # Errors
    /// A [`TreeNotFound`] in an [`io::Error`].
    pub fn find(tree: &TreeInUse, mounts: &[ViewedMount]) -> io::Result<TreeMount> {
        TreeMount::find_by_handle(tree, mounts).map_err(|reason| {
            let kind = match &reason {
                NotFoundReason::Io(error) => error.kind(),
                _ => io::ErrorKind::Other,
            };
            let path = tree.path.clone();
            io::Error::new(kind, TreeNotFound { path, reason })
        })
    }

    fn find_by_handle(
        tree: &TreeInUse,
        mounts: &[ViewedMount],
    ) -> Result<TreeMount, NotFoundReason> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(&tree.path, flags, Mode::empty()).map_err(io::Error::from)?;
        let place = FileId::of_handle(&handle)?;
        if (place.dev, place.ino) != (tree.dev, tree.ino) {
            return Err(NotFoundReason::Replaced);
        }
        let name = fs::read_link(format!("{THIS_THREAD}/fd/{}", handle.as_raw_fd()))?;
        let above = directories_above(&name, &place);
        let mount = mounts.iter().find(|mount| mount.id == place.mount);
        mount
            .and_then(|mount| TreeMount::below(mount, &name, above))
            .ok_or(NotFoundReason::MountNotListed)
    }

    fn below(mount: &ViewedMount, name: &Path, above: Vec<(u64, u64)>) -> Option<TreeMount> {
        Some(TreeMount {
            filesystem: mount.filesystem.clone(),
            path: mount.root.join(name.strip_prefix(&mount.point).ok()?),
            mount: mount.id,
            above,
        })
    }
}

pub fn above(homes: &[TreeMount]) -> Above {
    homes.iter().flat_map(|home| home.above.clone()).collect()
}

/// The directories above a tree on its mount. What is above its mount point is no part of a layer that holds it.
fn directories_above(name: &Path, tree: &FileId) -> Vec<(u64, u64)> {
    name.ancestors()
        .skip(1)
        .map_while(|dir| FileId::of(dir).ok())
        .take_while(|dir| dir.mount == tree.mount)
        .map(|dir| (dir.dev, dir.ino))
        .collect()
}
