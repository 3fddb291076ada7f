//! A copy of a plain docker root, or of another store, for a migration that leaves the original alone. It is made in a
//! directory that only root can enter: in the data-root, or where [`copied_move`](super::rootless::copied_move) says.
//!
//! Files of the containerd image store are copied with what a conversion makes, and not here.

mod closed;
pub mod earlier;

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use self::closed::check_is_closed;
use super::conversion::copy_room::check_copy_room;
use super::conversion::leftover;
use super::coreutils_cp::{CpError, TARGET, cp_into};
use super::data_root::{COPY, DockerRoot, TopTime, plain_names};
use super::guidance::NO_ROOM_FOR_COPY;
use super::{DockerError, Reason, unfinished_mark};
use crate::engine::{Phase, RunControl};
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::stat_entry;
use crate::fs::space::{self, Amount, BARE_INODE};
use crate::fs::{Root, remove_tree};

/// A copy that can be made.
pub struct PlannedCopy {
    source: PathBuf,
    names: Vec<String>,
    /// The directory in which it is made.
    dir: PathBuf,
    /// Its name there.
    pub name: String,
    /// What is to be copied.
    pub amount: Amount,
    /// Content is shared, not copied.
    pub shares_content: bool,
    /// When that directory was last modified, before the copy was begun.
    time: OnceCell<TopTime>,
}

impl PlannedCopy {
    /// Checks what has to be copied, and whether there is space for it. `converted`: containerd's
    /// directory, and the space that layers converted from it take.
    ///
    /// # Errors
    /// There is not enough space, a copy would not be complete, or an earlier copy is in the way.
    pub fn of(
        data_root: &Path,
        range: &str,
        (converted, layers): (Option<&Path>, Amount),
    ) -> Result<PlannedCopy, DockerError> {
        let top = fs::canonicalize(data_root).map_err(DockerError::io(data_root))?;
        if DockerRoot::at(&top)
            .drivers()?
            .iter()
            .any(|driver| driver == "btrfs")
        {
            return Err(DockerError::in_the_way(
                top.join("btrfs"),
                Reason::CopyOfSubvolumes,
            ));
        }
        let (mut names, _) = plain_names(&top)?;
        let is_converted =
            |name: &String| converted.is_some_and(|path| path.starts_with(top.join(name)));
        names.retain(|name| !is_converted(name));
        let copy = PlannedCopy::into_dir((&top, names), (&top, format!("{COPY}{range}")))?;
        copy.check_room(leftover::room(&top, range), layers, NO_ROOM_FOR_COPY)?;
        Ok(copy)
    }

    /// A copy of these names of a directory, in this directory, under this name. Whether there is space for it is to be
    /// asked for then.
    ///
    /// # Errors
    /// Others can enter the original, or an earlier copy is in the way.
    pub fn into_dir(
        (source, names): (&Path, Vec<String>),
        (dir, name): (&Path, String),
    ) -> Result<PlannedCopy, DockerError> {
        let root = Root::open(source).map_err(DockerError::Place)?;
        check_is_closed(&root, &names)?;
        earlier::check_is_free(&dir.join(&name))?;
        let trees: Vec<PathBuf> = names.iter().map(|name| source.join(name)).collect();
        Ok(PlannedCopy {
            amount: space::used(&trees).map_err(DockerError::io(source))?,
            shares_content: space::can_reflink(source, dir),
            source: source.to_path_buf(),
            names,
            dir: dir.to_path_buf(),
            name,
            time: OnceCell::new(),
        })
    }

    /// Checks that there is space for it. `freed`: what there will be more of; `more`: what else is made; `help`: what else
    /// can be done.
    ///
    /// # Errors
    /// There is not.
    pub fn check_room(&self, freed: Amount, more: Amount, help: &str) -> Result<(), DockerError> {
        let bytes = match self.shares_content {
            true => self.amount.inodes * BARE_INODE,
            false => self.amount.bytes,
        };
        let takes = Amount {
            bytes: bytes.saturating_add(more.bytes),
            inodes: self.amount.inodes + more.inodes,
        };
        check_copy_room((&self.dir, freed), takes, help)
    }

    /// The directory of which it is a copy.
    pub fn source(&self) -> &Path {
        &self.source
    }

    /// The directory in which it is made.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its own path.
    pub fn path(&self) -> PathBuf {
        self.dir.join(&self.name)
    }

    /// What is copied.
    pub fn trees(&self) -> Vec<PathBuf> {
        let names = self.names.iter();
        names.map(|name| self.source.join(name)).collect()
    }

    /// Makes the copy. A copy that fails is removed. `begun` is called when its directory is made.
    ///
    /// # Errors
    /// It cannot be made, or somebody asked to stop.
    pub fn make(&self, control: RunControl<'_>, begun: impl FnOnce()) -> Result<(), DockerError> {
        control
            .monitor
            .phase(Phase::Copying, Some(self.amount.inodes));
        let staging = self.path();
        let mut time = TopTime::of(&self.dir).map_err(DockerError::io(&self.dir))?;
        // Nobody but root gets in before its owners are right.
        let made = rustix::fs::mkdirat(&time.top, &self.name, Mode::RWXU);
        made.map_err(DockerError::errno(&staging))?;
        time.note().map_err(DockerError::io(&self.dir))?;
        let _ = self.time.set(time);
        begun();
        let marked = self.open().and_then(|dir| {
            unfinished_mark::mark(&dir)?;
            Ok(dir)
        });
        let marked = marked.map_err(DockerError::io(&staging));
        let copied = marked.and_then(|dir| self.copy_into(dir, control));
        if copied.is_err() {
            self.remove();
        }
        copied
    }

    /// The command that removes what is left of it once its content was moved elsewhere.
    pub fn removal(&self) -> String {
        let path = self.path();
        let is_empty = || {
            path.read_dir()
                .is_ok_and(|mut names| names.next().is_none())
        };
        let command = if is_empty() { "rmdir" } else { "rm -r" };
        format!("{command} {}", shell_word(&path))
    }

    /// From now on it may be used: what is written to it then may be nowhere else.
    ///
    /// # Errors
    /// The disk does not have that.
    pub fn begin(&self) -> io::Result<()> {
        self.open().and_then(unfinished_mark::unmark)
    }

    fn open(&self) -> io::Result<OwnedFd> {
        let dir = self.time.get().map(|time| &time.top);
        let dir = dir.ok_or(io::ErrorKind::NotFound)?;
        Ok(open_dir(dir.as_fd(), &*self.name)?)
    }

    /// Removes a copy that was made and not used.
    pub fn remove(&self) {
        if let Some(time) = self.time.get() {
            // What is still there then is found in the way by the next run, which says how to remove it.
            let _ = time.removing(|| remove_tree(time.top.as_fd(), self.name.as_bytes()));
        }
    }

    fn copy_into(&self, staging: OwnedFd, control: RunControl<'_>) -> Result<(), DockerError> {
        let source = Root::open_exactly(&self.source).map_err(DockerError::Place)?;
        check_is_closed(&source, &self.names)?;
        for name in &self.names {
            let path = self.source.join(name);
            let found = stat_entry(source.pin.as_fd(), name.as_bytes());
            let found = found.map_err(DockerError::errno(&path))?;
            if found.is_some_and(|found| found.dev != source.dev) {
                return Err(DockerError::in_the_way(
                    path,
                    "is a mount point; move it into the data-root's filesystem first",
                ));
            }
        }
        let names = self.names.iter().map(OsStr::new);
        let goes_on = |copied| {
            control.monitor.progress(copied, 0);
            !control.is_cancelled()
        };
        cp_into((&source.pin, staging), names, goes_on).map_err(|error| {
            let why = match error {
                CpError::Start(error) => return DockerError::io("cp")(error),
                CpError::Stopped => "the copy was interrupted".to_string(),
                CpError::Failed(why) => why.replace(TARGET, &self.path().to_string_lossy()),
            };
            let why = format!("{why}. Nothing was changed, and the copy is removed");
            DockerError::in_the_way(self.path(), why)
        })
    }
}
