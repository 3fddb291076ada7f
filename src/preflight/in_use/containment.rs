//! Whether an inode lies in one of the trees.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::path::Arg;

/// Device and inode number of directories that hold a tree.
pub(super) type Above = std::collections::HashSet<(u64, u64)>;

/// An inode, and the mount through which it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    /// The mount's id, as `mountinfo` has it; one for the whole machine.
    pub mount: u64,
    /// `st_dev`.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Whether it has no name left.
    pub is_deleted: bool,
}

impl FileId {
    /// What the path leads to, `/proc`'s links into other processes included. Opens nothing, so
    /// that no device or fifo notices, and asks no file server that might not answer.
    pub fn of(path: &Path) -> io::Result<FileId> {
        statx(CWD, path, AtFlags::empty())
    }

    /// What an open handle leads to.
    pub fn of_handle(handle: impl AsFd) -> io::Result<FileId> {
        statx(handle, c"", AtFlags::EMPTY_PATH)
    }

    /// What `name` is in an open directory; a symlink is itself.
    fn of_name(dir: impl AsFd, name: impl Arg) -> io::Result<FileId> {
        statx(dir, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    fn is_same_inode(&self, other: &FileId) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino)
    }
}

fn statx(dir: impl AsFd, path: impl Arg, flags: AtFlags) -> io::Result<FileId> {
    let flags = flags | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::MNT_ID;
    let statx = rustix::fs::statx(dir, path, flags, wanted)?;
    if statx.stx_mask & StatxFlags::MNT_ID.bits() == 0 {
        let why = "the kernel does not tell an inode's mount; that takes Linux 5.8";
        return Err(io::Error::new(io::ErrorKind::Unsupported, why));
    }
    Ok(FileId {
        mount: statx.stx_mnt_id,
        dev: rustix::fs::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        ino: statx.stx_ino,
        is_dir: FileType::from_raw_mode(statx.stx_mode.into()) == FileType::Directory,
        is_deleted: statx.stx_nlink == 0,
    })
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a directory without entering it. Follows symlinks, `/proc`'s own among them.
pub(super) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY, Mode::empty())?)
}

/// Opens the directory `path` as a process sees it whose root is `root`: neither `..` nor an
/// absolute symlink leads out of it (`openat2(2)`).
pub(super) fn open_directory_in(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    open_resolved(root, path, ResolveFlags::IN_ROOT)
}

/// Opens the directory that a path names which the kernel itself wrote. Such a path has no
/// symlinks: one that has come there since makes it a different path.
fn open_directory_exactly(root: &OwnedFd, path: &Path) -> io::Result<OwnedFd> {
    open_resolved(
        root,
        path,
        ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS,
    )
}

fn open_resolved(root: &OwnedFd, path: &Path, resolve: ResolveFlags) -> io::Result<OwnedFd> {
    let opened = rustix::fs::openat2(root, path, DIRECTORY, Mode::empty(), resolve);
    Ok(opened?)
}

fn open_parent(dir: &OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(
        dir,
        c"..",
        DIRECTORY | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

/// The top of the mount namespace that a directory is in, as far as this process can see it.
pub(super) fn top_above(mut dir: OwnedFd) -> io::Result<OwnedFd> {
    let mut place = FileId::of_handle(&dir)?;
    loop {
        let parent = open_parent(&dir)?;
        let above = FileId::of_handle(&parent)?;
        if above == place {
            return Ok(dir);
        }
        (dir, place) = (parent, above);
    }
}

/// What a mount shows of the trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Containment {
    /// Its root lies in a tree, so everything reached through it does.
    Within,
    /// A tree lies somewhere below its root.
    Around,
    /// Nothing of a tree can be reached through it.
    Apart,
}

/// Tells whether an inode lies in one of the trees, and caches every directory on the way.
pub(super) struct Seeker {
    trees: HashSet<(u64, u64)>,
    mounts: HashMap<u64, Containment>,
    directories: HashMap<FileId, bool>,
}

impl Seeker {
    /// For trees with these devices and inode numbers.
    pub fn new(trees: impl IntoIterator<Item = (u64, u64)>) -> Seeker {
        Seeker {
            trees: trees.into_iter().collect(),
            mounts: HashMap::new(),
            directories: HashMap::new(),
        }
    }

    /// Tells what a mount shows.
    pub fn know_mount(&mut self, mount: u64, containment: Containment) {
        self.mounts.insert(mount, containment);
    }

    /// The answer where it needs no look at the directories above. A mount that is in no namespace's
    /// table (taken down lazily, or never attached) gives none.
    fn at_once(&self, place: &FileId) -> Option<bool> {
        if self.trees.contains(&(place.dev, place.ino)) {
            return Some(true);
        }
        match self.mounts.get(&place.mount) {
            Some(Containment::Within) => Some(true),
            Some(Containment::Apart) => Some(false),
            Some(Containment::Around) | None => None,
        }
    }

    /// Whether an open directory lies in a tree: walks up, within its mount.
    ///
    /// The walk ends where the mount does. What is above a mount point is another mount's matter:
    /// a disk mounted below the tree is not part of it, and of a bind mount [`Containment`] tells.
    pub fn holds_directory(&mut self, mut dir: OwnedFd) -> io::Result<bool> {
        let mut place = FileId::of_handle(&dir)?;
        let mut passed = Vec::new();
        let answer = loop {
            let known = self.directories.get(&place).copied();
            if let Some(answer) = known.or_else(|| self.at_once(&place)) {
                break answer;
            }
            passed.push(place);
            let parent = open_parent(&dir)?;
            let above = FileId::of_handle(&parent)?;
            if above.mount != place.mount || above.is_same_inode(&place) {
                break false;
            }
            (dir, place) = (parent, above);
        };
        self.directories
            .extend(passed.into_iter().map(|place| (place, answer)));
        Ok(answer)
    }

    /// Whether what one of `/proc`'s links leads to (`/proc/PID/cwd`, `/proc/PID/fd/N`, …) lies in a
    /// tree, and if so under which name. `top` gives the top of the process's mount namespace.
    pub fn holds_link(
        &mut self,
        link: &Path,
        top: impl FnOnce() -> Option<OwnedFd>,
    ) -> Option<PathBuf> {
        let place = FileId::of(link).ok()?;
        if place.is_deleted {
            return None;
        }
        let is_held = match self.at_once(&place) {
            Some(answer) => answer,
            None if place.is_dir => self.holds_directory(open_directory(link).ok()?).ok()?,
            None => self.holds_file(&place, &std::fs::read_link(link).ok()?, &top()?)?,
        };
        is_held.then(|| std::fs::read_link(link).unwrap_or_else(|_| link.to_owned()))
    }

    /// Whether a file lies in a tree that the kernel has open under this name of ours.
    pub fn holds_path(&mut self, path: &Path) -> bool {
        let (Ok(file), Ok(top)) = (FileId::of(path), open_directory(Path::new("/"))) else {
            return false;
        };
        match self.at_once(&file) {
            Some(answer) => answer,
            None => self.holds_file(&file, path, &top).unwrap_or(false),
        }
    }

    /// Whether a file lies in a tree that the kernel names `path`. The name is only believed when
    /// its directory holds this very inode under it; `None` when it does not.
    fn holds_file(&mut self, file: &FileId, path: &Path, top: &OwnedFd) -> Option<bool> {
        // A socket, pipe or the like has a text such as `socket:[4711]` in the place of a path.
        if !path.is_absolute() {
            return Some(false);
        }
        let dir = open_directory_exactly(top, path.parent()?).ok()?;
        let there = FileId::of_name(&dir, path.file_name()?).ok()?;
        if !there.is_same_inode(file) {
            return None;
        }
        self.holds_directory(dir).ok()
    }
}
