//! Unmounting one mount and no other.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use thiserror::Error;

use super::MountIdentity;
use crate::fs::PinnedFile;

/// What happens to its users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmounting {
    /// Refused while somebody uses it.
    Unused,
    /// Detached from its path at once; open files stay open (`MNT_DETACH`).
    Lazy,
}

/// Why it stays mounted.
#[derive(Debug, Error)]
pub enum UnmountError {
    /// Nothing is there.
    #[error("is not a mount point")]
    NotMounted,
    /// Another mount is at its place, or was put over it.
    #[error("another mount is there now; `findmnt` shows it")]
    Another,
    /// Somebody uses it.
    #[error("is in use")]
    InUse,
    /// The path cannot be opened, or the kernel refuses.
    #[error("umount: {0}")]
    Io(#[from] io::Error),
}

const RETRIES: u32 = 5;
const BETWEEN_RETRIES: Duration = Duration::from_millis(20);

/// Unmounts what is mounted at an absolute path without symlinks, when it is this mount.
///
/// # Errors
/// It stays as it is.
pub fn unmount(point: &Path, made: &MountIdentity, mode: Unmounting) -> Result<(), UnmountError> {
    let (Some(parent), Some(name)) = (point.parent(), point.file_name()) else {
        return Err(UnmountError::NotMounted);
    };
    let parent = PinnedFile::exactly(parent).map_err(io::Error::from)?;
    let top = match CString::new(name.as_bytes()) {
        Ok(name) => PinnedFile::at(parent.as_fd(), &name),
        Err(_) => return Err(UnmountError::NotMounted),
    };
    let top = top.map_err(io::Error::from)?;
    let there = MountIdentity::of(&top)?;
    if there.is(&MountIdentity::of(&parent)?) {
        return Err(UnmountError::NotMounted);
    }
    if !there.is(made) {
        return Err(UnmountError::Another);
    }
    // An open handle would be a use of it.
    drop(top);
    let fd = parent.as_fd().as_raw_fd();
    let path = Path::new("/proc/thread-self/fd")
        .join(fd.to_string())
        .join(name);
    let mut flags = MntFlags::UMOUNT_NOFOLLOW;
    flags.set(MntFlags::MNT_DETACH, mode == Unmounting::Lazy);
    let mut result = umount2(&path, flags);
    // Whoever looks at mounts, or starts a program at this moment, has a handle on it that is gone in the next.
    for _ in 0..RETRIES {
        if result != Err(Errno::EBUSY) {
            break;
        }
        std::thread::sleep(BETWEEN_RETRIES);
        result = umount2(&path, flags);
    }
    result.map_err(|errno| match errno {
        Errno::EBUSY => UnmountError::InUse,
        Errno::EINVAL => UnmountError::NotMounted,
        errno => UnmountError::Io(errno.into()),
    })
}
