//! An open directory, its names, and the path to it from the root of the walk.

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags, RawDir, ResolveFlags};
use rustix::io::{Errno, Result};
use rustix::path::Arg;

use super::Root;
use super::dir_guard::DirGuard;
use super::stat::{Identity, Stat, stat};

/// The path of a directory: which root, and the names from there. Shared between all below it, so
/// that a tree of any depth costs one name a directory.
///
/// It is for records and messages, and for a thread that has to open the directory anew, component
/// by component; never a string to hand to the kernel.
#[derive(Debug)]
pub struct DirPath {
    parent: Option<Arc<DirPath>>,
    name: Box<[u8]>,
    /// Which of the run's roots it lies below.
    pub root: usize,
    /// Components below the root; 0 for the root itself.
    pub depth: usize,
    /// The directory's inode.
    pub identity: Identity,
    /// Its `st_dev`.
    pub dev: u64,
    /// The mount that it was met on, as in [`Stat`]; 0: any.
    pub mount_id: u64,
}

impl DirPath {
    /// The root directory with this number, on any mount.
    pub fn root(root: usize, identity: Identity, dev: u64) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: None,
            name: Box::default(),
            root,
            depth: 0,
            identity,
            dev,
            mount_id: 0,
        })
    }

    /// A tree's top, as it is pinned.
    pub fn top(number: usize, root: &Root) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: None,
            name: Box::default(),
            root: number,
            depth: 0,
            identity: root.identity,
            dev: root.dev,
            mount_id: root.mount_id,
        })
    }

    /// The directory `name` in this one, on the same mount.
    pub fn child(self: &Arc<Self>, name: &[u8], identity: Identity, dev: u64) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: Some(Arc::clone(self)),
            name: name.into(),
            root: self.root,
            depth: self.depth + 1,
            identity,
            dev,
            mount_id: self.mount_id,
        })
    }

    /// The directory `name` in this one, as it was met.
    pub fn met(self: &Arc<Self>, name: &[u8], stat: &Stat) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: Some(Arc::clone(self)),
            name: name.into(),
            root: self.root,
            depth: self.depth + 1,
            identity: stat.identity,
            dev: stat.dev,
            mount_id: stat.mount_id,
        })
    }

    /// The directory it lies in; `None` for a root.
    pub fn parent(&self) -> Option<&Arc<DirPath>> {
        self.parent.as_ref()
    }

    /// The last `count` names of the path, outermost first.
    pub fn tail(&self, count: usize) -> Vec<&[u8]> {
        let mut names = Vec::with_capacity(count);
        let mut here = Some(self);
        while let Some(dir) = here.filter(|_| names.len() < count) {
            names.push(&dir.name[..]);
            here = dir.parent.as_deref();
        }
        names.reverse();
        names
    }

    /// How many leading names this path shares with `other`: 0 when the roots differ.
    pub fn shared_depth(self: &Arc<Self>, other: &Arc<DirPath>) -> usize {
        if self.root != other.root {
            return 0;
        }
        let (mut a, mut b) = (self, other);
        while !Arc::ptr_eq(a, b) {
            let deeper = if a.depth >= b.depth { &mut a } else { &mut b };
            match &deeper.parent {
                Some(parent) => *deeper = parent,
                None => return 0,
            }
        }
        a.depth
    }

    /// Path below the root, for messages.
    pub fn to_path(&self) -> PathBuf {
        self.tail(self.depth)
            .into_iter()
            .map(OsStr::from_bytes)
            .collect()
    }

    /// Path below the root of `name` in this directory, for messages; the directory itself when
    /// the name is `.`.
    pub fn join(&self, name: &[u8]) -> PathBuf {
        let mut path = self.to_path();
        if name != b"." {
            path.push(OsStr::from_bytes(name));
        }
        path
    }
}

impl Drop for DirPath {
    /// Lets go of the ancestors one by one: a chain of a hundred thousand directories would
    /// overflow the stack if each dropped its parent inside its own drop.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut dir) = parent.and_then(Arc::into_inner) {
            parent = dir.parent.take();
        }
    }
}

/// A directory open for reading.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    /// The path to it.
    pub path: Arc<DirPath>,
    /// Since when its names stand still.
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

/// The same, of a directory that no mount covers (`RESOLVE_NO_XDEV`, `openat2(2)`): one that is covered is
/// not even opened, as a filesystem with somebody behind it may hear of that, and not answer.
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
pub(super) fn open_on_the_way(parent: BorrowedFd<'_>, path: &DirPath) -> Result<OwnedFd> {
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
                names.push(name, Kind::from(entry.file_type()));
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

/// Some names of one directory, one after the other in one buffer.
#[derive(Clone, Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    kinds: Vec<Kind>,
}

/// What a directory says of a name by itself (`d_type`, `readdir(3)`); it may have come to mean
/// something else since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory, or the filesystem does not say.
    MaybeDirectory,
    /// Anything else.
    Other,
}

impl From<FileType> for Kind {
    fn from(kind: FileType) -> Kind {
        match kind {
            FileType::Directory | FileType::Unknown => Kind::MaybeDirectory,
            _ => Kind::Other,
        }
    }
}

impl Names {
    /// Adds a name.
    pub fn push(&mut self, name: &CStr, kind: Kind) {
        self.kinds.push(kind);
        self.bytes.extend_from_slice(name.to_bytes_with_nul());
        // A chunk of names is bounded by NAMES_BUFFER.
        self.ends.push(self.bytes.len() as u32);
    }

    /// Forgets all names, keeps the room.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.kinds.clear();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The names and their kinds, in the order they were read.
    pub fn with_kinds(&self) -> impl Iterator<Item = (&CStr, Kind)> {
        self.iter().zip(self.kinds.iter().copied())
    }

    /// The names in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &CStr> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let name = &self.bytes[start..end as usize];
            start = end as usize;
            CStr::from_bytes_with_nul(name).unwrap_or(c"")
        })
    }
}

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
