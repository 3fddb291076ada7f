//! Clearing the flags that keep an inode from being changed, and putting them back; project ids (`chattr(1)`).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;

use super::PinnedFile;
use super::apply::{ApplyError, apply, failed};
use crate::ownership::{FileType, Flags, Ownership};
use crate::sys;

/// As [`apply`], of an inode that has the flags `has`, which are cleared before; whatever came of
/// it, the inode has those in `keeps` after.
///
/// # Errors
/// As [`apply`]; the flags may then not be as they should, which is said.
pub fn apply_despite(
    pin: &PinnedFile,
    file_type: FileType,
    (has, keeps): (Flags, Flags),
    now: &Ownership,
    wanted: &Ownership,
) -> Result<(), ApplyError> {
    if has.is_empty() && keeps.is_empty() {
        return apply(pin, file_type, now, wanted);
    }
    clear(pin, file_type, has)?;
    let applied = match now == wanted {
        true => Ok(()),
        false => apply(pin, file_type, now, wanted),
    };
    set(pin, file_type, keeps).and(applied)
}

/// Whether inodes of this kind have such flags that can be cleared.
pub fn can_be_cleared(file_type: FileType) -> bool {
    matches!(file_type, FileType::File | FileType::Directory)
}

/// What a directory quota counts an inode for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its id; 0 is none.
    pub id: u32,
    /// Of a directory: what comes into it gets the same id, and no entry that has another one can be renamed into it.
    pub is_inherited: bool,
}

/// The project of a file or directory; `None` where the filesystem has none, or of another kind of inode.
pub fn project(pin: &PinnedFile, file_type: FileType) -> Option<Project> {
    let file = open(pin, file_type).ok()?;
    let (id, is_inherited) = sys::project_id(file.as_fd()).ok()?;
    Some(Project { id, is_inherited })
}

fn clear(pin: &PinnedFile, file_type: FileType, flags: Flags) -> Result<(), ApplyError> {
    change(pin, file_type, flags, |now, flags| now - flags)
        .map_err(failed("ioctl (clearing a flag)"))
}

fn set(pin: &PinnedFile, file_type: FileType, flags: Flags) -> Result<(), ApplyError> {
    change(pin, file_type, flags, |now, flags| now | flags)
        .map_err(failed("ioctl (setting a flag)"))
}

fn change(
    pin: &PinnedFile,
    file_type: FileType,
    flags: Flags,
    set: impl FnOnce(IFlags, IFlags) -> IFlags,
) -> rustix::io::Result<()> {
    if flags.is_empty() {
        return Ok(());
    }
    let mut bits = IFlags::empty();
    bits.set(IFlags::IMMUTABLE, flags.immutable);
    bits.set(IFlags::APPEND, flags.append_only);
    let file = open(pin, file_type)?;
    let now = rustix::fs::ioctl_getflags(&file)?;
    const FS_NOCOMP_FL: IFlags = IFlags::from_bits_retain(0x400);
    match set(now, bits) {
        wanted if wanted == now => Ok(()),
        // btrfs writes its property `btrfs.compression` anew for FS_IOC_SETFLAGS, with the algorithm of the mount
        // (`btrfs_fileattr_set`), and passes over it for FS_IOC_FSSETXATTR.
        wanted if now.intersects(IFlags::COMPRESSED | FS_NOCOMP_FL) => {
            let has = |flag| wanted.contains(flag);
            sys::set_protecting_flags(file.as_fd(), has(IFlags::IMMUTABLE), has(IFlags::APPEND))
        }
        wanted => rustix::fs::ioctl_setflags(&file, wanted),
    }
}

/// Opens the inode, because the calls do not accept an `O_PATH` handle. A device or a fifo is never
/// opened: that can have effects.
fn open(pin: &PinnedFile, file_type: FileType) -> rustix::io::Result<OwnedFd> {
    if !can_be_cleared(file_type) {
        return Err(Errno::OPNOTSUPP);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    pin.with_proc_path(|path| rustix::fs::open(path, flags | OFlags::NOATIME, Mode::empty()))
}
