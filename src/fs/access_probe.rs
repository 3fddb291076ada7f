//! What the calling process may do with a directory or file: tried, not worked out.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{Access, AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::dir::open_dir;
use super::stat::stat;
use crate::ownership::FileType;

/// An access that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessKind {
    /// To go through a directory.
    Search,
    /// To list its names.
    List,
    /// To make a file in it.
    Create,
    /// To write to a file.
    Write,
    /// To read a file.
    Read,
    /// To rename a file in a directory.
    Rename,
    /// To delete a file from it.
    Delete,
    /// To connect to a socket.
    Connect,
}

impl std::fmt::Display for AccessKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            AccessKind::Search => "search",
            AccessKind::List => "list",
            AccessKind::Create => "create",
            AccessKind::Write => "write",
            AccessKind::Read => "read",
            AccessKind::Rename => "rename",
            AccessKind::Delete => "delete",
            AccessKind::Connect => "connect",
        })
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessResult {
    /// What was tried.
    pub what: AccessKind,
    /// The kernel's answer, `errno(3)`; `None` when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

impl AccessResult {
    fn new<T>(what: AccessKind, result: Result<T, Errno>) -> AccessResult {
        let errno = result.err().map(Errno::raw_os_error);
        AccessResult { what, errno }
    }

    /// It worked.
    pub fn works(&self) -> bool {
        self.errno.is_none()
    }
}

/// Goes through a directory.
pub fn search(dir: BorrowedFd<'_>) -> AccessResult {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    AccessResult::new(AccessKind::Search, open(dir, c".", flags, Mode::empty()))
}

/// Goes through a directory and lists it, and asks whether names could be made and removed in it.
pub fn directory_unchanged(dir: BorrowedFd<'_>) -> Vec<AccessResult> {
    let asked = Access::WRITE_OK | Access::EXEC_OK;
    let may = rustix::fs::accessat(dir, c".", asked, AtFlags::EACCESS);
    vec![
        search(dir),
        AccessResult::new(AccessKind::List, list(dir)),
        AccessResult::new(AccessKind::Write, may),
    ]
}

/// Goes through a directory and lists it; with two names that nobody else uses, also makes, writes,
/// reads, renames and deletes a file. What builds on something that failed is not tried.
///
/// Nothing of the file is left, unless the process is killed meanwhile: see [`remove_probe`].
pub fn directory(dir: BorrowedFd<'_>, probe: Option<&[&CStr; 2]>) -> Vec<AccessResult> {
    let mut tried = vec![search(dir), AccessResult::new(AccessKind::List, list(dir))];
    let Some([name, new_name]) = probe.filter(|_| tried[0].works()) else {
        return tried;
    };
    // What is made in a directory with `chattr +a` cannot be removed.
    if stat(dir).is_ok_and(|stat| stat.append_only) {
        tried.extend(append_only(dir));
        return tried;
    }
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match open(dir, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(errno) => {
            tried.push(AccessResult::new::<()>(AccessKind::Create, Err(errno)));
            return tried;
        }
    };
    tried.push(AccessResult::new(AccessKind::Create, Ok(())));
    let written = rustix::io::write(&file, b"x");
    tried.push(AccessResult::new(AccessKind::Write, written));
    tried.push(AccessResult::new(
        AccessKind::Read,
        rustix::io::pread(&file, &mut [0; 1], 0),
    ));
    let renamed = rename(dir, name, new_name);
    tried.push(AccessResult::new(AccessKind::Rename, renamed));
    let last = if renamed.is_ok() { new_name } else { name };
    let deleted = rustix::fs::unlinkat(dir, *last, AtFlags::empty());
    tried.push(AccessResult::new(AccessKind::Delete, deleted));
    tried
}

/// What would come of it in an append-only directory (`chattr(1)`): asked, and nothing is made.
fn append_only(dir: BorrowedFd<'_>) -> Vec<AccessResult> {
    let asked = Access::WRITE_OK | Access::EXEC_OK;
    let created = rustix::fs::accessat(dir, c".", asked, AtFlags::EACCESS);
    let mut tried = vec![AccessResult::new(AccessKind::Create, created)];
    if created.is_ok() {
        let denied = |what| AccessResult::new::<()>(what, Err(Errno::PERM));
        tried.extend([AccessKind::Rename, AccessKind::Delete].map(denied));
    }
    tried
}

/// To a name that nobody else uses. Not every filesystem can promise that (`renameat2(2)`), and
/// programs mostly do not ask for it.
fn rename(dir: BorrowedFd<'_>, from: &CStr, to: &CStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::renameat(dir, from, dir, to)
        }
        result => result,
    }
}

/// Opens a file, also for writing when that is asked for; changes nothing of it. What is no regular
/// file is not opened (a device may take that for an order, a fifo wait for its other end): there
/// the kernel is asked.
pub fn file(handle: BorrowedFd<'_>, file_type: FileType, write: bool) -> Vec<AccessResult> {
    // The handle is O_PATH; through /proc the same inode is opened anew.
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let reopen = |flags| {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(path.as_str(), flags, Mode::empty()).map(|_| ())
    };
    let may = |access| rustix::fs::accessat(CWD, path.as_str(), access, AtFlags::EACCESS);
    if file_type == FileType::Socket {
        // `unix(7)`, "pathname socket ownership and permissions".
        return vec![AccessResult::new(
            AccessKind::Connect,
            may(Access::WRITE_OK),
        )];
    }
    let is_regular = file_type == FileType::File;
    let try_to = |flags, access| match is_regular {
        true => reopen(flags),
        false => may(access),
    };
    let read = try_to(OFlags::RDONLY, Access::READ_OK);
    let mut tried = vec![AccessResult::new(AccessKind::Read, read)];
    if write {
        let written = try_to(OFlags::WRONLY, Access::WRITE_OK);
        tried.push(AccessResult::new(AccessKind::Write, written));
    }
    tried
}

/// Removes what a killed process may have left of its [`directory`].
pub fn remove_probe(dir: BorrowedFd<'_>, probe: &[&CStr; 2]) {
    for name in probe {
        // Mostly there is nothing.
        let _ = rustix::fs::unlinkat(dir, *name, AtFlags::empty());
    }
}

/// Removes files of a byte at most whose names begin so and written more than a minute ago: what is
/// left where nobody lived to remove it.
pub fn sweep_probes(dir: BorrowedFd<'_>, beginning: &[u8]) {
    let Ok(names) = open_dir(dir, c".").and_then(rustix::fs::Dir::new) else {
        return;
    };
    let is_old = |stat: &rustix::fs::Stat| {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        now.tv_sec - stat.st_mtime > 60
    };
    for entry in names.flatten() {
        let name = entry.file_name();
        if !name.to_bytes().starts_with(beginning) {
            continue;
        }
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
        let is_left = stat.is_ok_and(|stat| {
            let kind = FileType::from_st_mode(stat.st_mode);
            kind == FileType::File && stat.st_size <= 1 && is_old(&stat)
        });
        if is_left {
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
        }
    }
}

fn list(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::Dir::new(open_dir(dir, c".")?)?.try_for_each(|entry| entry.map(|_| ()))
}

fn open(
    dir: impl AsFd,
    name: &CStr,
    flags: OFlags,
    mode: Mode,
) -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::fs::openat(dir, name, flags, mode)
}
