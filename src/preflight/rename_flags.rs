//! Whether a filesystem knows the flags of `renameat2(2)` that a migration moves entries with.
//!
//! The kernel asks the filesystem last: of names that are missing, taken or the same inode's it answers by itself,
//! whatever the filesystem knows (measured on Linux 6.18). So this cannot be asked without renaming something. What
//! is not known by the filesystem's type is tried in a directory made for it, which only a run may do.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::UnsuitableRoot;
use super::filesystem::mount_of;
use crate::fs::escape::escaped;
use crate::fs::mountinfo;
use crate::fs::times_guard::times;

/// What renames need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// `RENAME_EXCHANGE`
    pub exchange: bool,
    /// `RENAME_NOREPLACE`
    pub no_replace: bool,
}

impl Needs {
    const ALL: Needs = Needs {
        exchange: true,
        no_replace: true,
    };

    fn is_met_by(self, has: Needs) -> bool {
        (has.exchange || !self.exchange) && (has.no_replace || !self.no_replace)
    }
}

const NO_REPLACE_ONLY: Needs = Needs {
    exchange: false,
    no_replace: true,
};

/// What filesystems know, by the type that `proc_pid_mountinfo(5)` shows: as their `rename` in the kernel's source
/// says. `ext2` is not here: mostly the driver of ext4 has it mounted, which knows both, and its own does not.
const BY_TYPE: &[(&str, Needs)] = &[
    ("btrfs", Needs::ALL),
    ("ext3", Needs::ALL),
    ("ext4", Needs::ALL),
    ("f2fs", Needs::ALL),
    ("tmpfs", Needs::ALL),
    ("xfs", Needs::ALL),
    ("hfsplus", NO_REPLACE_ONLY),
    ("jfs", NO_REPLACE_ONLY),
    ("nilfs2", NO_REPLACE_ONLY),
    ("reiserfs", NO_REPLACE_ONLY),
    ("udf", NO_REPLACE_ONLY),
    (
        "ceph",
        Needs {
            exchange: false,
            no_replace: false,
        },
    ),
    (
        "ocfs2",
        Needs {
            exchange: false,
            no_replace: false,
        },
    ),
];

/// A filesystem whose type does not tell what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntestedRename {
    /// A directory on it.
    pub path: PathBuf,
    /// Its type.
    pub fs_type: String,
}

impl std::fmt::Display for UntestedRename {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: is on {}, and whether names can be exchanged there (RENAME_EXCHANGE, renameat2(2)) must be \
            tested. A run tests that before its first change, and is refused if they cannot.",
            escaped(&self.path),
            self.fs_type
        )
    }
}

/// The name of the directory that renames are tried in.
pub const PROBE: &str = "idshift-rename-probe";

/// Refuses a directory whose filesystem is known not to do such renames. Changes nothing. `is_tree` as in
/// [`UnsuitableRoot::RenameFlag`].
///
/// Gives the filesystem where its type does not tell.
///
/// # Errors
/// Names the directory and what is missing.
pub fn check_known(
    dir: BorrowedFd<'_>,
    path: &Path,
    needs: Needs,
    is_tree: bool,
) -> Result<Option<UntestedRename>, UnsuitableRoot> {
    let fs_type = type_of(dir);
    let known = BY_TYPE.iter().find(|entry| entry.0 == fs_type);
    match known {
        Some((_, has)) if needs.is_met_by(*has) => Ok(None),
        Some((_, has)) => Err(lacking(path, fs_type, needs, *has, is_tree)),
        None if needs == Needs::default() => Ok(None),
        None => Ok(Some(UntestedRename {
            path: path.to_owned(),
            fs_type,
        })),
    }
}

/// Checks the renames, and tries them where the type does not tell: in a directory of its own, which is removed again. The directory
/// above gets its time of last modification back.
///
/// # Errors
/// Names the directory and what is missing, or why it cannot be tried.
pub fn check_tried(
    dir: BorrowedFd<'_>,
    path: &Path,
    needs: Needs,
    is_tree: bool,
) -> Result<(), UnsuitableRoot> {
    let Some(untested) = check_known(dir, path, needs, is_tree)? else {
        return Ok(());
    };
    let has = tried(dir).map_err(|errno| UnsuitableRoot::RenameUntried {
        path: path.join(PROBE),
        source: errno.into(),
    })?;
    match needs.is_met_by(has) {
        true => Ok(()),
        false => Err(lacking(path, untested.fs_type, needs, has, is_tree)),
    }
}

fn lacking(path: &Path, name: String, needs: Needs, has: Needs, is_tree: bool) -> UnsuitableRoot {
    let flag = match needs.exchange && !has.exchange {
        true => "RENAME_EXCHANGE",
        false => "RENAME_NOREPLACE",
    };
    UnsuitableRoot::RenameFlag {
        path: path.to_owned(),
        name,
        flag,
        is_tree,
    }
}

/// The type as the mount table has it; of a mount that the table does not show, words that no type is.
fn type_of(dir: BorrowedFd<'_>) -> String {
    let mounts = mountinfo::of_this_thread().unwrap_or_default();
    match mount_of(dir, &mounts) {
        Ok(Some(mount)) => mount.fs_type.clone(),
        _ => "a filesystem of unknown type".into(),
    }
}

fn tried(dir: BorrowedFd<'_>) -> Result<Needs, Errno> {
    // `dir` may be open with O_PATH, of which no time can be set.
    let top = open_dir(dir, ".")?;
    let before = times(&top)?;
    let found = try_in(&top);
    remove(&top);
    // Both: bindfs sets none where one is left out (seen with 1.14).
    rustix::fs::futimens(&top, &before)?;
    found
}

const FILES: [&str; 3] = ["one", "two", "three"];

fn try_in(top: &OwnedFd) -> Result<Needs, Errno> {
    // What one left that was killed here.
    remove(top);
    rustix::fs::mkdirat(top, PROBE, Mode::RWXU)?;
    let probe = open_dir(top.as_fd(), PROBE)?;
    let [one, two, three] = FILES;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for name in [one, two] {
        rustix::fs::openat(&probe, name, flags, Mode::RUSR | Mode::WUSR)?;
    }
    let knows = |to: &str, flag| match rustix::fs::renameat_with(&probe, one, &probe, to, flag) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(errno),
    };
    Ok(Needs {
        exchange: knows(two, RenameFlags::EXCHANGE)?,
        no_replace: knows(three, RenameFlags::NOREPLACE)?,
    })
}

/// Removes what a try has made, and nothing else: a directory of that name that holds more stays.
fn remove(top: &OwnedFd) {
    let Ok(probe) = open_dir(top.as_fd(), PROBE) else {
        return;
    };
    for name in FILES {
        let _ = rustix::fs::unlinkat(&probe, name, AtFlags::empty());
    }
    let _ = rustix::fs::unlinkat(top, PROBE, AtFlags::REMOVEDIR);
}

fn open_dir(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn a_try_tells_what_the_table_says_and_leaves_nothing() {
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let dir = File::open(place.path()).unwrap();
        let before = place.path().metadata().unwrap().modified().unwrap();
        // What a killed one left.
        std::fs::create_dir(place.path().join(PROBE)).unwrap();
        std::fs::write(place.path().join(PROBE).join("two"), "").unwrap();
        dir.set_modified(before).unwrap();
        assert_eq!(type_of(dir.as_fd()), "tmpfs");
        assert_eq!(tried(dir.as_fd()), Ok(Needs::ALL));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(place.path().metadata().unwrap().modified().unwrap(), before);
    }

    #[test]
    fn what_is_somebody_elses_stays() {
        let place = tempfile::tempdir().unwrap();
        let dir = File::open(place.path()).unwrap();
        let file = place.path().join(PROBE).join("mine");
        std::fs::create_dir(place.path().join(PROBE)).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(tried(dir.as_fd()), Err(Errno::EXIST));
        assert!(file.exists());
    }

    #[test]
    fn each_filesystem_does_what_is_said_of_it() {
        let of = |name| BY_TYPE.iter().find(|entry| entry.0 == name).unwrap().1;
        assert!(Needs::ALL.is_met_by(of("xfs")));
        assert!(!Needs::ALL.is_met_by(of("jfs")));
        assert!(NO_REPLACE_ONLY.is_met_by(of("jfs")));
        assert!(!NO_REPLACE_ONLY.is_met_by(of("ceph")));
        let told = lacking(Path::new("/d"), "jfs".into(), Needs::ALL, of("jfs"), true).to_string();
        assert!(
            told.starts_with("/d: is on jfs, which lacks RENAME_EXCHANGE"),
            "{told}"
        );
    }
}
