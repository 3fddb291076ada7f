//! Removing a directory and all in it, through descriptors.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::file_ops::{FileOpError, move_entry};

/// How many levels are entered before deeper directories are moved up: each level is an open
/// directory.
const LEVELS: usize = 64;

/// Prefix of the names of directories that are moved up.
const HOISTED: &str = ".idshift-remove-";

/// Removes a directory and everything in it. One that is gone already is not an error. No symlink
/// is followed, and no other mount entered: a mount point makes it fail
/// ([`FileOpError::MountedIn`]).
///
/// # Errors
/// Something cannot be removed. What was removed before stays so.
pub fn remove_tree(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
    let top = match open(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened.map_err(|errno| failed(errno, name))?,
    };
    let mut hoisted = 0;
    loop {
        let before = hoisted;
        empty(top.as_fd(), &top, 1, &mut hoisted)?;
        // What was brought up is in the top now.
        if hoisted == before {
            break;
        }
    }
    let removed = rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR);
    removed.map_err(|errno| failed(errno, name))
}

/// Whether a directory may have its name from a [`remove_tree`] that was cut short.
pub fn is_hoisted_name(name: &str) -> bool {
    name.starts_with(HOISTED)
}

/// What a mount point makes fail: it is not entered, and what is mounted on is neither removed nor renamed.
fn failed(errno: Errno, name: &[u8]) -> io::Error {
    match errno {
        Errno::XDEV | Errno::BUSY => {
            FileOpError::MountedIn(String::from_utf8_lossy(name).into_owned()).into()
        }
        errno => errno.into(),
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Before anything in it is removed.
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(parent, name, flags, Mode::empty(), inside)
}

/// Removes everything in a directory. `hoisted` counts directories that were too deep and were
/// moved to the top.
fn empty(dir: BorrowedFd<'_>, top: &OwnedFd, level: usize, hoisted: &mut usize) -> io::Result<()> {
    for name in names(dir)? {
        match rustix::fs::unlinkat(dir, &name[..], AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => continue,
            // POSIX has EPERM for a directory.
            Err(Errno::ISDIR | Errno::PERM) => {}
            Err(errno) => return Err(failed(errno, &name)),
        }
        if level == LEVELS {
            move_up((dir, &name), top, hoisted)?;
            continue;
        }
        let below = open(dir, &name).map_err(|errno| failed(errno, &name))?;
        empty(below.as_fd(), top, level + 1, hoisted)?;
        let removed = rustix::fs::unlinkat(dir, &name[..], AtFlags::REMOVEDIR);
        removed.map_err(|errno| failed(errno, &name))?;
    }
    Ok(())
}

fn move_up(from: (BorrowedFd<'_>, &[u8]), top: &OwnedFd, hoisted: &mut usize) -> io::Result<()> {
    loop {
        *hoisted += 1;
        let name = format!("{HOISTED}{hoisted}");
        match move_entry(from, (top.as_fd(), name.as_bytes())) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => match error.raw_os_error() {
                Some(raw) => return Err(failed(Errno::from_raw_os_error(raw), from.1)),
                None => return Err(error),
            },
            Ok(()) => return Ok(()),
        }
    }
}

/// The names in a directory, all at once: what is removed while it is read may hide a name.
///
/// # Errors
/// It cannot be read.
pub(crate) fn names(dir: BorrowedFd<'_>) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(dir)? {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_tree_of_any_depth_goes_and_what_it_points_to_stays() {
        let place = tempfile::tempdir().unwrap();
        let top = File::open(place.path()).unwrap();
        fs::create_dir_all(place.path().join("tree/a/b")).unwrap();
        fs::create_dir(place.path().join("other")).unwrap();
        fs::write(place.path().join("other/file"), "stays").unwrap();
        std::os::unix::fs::symlink("../../other", place.path().join("tree/a/link")).unwrap();
        for n in 0..3 {
            let mut dir = open(top.as_fd(), b"tree").unwrap();
            for level in 0..500 {
                let name = format!("{n}-{level}");
                rustix::fs::mkdirat(&dir, name.as_str(), Mode::RWXU).unwrap();
                rustix::fs::mkdirat(&dir, format!("{HOISTED}{level}"), Mode::RWXU).ok();
                dir = open(dir.as_fd(), name.as_bytes()).unwrap();
            }
        }
        remove_tree(top.as_fd(), b"tree").unwrap();
        assert!(!place.path().join("tree").exists());
        assert_eq!(
            fs::read_to_string(place.path().join("other/file")).unwrap(),
            "stays"
        );
        remove_tree(top.as_fd(), b"tree").unwrap();
        let file = remove_tree(top.as_fd(), b"other/file").unwrap_err();
        assert_eq!(file.kind(), io::ErrorKind::NotADirectory);
    }
}
