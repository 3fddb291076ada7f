//! What the calling process may do with a directory or file: tried, not worked out.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Something that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Try {
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
}

impl std::fmt::Display for Try {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Try::Search => "search",
            Try::List => "list",
            Try::Create => "create",
            Try::Write => "write",
            Try::Read => "read",
            Try::Rename => "rename",
            Try::Delete => "delete",
        })
    }
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// What was tried.
    pub what: Try,
    /// The kernel's answer, `errno(3)`; `None` when it worked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

impl Tried {
    fn new<T>(what: Try, result: Result<T, Errno>) -> Tried {
        let errno = result.err().map(Errno::raw_os_error);
        Tried { what, errno }
    }

    /// It worked.
    pub fn works(&self) -> bool {
        self.errno.is_none()
    }
}

/// Goes through a directory.
pub fn search(dir: BorrowedFd<'_>) -> Tried {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Tried::new(Try::Search, open(dir, c".", flags, Mode::empty()))
}

/// Goes through a directory and lists it, and asks whether names could be made and removed in it.
pub fn directory_unchanged(dir: BorrowedFd<'_>) -> Vec<Tried> {
    let asked = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let may = rustix::fs::accessat(dir, c".", asked, rustix::fs::AtFlags::EACCESS);
    vec![
        search(dir),
        Tried::new(Try::List, list(dir)),
        Tried::new(Try::Write, may),
    ]
}

/// Goes through a directory and lists it; with two names that nobody else uses, also makes, writes,
/// reads, renames and deletes a file. What builds on something that failed is not tried.
///
/// Nothing of the file is left, unless the process is killed meanwhile: see [`remove_probe`].
pub fn directory(dir: BorrowedFd<'_>, probe: Option<&[&CStr; 2]>) -> Vec<Tried> {
    let mut tried = vec![search(dir), Tried::new(Try::List, list(dir))];
    let Some([name, new_name]) = probe.filter(|_| tried[0].works()) else {
        return tried;
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match open(dir, name, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => file,
        Err(errno) => {
            tried.push(Tried::new::<()>(Try::Create, Err(errno)));
            return tried;
        }
    };
    tried.push(Tried::new(Try::Create, Ok(())));
    let written = rustix::io::write(&file, b"x");
    tried.push(Tried::new(Try::Write, written));
    tried.push(Tried::new(
        Try::Read,
        rustix::io::pread(&file, &mut [0; 1], 0),
    ));
    let renamed = rustix::fs::renameat_with(dir, *name, dir, *new_name, RenameFlags::NOREPLACE);
    tried.push(Tried::new(Try::Rename, renamed));
    let last = if renamed.is_ok() { new_name } else { name };
    let deleted = rustix::fs::unlinkat(dir, *last, rustix::fs::AtFlags::empty());
    tried.push(Tried::new(Try::Delete, deleted));
    tried
}

/// Opens a file, also for writing when that is asked for; changes nothing of it.
pub fn file(handle: BorrowedFd<'_>, write: bool) -> Vec<Tried> {
    // The handle is O_PATH; through /proc the same inode is opened anew.
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let reopen = |flags| {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        rustix::fs::open(path.as_str(), flags, Mode::empty())
    };
    let mut tried = vec![Tried::new(Try::Read, reopen(OFlags::RDONLY))];
    if write {
        tried.push(Tried::new(Try::Write, reopen(OFlags::WRONLY)));
    }
    tried
}

/// Removes what a killed process may have left of its [`directory`].
pub fn remove_probe(dir: BorrowedFd<'_>, probe: &[&CStr; 2]) {
    for name in probe {
        // Mostly there is nothing.
        let _ = rustix::fs::unlinkat(dir, *name, rustix::fs::AtFlags::empty());
    }
}

fn list(dir: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = open(dir, c".", flags, Mode::empty())?;
    rustix::fs::Dir::new(handle)?.try_for_each(|entry| entry.map(|_| ()))
}

fn open(
    dir: impl AsFd,
    name: &CStr,
    flags: OFlags,
    mode: Mode,
) -> Result<std::os::fd::OwnedFd, Errno> {
    rustix::fs::openat(dir, name, flags, mode)
}
