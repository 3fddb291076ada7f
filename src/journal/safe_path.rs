//! Whether somebody else could have written a record.
//!
//! A rollback does what its journal says, as root. So a journal counts only when nobody but root and
//! whoever runs the program can have written it, put it in its place, or put another directory in
//! the place of the one it is in.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::fs::escape::escaped;
use crate::fs::stat::{Stat, stat};

/// A directory above a record: its path, for messages, and its state.
struct Ancestor {
    path: PathBuf,
    stat: Stat,
}

/// Why something is not trusted, for people; or the I/O error.
#[derive(Debug)]
pub enum Distrust {
    /// Somebody else could have written it.
    Reason(String),
    /// The kernel refused.
    Io(io::Error),
}

impl From<io::Error> for Distrust {
    fn from(error: io::Error) -> Distrust {
        Distrust::Io(error)
    }
}

impl From<Errno> for Distrust {
    fn from(errno: Errno) -> Distrust {
        Distrust::Io(errno.into())
    }
}

const DIR: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a file for reading that only root or this user can have written, and put there.
///
/// # Errors
/// [`Distrust`]
pub fn open(path: &Path) -> Result<File, Distrust> {
    let name = path
        .file_name()
        .ok_or_else(|| Distrust::Reason("it is a directory".into()))?;
    let dir = open_dir(directory_of(path))?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(Errno::LOOP) => return Err(Distrust::Reason("it is a symlink".into())),
        Err(errno) => return Err(errno.into()),
    };
    let metadata = file.metadata()?;
    let reason = if !metadata.is_file() {
        "it is not a regular file".to_string()
    } else if metadata.nlink() > 1 {
        format!("it has {} names", metadata.nlink())
    } else {
        match foreign(metadata.uid(), metadata.mode(), false) {
            None => return check_levels(dir, directory_of(path), "its directory ").map(|()| file),
            Some(reason) => format!("it {reason}"),
        }
    };
    Err(Distrust::Reason(reason))
}

/// Opens a file for reading that belongs to root, this user, or the user who ran `sudo`. Its
/// directory does not matter, as long as nobody else can have written the file.
///
/// # Errors
/// [`Distrust`]
pub fn open_handed_over(path: &Path) -> Result<File, Distrust> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(path, flags, Mode::empty())?.into();
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Distrust::Reason("it is not a regular file".into()));
    }
    let sudo = std::env::var("SUDO_UID").ok();
    let by_sudo = sudo.and_then(|uid| uid.parse().ok()) == Some(metadata.uid());
    let uid = if by_sudo { 0 } else { metadata.uid() };
    match foreign(uid, metadata.mode(), false) {
        None => Ok(file),
        Some(reason) => Err(Distrust::Reason(format!("it {reason}"))),
    }
}

/// Makes sure that only root or this user can write in a directory, or put another in its place.
///
/// # Errors
/// [`Distrust`]
pub fn check_directory(path: &Path) -> Result<(), Distrust> {
    check_levels(open_dir(path)?, path, "")
}

/// Checks the directories above one that does not exist yet.
///
/// # Errors
/// [`Distrust`]
pub fn check_above(path: &Path) -> Result<(), Distrust> {
    let absolute = std::path::absolute(path)?;
    let there = absolute.ancestors().skip(1).find(|dir| dir.is_dir());
    let there = there.unwrap_or(Path::new("/"));
    check_each(&levels(open_dir(there)?, there)?)
}

/// The directory that a file is in.
pub(super) fn directory_of(file: &Path) -> &Path {
    match file.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    }
}

fn open_dir(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(path, DIR, Mode::empty())
}

/// A directory, and all above it.
fn check_levels(dir: OwnedFd, path: &Path, called: &str) -> Result<(), Distrust> {
    let levels = levels(dir, path)?;
    let Some((first, above)) = levels.split_first() else {
        return Ok(());
    };
    match foreign(first.stat.uid, first.stat.mode.bits().into(), false) {
        Some(reason) if called.is_empty() => Err(Distrust::Reason(reason)),
        Some(reason) => {
            let reason = format!("{called}{} {reason}", escaped(&first.path));
            Err(Distrust::Reason(reason))
        }
        None => check_each(above),
    }
}

fn check_each(levels: &[Ancestor]) -> Result<(), Distrust> {
    for level in levels {
        if let Some(reason) = foreign(level.stat.uid, level.stat.mode.bits().into(), true) {
            let path = escaped(&level.path);
            return Err(Distrust::Reason(format!("{path} above it {reason}")));
        }
    }
    Ok(())
}

/// A directory and all above it, innermost first, each opened from the one below it.
fn levels(dir: OwnedFd, path: &Path) -> Result<Vec<Ancestor>, Distrust> {
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut names = real.ancestors();
    let mut levels: Vec<Ancestor> = Vec::new();
    let mut here = dir;
    loop {
        let stat = stat(here.as_fd())?;
        let same =
            |last: &Ancestor| (last.stat.dev, last.stat.identity) == (stat.dev, stat.identity);
        if levels.last().is_some_and(same) {
            return Ok(levels);
        }
        let path = names.next().unwrap_or(Path::new("/")).to_path_buf();
        levels.push(Ancestor { path, stat });
        here = rustix::fs::openat(&here, c"..", DIR, Mode::empty())?;
    }
}

/// What makes it somebody else's, in words. In a directory with the sticky bit others can make
/// entries, but not replace those that are not theirs (`inode(7)`).
fn foreign(uid: u32, mode: u32, above: bool) -> Option<String> {
    const STICKY: u32 = 0o1000;
    let own = uid == 0 || uid == nix::unistd::geteuid().as_raw();
    // Inside a user namespace, what the host's root owns belongs to nobody (user_namespaces(7)).
    let outer = above && uid == 65_534 && is_in_namespace();
    if !own && !outer {
        return Some(format!("belongs to uid {uid}"));
    }
    let open = mode & 0o022 != 0 && !(above && mode & STICKY != 0);
    open.then(|| format!("can be written by others (mode {:04o})", mode & 0o7777))
}

fn is_in_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}
