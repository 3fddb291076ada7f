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
    let is_immutable = flags.contains(IFlags::IMMUTABLE);
    if is_immutable {
        rustix::fs::ioctl_setflags(&made, flags - IFlags::IMMUTABLE)?;
    }
    let removed = remove_dir(dir, name);
    // Somebody was quick to put something into it, or to mount something on it.
    if removed.is_err() && is_immutable {
        let _ = rustix::fs::ioctl_setflags(&made, flags);
    }
    removed
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

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;
    use crate::ownership::Mode;

    #[test]
    fn only_an_empty_mount_point_is_removed() {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        let dir = File::open(place.path()).unwrap();
        let owner = Owner {
            uid: 0,
            gid: 0,
            mode: Mode::from_st_mode(0o700),
        };
        let point = place.path().join("point");
        make_mount_point(dir.as_fd(), b"point", owner).unwrap();
        let flags = || {
            let point = File::open(&point).unwrap();
            rustix::fs::ioctl_getflags(&point).unwrap()
        };
        assert!(flags().contains(IFlags::IMMUTABLE));
        assert!(std::fs::write(point.join("file"), "").is_err());
        // What somebody put into it stays, and it is as it was.
        let open = File::open(&point).unwrap();
        rustix::fs::ioctl_setflags(&open, flags() - IFlags::IMMUTABLE).unwrap();
        std::fs::write(point.join("file"), "kept").unwrap();
        rustix::fs::ioctl_setflags(&open, flags() | IFlags::IMMUTABLE).unwrap();
        assert!(remove_mount_point(dir.as_fd(), b"point").is_err());
        assert!(flags().contains(IFlags::IMMUTABLE));
        assert!(make_mount_point(dir.as_fd(), b"point", owner).is_err());
        rustix::fs::ioctl_setflags(&open, flags() - IFlags::IMMUTABLE).unwrap();
        assert_eq!(std::fs::read(point.join("file")).unwrap(), b"kept");
        std::fs::remove_file(point.join("file")).unwrap();
        make_mount_point(dir.as_fd(), b"point", owner).unwrap();
        remove_mount_point(dir.as_fd(), b"point").unwrap();
        assert!(!point.exists());
        // Once more is nothing.
        remove_mount_point(dir.as_fd(), b"point").unwrap();
    }
}
