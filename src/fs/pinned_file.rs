//! The handle that holds an inode still while it is read, journalled and changed.

use std::ffi::CStr;
use std::fmt::Write as _;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::{Errno, Result};

/// An `O_PATH|O_NOFOLLOW` handle. Inodes are read and changed only through such a handle.
///
/// Opening one follows no symlink, opens no device and waits for no fifo (`open(2)`). Whatever is
/// renamed afterwards, the handle means the same inode.
#[derive(Debug)]
pub struct PinnedFile(OwnedFd);

const PIN: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl PinnedFile {
    /// Pins `name`, one component, in the directory `dir`.
    pub fn at(dir: BorrowedFd<'_>, name: &CStr) -> Result<PinnedFile> {
        debug_assert!(
            !name.to_bytes().contains(&b'/'),
            "a pin takes one component"
        );
        rustix::fs::openat(dir, name, PIN, Mode::empty()).map(PinnedFile)
    }

    /// Pins what a name means in a directory; fails where a mount covers the name (`RESOLVE_NO_XDEV`, `openat2(2)`).
    ///
    /// # Errors
    /// `EXDEV` at a mount point, `ENOSYS` before Linux 5.6.
    pub(super) fn at_same_mount(dir: BorrowedFd<'_>, name: &CStr) -> Result<PinnedFile> {
        rustix::fs::openat2(dir, name, PIN, Mode::empty(), ResolveFlags::NO_XDEV).map(PinnedFile)
    }

    /// Pins what a whole path names. The last component is not followed, those before it are: only
    /// for a path that the operator gave.
    pub fn path(path: &Path) -> Result<PinnedFile> {
        rustix::fs::open(path, PIN, Mode::empty()).map(PinnedFile)
    }

    /// Pins what an absolute path names in which there are no symlinks: `ELOOP` where one has come
    /// there since (`openat2(2)`).
    pub fn exactly(path: &Path) -> Result<PinnedFile> {
        let resolve = ResolveFlags::NO_SYMLINKS;
        rustix::fs::openat2(rustix::fs::CWD, path, PIN, Mode::empty(), resolve).map(PinnedFile)
    }

    /// Pins the directory that an open directory lies in.
    pub fn above(dir: impl AsFd) -> Result<PinnedFile> {
        let flags = PIN | OFlags::DIRECTORY;
        rustix::fs::openat(dir, c"..", flags, Mode::empty()).map(PinnedFile)
    }

    /// A second handle on the same inode, in the calling thread's descriptor table.
    pub fn try_clone(&self) -> Result<PinnedFile> {
        rustix::io::fcntl_dupfd_cloexec(&self.0, 0).map(PinnedFile)
    }

    /// The path under which the calling thread reaches the pinned inode: for the calls that take
    /// no `O_PATH` handle (`chmod(2)`, `getxattr(2)`; the `*xattrat` calls of Linux 6.13 do not
    /// take one either, they answer `EBADF`).
    ///
    /// It is `thread-self`, not `self`, because a walking thread has a descriptor table of its own.
    pub(super) fn with_proc_path<T>(&self, call: impl FnOnce(&CStr) -> Result<T>) -> Result<T> {
        let mut path = ProcPath::new();
        let _ = write!(path, "/proc/thread-self/fd/{}\0", self.0.as_raw_fd());
        match call(path.as_c_str()) {
            // The pin is open, so what is missing is /proc.
            Err(Errno::NOENT) if !Path::new("/proc/thread-self/fd").exists() => Err(Errno::NOSYS),
            result => result,
        }
    }
}

impl PinnedFile {
    /// Whether the name it was opened by still means the inode, and did so ever since: the kernel
    /// then gives that name as the end of the handle's path (`proc_pid_fd(5)`). `None` where that cannot
    /// be known: too deep for a path, or a name that looks like that of a deleted file.
    pub fn keeps_name(&self, name: &CStr) -> Option<bool> {
        let name = name.to_bytes();
        if name.ends_with(b" (deleted)") {
            return None;
        }
        let target = self.with_proc_path(|path| rustix::fs::readlink(path, Vec::new()));
        let target = target.ok()?;
        let rest = target.to_bytes().strip_suffix(name);
        Some(rest.is_some_and(|rest| rest.ends_with(b"/")))
    }
}

impl AsFd for PinnedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<PinnedFile> for OwnedFd {
    fn from(pin: PinnedFile) -> OwnedFd {
        pin.0
    }
}

impl From<OwnedFd> for PinnedFile {
    fn from(fd: OwnedFd) -> PinnedFile {
        PinnedFile(fd)
    }
}

/// `/proc/thread-self/fd/N` and its NUL, kept on the stack.
struct ProcPath {
    bytes: [u8; 40],
    len: usize,
}

impl ProcPath {
    fn new() -> ProcPath {
        ProcPath {
            bytes: [0; 40],
            len: 0,
        }
    }

    fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}

impl std::fmt::Write for ProcPath {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
