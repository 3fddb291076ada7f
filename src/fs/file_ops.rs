//! Directories made and removed, entries renamed, small files rewritten: what a migration does to a
//! tree besides changing owners. Every name is one component, taken from its directory's handle.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{
    AtFlags, Gid, IFlags, Mode as RawMode, OFlags, RenameFlags, Timespec, Timestamps, Uid,
};
use rustix::io::Errno;
use xattr::FileExt;

use super::stat::{Stat, stat};
use crate::ownership::Mode;

/// What a name means: `None` when nothing has it. Nothing is followed.
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

/// Makes a directory, or gives an empty one that is there this owner and mode: a run that was killed
/// between the two finishes so. One that holds something and belongs to others was not made by us.
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
        true => Err(io::Error::other("something is mounted on it")),
        false => Ok(made),
    }
}

fn no_flags(errno: Errno) -> io::Error {
    match errno {
        Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL => {
            io::Error::other("its filesystem cannot make a directory immutable (chattr +i)")
        }
        errno => errno.into(),
    }
}

/// Whether a directory, open for reading, holds nothing.
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

/// Removes an empty directory; one that is gone already will do.
pub fn remove_dir(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives an entry another place. A place that is taken stays as it is (`RENAME_NOREPLACE`, `renameat2(2)`).
///
/// Whether it is the entry that is meant has to be looked at before: the directories that steps are taken in belong to
/// root, so that nobody else renames between that and this call.
pub fn move_entry(from: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
    let flags = RenameFlags::NOREPLACE;
    Ok(rustix::fs::renameat_with(
        from.0, from.1, to.0, to.1, flags,
    )?)
}

/// Two entries of one filesystem get each other's place, in one moment.
pub fn exchange(one: (BorrowedFd<'_>, &[u8]), other: (BorrowedFd<'_>, &[u8])) -> io::Result<()> {
    let flags = RenameFlags::EXCHANGE;
    Ok(rustix::fs::renameat_with(
        one.0, one.1, other.0, other.1, flags,
    )?)
}

/// When a directory or file was last modified, in nanoseconds since 1970.
pub fn mtime_ns(file: impl AsFd) -> io::Result<i64> {
    let stat = rustix::fs::fstat(file)?;
    Ok(stat.st_mtime * 1_000_000_000 + stat.st_mtime_nsec as i64)
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

/// A small file read whole, with its time of last modification in nanoseconds since 1970.
pub fn read_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<u8>, i64)> {
    let (mut file, stat) = open_regular(dir, name)?;
    let mut bytes = Vec::with_capacity(stat.st_size as usize);
    file.read_to_end(&mut bytes)?;
    Ok((bytes, mtime_of(&stat)))
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
        _ => Err(io::Error::other("is not a regular file")),
    }
}

/// Makes a file that holds this; refuses when the name is taken. Whoever sees the name sees the
/// whole content, also after a power cut.
pub fn create_file(
    dir: BorrowedFd<'_>,
    name: &[u8],
    content: &[u8],
    owner: Owner,
) -> io::Result<()> {
    let new = New::make(dir, name)?;
    set_owner(&new.file, owner)?;
    new.fill(content, None)?;
    rustix::fs::fsync(&new.file)?;
    let flags = RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(dir, &new.name[..], dir, name, flags)?;
    Ok(())
}

/// Removes a file; one that is gone already will do.
pub fn remove_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// What a file gets in the place of one.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFile<'a> {
    /// All that it holds.
    pub content: &'a [u8],
    /// Time of its last modification, nanoseconds since 1970; none: now.
    pub mtime_ns: Option<i64>,
    /// Owner and group; none: as before.
    pub owner: Option<(u32, u32)>,
}

/// Puts a file with other content into the place of one, with the same mode and extended attributes: at any moment the name means the old file or the new one, whole and on the disk.
pub fn replace_file(dir: BorrowedFd<'_>, name: &[u8], wanted: NewFile<'_>) -> io::Result<()> {
    let new = new_for(dir, name, wanted)?;
    rustix::fs::fsync(&new.file)?;
    put_staged(dir, name)
}

/// Makes the file that is to take another's place, beside it. Many of them are synced together, and only then
/// [`put_staged`]: each by itself would wait for the disk.
pub fn stage_file(dir: BorrowedFd<'_>, name: &[u8], wanted: NewFile<'_>) -> io::Result<()> {
    new_for(dir, name, wanted).map(drop)
}

/// Puts a staged file, which is on the disk, into its place.
pub fn put_staged(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let new = [name, NEW].concat();
    Ok(rustix::fs::renameat(dir, &new[..], dir, name)?)
}

/// A file with other content, and the mode and extended attributes of the one that has the name.
fn new_for(dir: BorrowedFd<'_>, name: &[u8], wanted: NewFile<'_>) -> io::Result<New> {
    let (old, stat) = open_regular(dir, name)?;
    let new = New::make(dir, name)?;
    let (uid, gid) = wanted.owner.unwrap_or((stat.st_uid, stat.st_gid));
    set_owner(
        &new.file,
        Owner {
            uid,
            gid,
            mode: Mode::from_st_mode(stat.st_mode),
        },
    )?;
    copy_attributes(&old, &new.file)?;
    new.fill(wanted.content, wanted.mtime_ns)?;
    Ok(new)
}

/// Where a symlink leads, as it says, with its time of last modification in nanoseconds since 1970.
pub fn read_link(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<(Vec<u8>, i64)> {
    let target = rustix::fs::readlinkat(dir, name, Vec::new()).map_err(|errno| match errno {
        Errno::INVAL => io::Error::other("is not a symlink"),
        errno => errno.into(),
    })?;
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((target.into_bytes(), mtime_of(&found)))
}

/// Puts a symlink with another target into the place of one; with its owner, where none is given: at any moment the
/// name means the old symlink or the new one.
pub fn replace_link(
    dir: BorrowedFd<'_>,
    name: &[u8],
    target: &[u8],
    mtime_ns: Option<i64>,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    let old = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let new = [name, NEW].concat();
    remove_unfinished(dir, name)?;
    rustix::fs::symlinkat(target, dir, &new[..])?;
    let (uid, gid) = owner.unwrap_or((old.st_uid, old.st_gid));
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(dir, &new[..], Some(uid), Some(gid), flags)?;
    if let Some(nanoseconds) = mtime_ns {
        rustix::fs::utimensat(dir, &new[..], &at(nanoseconds), flags)?;
    }
    Ok(rustix::fs::renameat(dir, &new[..], dir, name)?)
}

fn copy_attributes(old: &File, new: &File) -> io::Result<()> {
    let names = match old.list_xattr() {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        names => names?,
    };
    for name in names {
        if let Some(value) = old.get_xattr(&name)? {
            new.set_xattr(&name, &value)?;
        }
    }
    Ok(())
}

/// A file that is not in its place yet.
struct New {
    file: File,
    name: Vec<u8>,
}

/// Removes what a run left that was killed while it wrote a new file for this name. A directory is not that.
pub fn remove_unfinished(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match remove_file(dir, &[name, NEW].concat()) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        removed => removed,
    }
}

/// What the name of a file that is not in its place yet ends in.
const NEW: &[u8] = b".idshift-new";

impl New {
    fn make(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<New> {
        let name = [name, NEW].concat();
        // What a run that was killed left behind.
        remove_file(dir, &name).map_err(|error| {
            let name = String::from_utf8_lossy(&name);
            io::Error::new(error.kind(), format!("{name} is in the way: {error}"))
        })?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let mode = RawMode::RUSR | RawMode::WUSR;
        let file = rustix::fs::openat(dir, &name[..], flags | OFlags::CLOEXEC, mode)?.into();
        Ok(New { file, name })
    }

    fn fill(&self, content: &[u8], mtime_ns: Option<i64>) -> io::Result<()> {
        (&self.file).write_all(content)?;
        if let Some(nanoseconds) = mtime_ns {
            rustix::fs::futimens(&self.file, &at(nanoseconds))?;
        }
        Ok(())
    }
}

/// Both times of a file at this moment.
fn at(nanoseconds: i64) -> Timestamps {
    let since = Duration::from_nanos(nanoseconds.max(0).unsigned_abs());
    let time = Timespec {
        tv_sec: since.as_secs() as i64,
        tv_nsec: since.subsec_nanos().into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_where_a_file_goes_is_left_and_named() {
        let place = tempfile::tempdir().unwrap();
        let dir = File::open(place.path()).unwrap();
        std::fs::write(place.path().join("file"), "old").unwrap();
        let taken = place.path().join("file.idshift-new");
        std::fs::create_dir(&taken).unwrap();
        remove_unfinished(dir.as_fd(), b"file").unwrap();
        let error = replace_file(dir.as_fd(), b"file", NewFile::default()).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("file.idshift-new is in the way"), "{told}");
        assert!(taken.is_dir());
        assert_eq!(std::fs::read(place.path().join("file")).unwrap(), b"old");
    }
}
