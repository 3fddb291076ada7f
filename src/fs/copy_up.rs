//! A directory of a lower layer of an overlay, copied up before it is recorded which inode it is.
//!
//! The first change in such a directory copies it up: it keeps its number, and gets another creation time
//! (`overlayfs.rst`; seen on Linux 6.18).

use rustix::fs::{Mode, OFlags};

use super::Root;
use super::times_guard::times;

/// `linux/magic.h`, `OVERLAYFS_SUPER_MAGIC`.
const OVERLAY: u32 = 0x794c_7630;

/// Has a directory that is on an overlay copied up, by giving it the times that it has, and reads again which inode it
/// is.
///
/// # Errors
/// It cannot be changed.
pub fn copy_up(root: &mut Root) -> rustix::io::Result<()> {
    let filesystem = rustix::fs::fstatfs(&root.pin)?;
    if filesystem.f_type as u32 != OVERLAY {
        return Ok(());
    }
    // No time can be set through a pin.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::openat(&root.pin, ".", flags, Mode::empty())?;
    let times = times(&dir)?;
    rustix::fs::futimens(&dir, &times)?;
    root.identity = root.pin.stat()?.identity;
    Ok(())
}
