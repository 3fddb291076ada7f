//! Making an idmapped mount (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`), and unmounting that one.
//!
//! From an open directory to an open directory: nothing is looked up by a path. Until it is attached, a mount is a
//! handle, and gone when that is closed: a process that is killed leaves the whole mount or none.
//!
//! - [`error`]: what is missing, and what helps
//! - [`identity`]: telling a mount from another that is in its place
//! - [`overlay`]: whether an overlay can be made of such mounts
//! - `unmount`: unmounting that very mount
//! - `user_namespace`: what carries the map to the kernel

mod error;
mod identity;
mod overlay;
mod unmount;
mod user_namespace;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::idmap::MountMap;
use crate::sys;

pub use error::IdmappedMountError;
pub use identity::MountIdentity;
pub use overlay::{OverlayTrialError, try_overlay};
pub use unmount::{UnmountError, Unmounting, unmount};
use user_namespace::UserNamespace;

/// Other options of a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Nothing can be changed through it.
    pub read_only: bool,
}

/// An idmapped mount that is not attached yet. It is gone when it is dropped.
#[derive(Debug)]
pub struct DetachedMount(OwnedFd);

impl DetachedMount {
    /// Shows an open directory or file with the owners of a map. What is mounted below it is not seen. No mount that is
    /// made below it later is seen elsewhere, nor the other way round (`MS_PRIVATE`); all else is as of the mount that the
    /// directory was opened through.
    ///
    /// # Errors
    /// The kernel, the filesystem, the mount or the privileges do not allow it; nothing was changed.
    pub fn of(
        source: impl AsFd,
        map: &MountMap,
        options: MountOptions,
    ) -> Result<DetachedMount, IdmappedMountError> {
        let source = source.as_fd();
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let clone = rustix::mount::open_tree(source, c"", flags)
            .map_err(|errno| error::of_clone(source, errno))?;
        let namespace = UserNamespace::with(map)?;
        let mut more = MountAttrFlags::empty();
        more.set(MountAttrFlags::MOUNT_ATTR_RDONLY, options.read_only);
        sys::set_idmapped(clone.as_fd(), namespace.as_fd(), more)
            .map_err(|error| error::of_attributes(source, &error))?;
        Ok(DetachedMount(clone))
    }

    /// Attaches it to an open directory (or file, if it shows a file), over what is mounted there.
    /// Processes that open the path from now on see it; open files stay as they are.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn attach(self, target: impl AsFd) -> Result<MountIdentity, IdmappedMountError> {
        let flags =
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.0, c"", target, c"", flags).map_err(error::of_attaching)?;
        MountIdentity::of(&self.0)
            .map_err(|error| IdmappedMountError::Call("statx", error::errno(&error)))
    }
}

impl AsFd for DetachedMount {
    /// Its top, with the owners that are seen.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests;
