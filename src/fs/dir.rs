//! An open directory, and reading its names.

mod names;
mod path;

use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

pub use self::names::{NameKind, Names};
pub use self::path::DirPath;
use super::dir_guard::DirGuard;
use super::stat::stat;

/// A directory open for reading.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// The path to it.
    pub path: Arc<DirPath>,
    /// Since when its names have not changed.
    pub guard: DirGuard,
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

const READ_DIR: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens the directory `name` in `parent` for reading its names; leaves its atime alone where the
/// caller may ask for that (`O_NOATIME`, `open(2)`: owner or root).
pub fn open_dir(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<OwnedFd> {
    let quiet = READ_DIR | OFlags::NOATIME;
    match rustix::fs::openat(parent, name, quiet, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(parent, name, READ_DIR, Mode::empty()),
        result => result,
    }
}

/// Opens a directory that no mount covers (`RESOLVE_NO_XDEV`, `openat2(2)`): one that is
/// covered is not even opened, because a network or FUSE filesystem might not answer.
///
/// # Errors
/// `EXDEV` at a mount, where the kernel knows `openat2` (Linux 5.6).
pub fn open_dir_of_mount(parent: BorrowedFd<'_>, name: impl Arg + Copy) -> Result<OwnedFd> {
    let quiet = READ_DIR | OFlags::NOATIME;
    let resolve = ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(parent, name, quiet, Mode::empty(), resolve) {
        Err(Errno::PERM | Errno::NOSYS) => open_dir(parent, name),
        result => result,
    }
}

/// A handle of the directory `name` in `parent` that nothing can be read through.
pub fn open_unread(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    rustix::fs::openat(parent, name, READ_DIR | OFlags::PATH, Mode::empty())
}

/// A handle of the directory that `path` ends in, for going on from there.
pub(super) fn open_ancestor(parent: BorrowedFd<'_>, path: &DirPath) -> Result<OwnedFd> {
    open_unread(parent, &path.name)
}

impl Dir {
    /// Opens the directory that `path` ends in from its open `parent`, and makes sure it is the
    /// inode that `path` says.
    ///
    /// # Errors
    /// `ESTALE` when another inode has taken the name, `EXDEV` when a mount has come over it.
    pub fn open_named(parent: BorrowedFd<'_>, path: Arc<DirPath>) -> Result<Dir> {
        Dir::checked(open_dir(parent, &path.name[..])?, path)
    }

    /// Opens a directory from its root, component by component, following nothing.
    ///
    /// Only the last one is compared with what `path` says: whatever was renamed on the way, it is
    /// the inode that was meant, and it still lies below the root.
    pub fn open_from_root(root: BorrowedFd<'_>, path: Arc<DirPath>) -> Result<Dir> {
        let mut here: Option<OwnedFd> = None;
        for name in path.tail(path.depth) {
            let parent = here.as_ref().map_or(root, AsFd::as_fd);
            here = Some(open_unread(parent, name)?);
        }
        Dir::open_here(here.as_ref().map_or(root, AsFd::as_fd), path)
    }

    /// Opens the directory that a handle means for reading, and makes sure it is the inode that
    /// `path` says.
    pub(super) fn open_here(handle: BorrowedFd<'_>, path: Arc<DirPath>) -> Result<Dir> {
        Dir::checked(open_dir(handle, c".")?, path)
    }

    fn checked(fd: OwnedFd, path: Arc<DirPath>) -> Result<Dir> {
        let now = stat(&fd)?;
        if now.identity != path.identity || now.dev != path.dev {
            return Err(Errno::STALE);
        }
        // A mount can show the very same inode, with other owners than it has on disk.
        if path.mount_id != 0 && now.mount_id != path.mount_id {
            return Err(Errno::XDEV);
        }
        let guard = DirGuard::seen(&now);
        Ok(Dir { fd, path, guard })
    }

    /// Reads the next names into `names`, which is emptied first.
    pub fn read_names(&self, buffer: &mut Vec<u8>, names: &mut Names) -> Result<Read> {
        names.clear();
        buffer.reserve(NAMES_BUFFER);
        self.guard
            .reading(self.fd.as_fd(), || self.read(buffer, names))
    }

    fn read(&self, buffer: &mut Vec<u8>, names: &mut Names) -> Result<Read> {
        let room: &mut [MaybeUninit<u8>] = &mut buffer.spare_capacity_mut()[..NAMES_BUFFER];
        let mut entries = RawDir::new(&self.fd, room);
        let mut bytes = 0;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            bytes += entry_bytes(name);
            if name != c"." && name != c".." {
                names.push(name, NameKind::from(entry.file_type()));
            }
            if entries.is_buffer_empty() {
                return Ok(match bytes + LONGEST_ENTRY > NAMES_BUFFER {
                    true => Read::Full,
                    false => Read::Some,
                });
            }
        }
        Ok(Read::End)
    }
}

/// How a read of names went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// There were names, and no room for more.
    Full,
    /// There were names, and room for more: most likely the last ones.
    Some,
    /// There are no more.
    End,
}

/// `struct linux_dirent64` of a name: 19 bytes, the name and its NUL, rounded up to 8.
fn entry_bytes(name: &CStr) -> usize {
    (19 + name.to_bytes_with_nul().len()).next_multiple_of(8)
}

/// The one of a name of `NAME_MAX` bytes.
const LONGEST_ENTRY: usize = 280;

/// Bytes asked of one `getdents64(2)`: some two thousand names.
const NAMES_BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::fs::PinnedFile;

    /// A directory with a directory `in` that was met, and one beside it.
    fn met() -> (tempfile::TempDir, OwnedFd, Arc<DirPath>) {
        let place = tempfile::tempdir().unwrap();
        for name in ["in", "beside"] {
            fs::create_dir(place.path().join(name)).unwrap();
        }
        let top = open_dir(rustix::fs::CWD, place.path()).unwrap();
        let here = stat(&top).unwrap();
        let root = DirPath::root(0, here.identity, here.dev);
        let met = PinnedFile::at(top.as_fd(), c"in").unwrap().stat().unwrap();
        let path = root.child(b"in", met.identity, met.dev);
        (place, top, path)
    }

    /// Both ways to a directory: from its open parent, and from the root.
    fn open(top: &OwnedFd, path: &Arc<DirPath>) -> [Option<Errno>; 2] {
        [
            Dir::open_named(top.as_fd(), Arc::clone(path)).err(),
            Dir::open_from_root(top.as_fd(), Arc::clone(path)).err(),
        ]
    }

    #[test]
    fn another_directory_of_that_name_is_not_entered() {
        let (place, top, path) = met();
        assert_eq!(open(&top, &path), [None, None]);
        let at = |name: &str| place.path().join(name);
        fs::rename(at("in"), at("away")).unwrap();
        fs::rename(at("beside"), at("in")).unwrap();
        assert_eq!(open(&top, &path), [Some(Errno::STALE); 2]);
    }

    #[test]
    fn a_symlink_to_the_same_directory_is_not_entered() {
        let (place, top, path) = met();
        let at = |name: &str| place.path().join(name);
        fs::rename(at("in"), at("away")).unwrap();
        symlink("away", at("in")).unwrap();
        for errno in open(&top, &path) {
            assert!(
                matches!(errno, Some(Errno::NOTDIR | Errno::LOOP)),
                "{errno:?}"
            );
        }
        // On the way as well.
        fs::create_dir(at("away/below")).unwrap();
        let below = PinnedFile::path(&at("away/below")).unwrap().stat().unwrap();
        let below = path.child(b"below", below.identity, below.dev);
        let errno = Dir::open_from_root(top.as_fd(), below).err();
        assert!(
            matches!(errno, Some(Errno::NOTDIR | Errno::LOOP)),
            "{errno:?}"
        );
    }
}
