//! Directories made and removed, entries renamed, small files read: what a migration does to a
//! tree besides changing owners. Every name is one component, taken from its directory's handle.
//!
//! - `new_file`: files and symlinks put into a place, whole
//! - `mount_point`: directories to mount on

mod mount_point;
mod new_file;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode as RawMode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use thiserror::Error;

pub use self::mount_point::{make_mount_point, remove_mount_point};
pub use self::new_file::{
    NewFile, create_file, put_staged, remove_unfinished, replace_file, replace_link, stage_file,
};
use super::stat::{Stat, stat};
use crate::ownership::Mode;

/// Why an entry is not read or changed, other than a failed system call. Wrapped in an
/// [`io::Error`].
#[derive(Debug, Error)]
pub enum FileOpError {
    /// A directory has something mounted on it.
    #[error("something is mounted on it")]
    MountedOn,
    /// A tree that is to be removed has a mount point in it, of this name.
    #[error("something is mounted on {0:?} in it. Unmount it first (`findmnt` shows where)")]
    MountedIn(String),
    /// The filesystem has no immutable directories.
    #[error("its filesystem cannot make a directory immutable (chattr +i)")]
    NoImmutable,
    /// It is a directory, a device or a symlink.
    #[error("is not a regular file")]
    NotAFile,
    /// It is longer than what is read whole.
    #[error("is longer than {} MiB, more than is read here", LONGEST_FILE >> 20)]
    TooLong,
    /// It is anything but a symlink.
    #[error("is not a symlink")]
    NotASymlink,
    /// The name that a new file has until it gets its place cannot be used.
    #[error("{name} is in the way: {source}")]
    InTheWay {
        /// That name.
        name: String,
        /// Why what has it cannot be removed.
        source: io::Error,
    },
}

impl From<FileOpError> for io::Error {
    fn from(error: FileOpError) -> io::Error {
        io::Error::other(error)
    }
}

/// The `Stat` of a name; `None` if it does not exist. No symlink is followed.
pub fn stat_entry(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<Option<Stat>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, RawMode::empty()) {
        Ok(handle) => stat(handle).map(Some),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Owner and mode of something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Owner, a host id.
    pub uid: u32,
    /// Group, a host id.
    pub gid: u32,
    /// Permission bits.
    pub mode: Mode,
}

/// Makes a directory. An empty one that exists gets this owner and mode, so that a killed run can
/// be finished. One that has entries and another owner is an error: it was not made by idshift.
pub fn make_dir(dir: BorrowedFd<'_>, name: &[u8], owner: Owner) -> io::Result<()> {
    match rustix::fs::mkdirat(dir, name, RawMode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(dir, name, flags, RawMode::empty())?;
    let now = stat(&made)?;
    let is_so = (now.uid, now.gid, now.mode) == (owner.uid, owner.gid, owner.mode);
    match is_so || is_empty(&made)? {
        true => set_owner(&made, owner),
        false => Err(Errno::NOTEMPTY.into()),
    }
}

/// Whether a directory, open for reading, is empty.
pub fn is_empty(dir: &OwnedFd) -> io::Result<bool> {
    for entry in rustix::fs::Dir::read_from(dir)? {
        let name = entry?.file_name().to_owned();
        if name.as_c_str() != c"." && name.as_c_str() != c".." {
            return Ok(false);
        }
    }
    Ok(true)
}

fn set_owner(file: impl AsFd, owner: Owner) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    let mode = RawMode::from_raw_mode(owner.mode.bits().into());
    Ok(rustix::fs::fchmod(&file, mode)?)
}

/// Removes an empty directory. One that is gone already is not an error.
pub fn remove_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Renames an entry. Never replaces one that exists (`RENAME_NOREPLACE`, `renameat2(2)`).
///
/// The caller checks before that it is the right entry: the directories in which steps are taken
/// belong to root, so that nobody else renames between that check and this call.
pub fn move_entry(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    Ok(rustix::fs::renameat_with(
        from.0, from.1, to.0, to.1, flags,
    )?)
}

/// Exchanges two entries of one filesystem atomically.
pub fn exchange(one: (BorrowedFd<'_>, &[u8]), other: (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
    let flags = RenameFlags::EXCHANGE;
    Ok(rustix::fs::renameat_with(
        one.0, one.1, other.0, other.1, flags,
    )?)
}

/// When a directory or file was last modified, in nanoseconds since 1970.
pub fn mtime_ns(file: impl AsFd) -> io::Result<i64> {
    Ok(mtime_of(&rustix::fs::fstat(file)?))
}

/// Sets it; the time of the last access stays.
pub fn set_mtime(file: impl AsFd, nanoseconds: i64) -> io::Result<()> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: rustix::fs::UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: nanoseconds.div_euclid(1_000_000_000),
            tv_nsec: nanoseconds.rem_euclid(1_000_000_000) as _,
        },
    };
    Ok(rustix::fs::futimens(file, &times)?)
}

/// The longest file that is read whole. Metadata of a container, or a daemon's configuration, is some kilobytes.
pub const LONGEST_FILE: u64 = 16 << 20;

/// A small file read whole, with its time of last modification in nanoseconds since 1970. A longer one than
/// [`LONGEST_FILE`] is refused: it may be somebody's who wants the memory of this host.
pub fn read_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<u8>, i64)> {
    let (file, stat) = open_regular(dir, name)?;
    let mut bytes = Vec::new();
    // It may grow while it is read.
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LONGEST_FILE {
        true => Err(FileOpError::TooLong.into()),
        false => Ok((bytes, mtime_of(&stat))),
    }
}

fn mtime_of(stat: &rustix::fs::Stat) -> i64 {
    let nanoseconds = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    nanoseconds as i64
}

/// A file to be read, and what it is; refuses anything else, and follows no symlink. Its atime stays.
pub fn open_regular(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(File, rustix::fs::Stat)> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::openat(dir, name, flags | OFlags::NOATIME, RawMode::empty())
        .or_else(|_| rustix::fs::openat(dir, name, flags, RawMode::empty()))?;
    let stat = rustix::fs::fstat(&fd)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::RegularFile => Ok((fd.into(), stat)),
        _ => Err(FileOpError::NotAFile.into()),
    }
}

/// Removes a file. One that is gone already is not an error.
pub fn remove_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        // A filesystem that is read-only says so before it looks for the name.
        Err(Errno::ROFS) if stat_entry(dir, name)?.is_none() => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The target of a symlink, as it is stored, and its mtime in nanoseconds since 1970.
pub fn read_link(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<u8>, i64)> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|errno| match errno {
        Errno::INVAL => FileOpError::NotASymlink.into(),
        errno => io::Error::from(errno),
    })?;
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((target.into_bytes(), mtime_of(&found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_unless_it_is_too_long() {
        let place = tempfile::tempdir().unwrap();
        let dir = File::open(place.path()).unwrap();
        let make = |name: &str, len: u64| {
            let file = File::create(place.path().join(name)).unwrap();
            file.set_len(len).unwrap();
        };
        make("longest", LONGEST_FILE);
        make("too-long", 1 << 40);
        let (bytes, _) = read_file(dir.as_fd(), b"longest").unwrap();
        assert_eq!(bytes.len() as u64, LONGEST_FILE);
        let error = read_file(dir.as_fd(), b"too-long").unwrap_err();
        assert!(error.to_string().contains("longer than 16 MiB"), "{error}");
    }
}
