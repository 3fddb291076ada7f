//! Small files and symlinks that get their place whole: made beside it, then renamed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, Gid, Mode as RawMode, OFlags, RenameFlags, Timespec, Timestamps, Uid};
use xattr::FileExt;

use super::{FileOpError, Owner, open_regular, remove_file, set_owner};
use crate::ownership::Mode;

/// Creates a file with this content; an error if the name is taken. The name is never visible with
/// only a part of the content, also after a power cut.
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

/// The new content and attributes of a file.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFile<'a> {
    /// All that it holds.
    pub content: &'a [u8],
    /// Time of its last modification, nanoseconds since 1970; none: now.
    pub mtime_ns: Option<i64>,
    /// Owner and group; none: as before.
    pub owner: Option<(u32, u32)>,
}

/// Replaces a file by one with other content and the same mode and extended attributes. At any
/// moment the name means the old file or the new one, complete and on the disk.
pub fn replace_file(dir: BorrowedFd<'_>, name: &[u8], wanted: NewFile<'_>) -> io::Result<()> {
    let new = new_for(dir, name, wanted)?;
    rustix::fs::fsync(&new.file)?;
    put_staged(dir, name)
}

/// Creates the new version of a file, beside it. Several of them are synced together before
/// [`put_staged`]: each by itself would wait for the disk.
pub fn stage_file(dir: BorrowedFd<'_>, name: &[u8], wanted: NewFile<'_>) -> io::Result<()> {
    new_for(dir, name, wanted).map(drop)
}

/// Renames a staged and synced file to its final name.
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

/// Puts a symlink with another target into the place of one, with its extended attributes, and its owner where none is
/// given: at any moment the name means the old symlink or the new one.
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
    copy_link_attributes(dir, name, &new)?;
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

/// Copies the attributes of a symlink, which cannot be opened; SELinux labels them too.
fn copy_link_attributes(dir: BorrowedFd<'_>, old: &[u8], new: &[u8]) -> io::Result<()> {
    let dir = Path::new("/proc/thread-self/fd").join(dir.as_raw_fd().to_string());
    let [old, new] = [old, new].map(|name| dir.join(OsStr::from_bytes(name)));
    let names = match xattr::list(&old) {
        Err(error) if error.kind() == ErrorKind::Unsupported => return Ok(()),
        names => names?,
    };
    for name in names {
        if let Some(value) = xattr::get(&old, &name)? {
            xattr::set(&new, &name, &value)?;
        }
    }
    Ok(())
}

/// Removes the temporary file of a run that was killed while it wrote a new file for this name;
/// never a directory.
pub fn remove_unfinished(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    match remove_file(dir, &[name, NEW].concat()) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        removed => removed,
    }
}

/// Suffix of the name of a file that does not have its final name yet.
const NEW: &[u8] = b".idshift-new";

/// A file that does not have its final name yet.
struct New {
    file: File,
    name: Vec<u8>,
}

impl New {
    fn make(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<New> {
        let name = [name, NEW].concat();
        // What a run that was killed left behind.
        remove_file(dir, &name).map_err(|source| {
            let name = String::from_utf8_lossy(&name).into_owned();
            io::Error::new(source.kind(), FileOpError::InTheWay { name, source })
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
    use std::os::fd::AsFd;

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
