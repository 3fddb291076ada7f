//! One run at a time on a tree, and below a directory in which names are changed.
//!
//! Each run keeps a small file in `/run/idshift`, locked as long as it lives (`flock(2)`) and so
//! let go also when it is killed. The place is the same for every run of the host, whatever its
//! `--journal-dir`.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::name::Name;
use crate::fs::escape::{escaped, one_line};
use crate::fs::mountinfo::{self, Mount};
use crate::fs::root::RootError;
use crate::fs::source_path::SourcePath;
use crate::fs::{Root, root};

/// Directory of the lock files of runs. Subdirectories hold other records.
pub const PLACE: &str = "/run/idshift";

/// The lock of a run on its trees; released when dropped.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    _file: Flock<File>,
}

/// Why a run may not start.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another run works on the tree, on a part of it, or on a tree that contains it.
    #[error(
        "{path}: process {pid} (`{command}`) is working on {theirs}. Wait for it, or stop it with `kill -INT {pid}`",
        path = escaped(path), theirs = escaped(theirs)
    )]
    Held {
        /// The tree that was asked for.
        path: PathBuf,
        /// The tree that is held.
        theirs: PathBuf,
        /// Who holds it.
        pid: u32,
        /// What it was started as.
        command: String,
    },
    /// A tree was moved before the lock was taken.
    #[error(transparent)]
    Moved(#[from] RootError),
    /// The lock files cannot be used.
    #[error("{path}: {source}; the lock that keeps two runs apart cannot be taken", path = escaped(path))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    command: String,
    trees: Vec<LockedTree>,
}

#[derive(Serialize, Deserialize)]
struct LockedTree {
    path: Name,
    ancestor_ids: Vec<(u64, u64)>,
    /// Tells that one of two trees is a bind mount of the other, or of a part of it.
    source: Option<SourcePath>,
}

impl RunLock {
    /// Locks trees, and directories in which steps are taken. Afterwards, each of them is still
    /// where it was when it was opened.
    pub fn take(roots: &[Root]) -> Result<RunLock, LockError> {
        let ours = LockedTree::of_all(roots);
        let place = Path::new(PLACE);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(place)
            .map_err(at(place))?;
        // Held while the others are looked at and our own file is made.
        let gate = place.join("gate");
        let held_gate = lock(
            open(&gate, true).map_err(at(&gate))?,
            FlockArg::LockExclusive,
        )
        .map_err(at(&gate))?;
        for entry in std::fs::read_dir(place).map_err(at(place))? {
            let entry = entry.map_err(at(place))?;
            let path = entry.path();
            let is_dir = entry.file_type().is_ok_and(|found| found.is_dir());
            if path != gate && !is_dir {
                check_other(&path, &ours).map_err(|error| match error {
                    Other::Held(held) => held,
                    Other::Io(source) => at(&path)(source),
                })?;
            }
        }
        let (path, file) = own_file(place).map_err(at(place))?;
        let mut file = lock(file, FlockArg::LockExclusive).map_err(at(&path))?;
        let holder = Holder {
            pid: std::process::id(),
            command: one_line(&command_line()),
            trees: ours,
        };
        file.set_len(0)
            .and_then(|()| file.write_all(&serde_json::to_vec(&holder)?))
            .map_err(at(&path))?;
        let lock = RunLock { path, _file: file };
        drop(held_gate);
        // Another run may have moved them until now.
        for root in roots {
            root.check_in_place()?;
        }
        Ok(lock)
    }
}

impl RunLock {
    /// Makes sure that no other run works on these trees now. Takes no lock that a run could wait
    /// for, and leaves no file.
    ///
    /// # Errors
    /// One does.
    pub fn check_free(roots: &[Root]) -> Result<(), LockError> {
        let ours = LockedTree::of_all(roots);
        let place = Path::new(PLACE);
        let entries = match std::fs::read_dir(place) {
            // No run was ever made since the host was started.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(at(place))?,
        };
        for entry in entries {
            let path = entry.map_err(at(place))?.path();
            // One that has ended since, or has not written what it holds, holds nothing yet.
            let file = open(&path, false).ok();
            let held = file.and_then(|mut file| Some((held_by(&mut file, &ours).ok()??, file)));
            if let Some((held, file)) = held
                && Flock::lock(file, FlockArg::LockSharedNonblock).is_err()
            {
                return Err(held);
            }
        }
        Ok(())
    }
}

fn at(path: &Path) -> impl Fn(io::Error) -> LockError {
    let path = path.to_path_buf();
    move |source| LockError::Io {
        path: path.clone(),
        source,
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // A file left behind is unlocked, and the next run removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl LockedTree {
    fn of_all(roots: &[Root]) -> Vec<LockedTree> {
        // Without a list of mounts it goes by the directories above.
        let mounts = mountinfo::of_this_thread().unwrap_or_default();
        roots
            .iter()
            .map(|root| LockedTree::of(root, &mounts))
            .collect()
    }

    fn of(root: &Root, mounts: &[Mount]) -> LockedTree {
        LockedTree {
            path: Name::from(root.path.as_path()),
            ancestor_ids: root.ancestor_ids.clone(),
            source: SourcePath::of(root.pin.as_fd(), &root.path, mounts).unwrap_or_default(),
        }
    }

    fn meets(&self, other: &LockedTree) -> bool {
        let sources = self.source.as_ref().zip(other.source.as_ref());
        root::overlap(&self.ancestor_ids, &other.ancestor_ids)
            || sources.is_some_and(|(source, other)| source.meets(other))
    }
}

enum Other {
    Held(LockError),
    Io(io::Error),
}

/// Looks at another run's file: removes it when its run is gone, else compares the trees.
fn check_other(path: &Path, ours: &[LockedTree]) -> Result<(), Other> {
    let mut file = match open(path, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Other::Io(error)),
    };
    file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(_unheld) => {
            return match std::fs::remove_file(path) {
                // Its run came to its end just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                removed => removed.map_err(Other::Io),
            };
        }
        Err((file, _)) => file,
    };
    match held_by(&mut file, ours).map_err(Other::Io)? {
        Some(held) => Err(Other::Held(held)),
        None => Ok(()),
    }
}

/// Whether the lock file of a run names a tree that overlaps one of ours.
fn held_by(file: &mut File, ours: &[LockedTree]) -> io::Result<Option<LockError>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    let holder: Holder = serde_json::from_slice(&text)?;
    let meet = |theirs: &LockedTree| {
        let ours = ours.iter().find(|ours| ours.meets(theirs))?;
        Some((
            ours.path.as_path().to_path_buf(),
            theirs.path.as_path().to_path_buf(),
        ))
    };
    Ok(holder
        .trees
        .iter()
        .find_map(meet)
        .map(|(path, theirs)| LockError::Held {
            path,
            theirs,
            pid: holder.pid,
            command: holder.command,
        }))
}

/// Creates our own lock file. If containers share `/run`, another process may have the same pid.
fn own_file(place: &Path) -> io::Result<(PathBuf, File)> {
    let pid = std::process::id();
    for n in 0.. {
        let path = place.join(format!("{pid}.{n}"));
        let made = options().create_new(true).open(&path);
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (path, file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn open(path: &Path, create: bool) -> io::Result<File> {
    options().create(create).truncate(false).open(path)
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options.custom_flags(nix::libc::O_NOFOLLOW);
    options
}

fn lock(file: File, kind: FlockArg) -> io::Result<Flock<File>> {
    Flock::lock(file, kind).map_err(|(_, errno)| errno.into())
}

fn command_line() -> String {
    let args: Vec<_> = std::env::args_os()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    args.join(" ")
}
