//! Empty directories that nobody can put anything into, for something to be mounted on them.

use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{IFlags, Mode as RawMode, OFlags};
use rustix::io::Errno;

use super::{FileOpError, Owner, is_empty, remove_dir, set_owner};
use crate::fs::stat::stat;

/// Makes an empty directory that nobody can put anything into (`chattr +i`). One that is there and empty becomes that:
/// of a run that was killed meanwhile.
pub fn make_mount_point(dir: BorrowedFd<'_>, name: &[u8], owner: Owner) -> io::Result<()> {
    match rustix::fs::mkdirat(dir, name, RawMode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let made = open_mount_point(dir, name)?;
    let flags = rustix::fs::ioctl_getflags(&made).map_err(no_flags)?;
    if !is_empty(&made)? {
        return Err(Errno::NOTEMPTY.into());
    }
    if !flags.contains(IFlags::IMMUTABLE) {
        set_owner(&made, owner)?;
        rustix::fs::ioctl_setflags(&made, flags | IFlags::IMMUTABLE).map_err(no_flags)?;
    }
    Ok(rustix::fs::fsync(&made)?)
}

/// Removes such a directory; one that is gone already will do. One that holds something stays as it is.
pub fn remove_mount_point(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let made = match open_mount_point(dir, name) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        made => made?,
    };
    if !is_empty(&made)? {
        return Err(Errno::NOTEMPTY.into());
    }
    let flags = rustix::fs::ioctl_getflags(&made).map_err(no_flags)?;
    if flags.contains(IFlags::IMMUTABLE) {
        rustix::fs::ioctl_setflags(&made, flags - IFlags::IMMUTABLE)?;
    }
    remove_dir(dir, name)
}

/// A directory on which nothing is mounted.
fn open_mount_point(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(dir, name, flags, RawMode::empty())?;
    match stat(&made)?.mount_root {
        true => Err(FileOpError::MountedOn.into()),
        false => Ok(made),
    }
}

fn no_flags(errno: Errno) -> io::Error {
    match errno {
        Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL => FileOpError::NoImmutable.into(),
        errno => errno.into(),
    }
}
