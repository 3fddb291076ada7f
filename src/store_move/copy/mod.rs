//! A copy of a store, for a migration that leaves the original alone. It is made in a directory that only root can enter:
//! in a data-root, or where [`copied_move`](super::copied_move) says.

mod closed;
pub mod earlier;
pub mod free_space;

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use self::closed::check_is_closed;
use self::free_space::check_space_for_copy;
use crate::engine::{Phase, RunControl};
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::stat_entry;
use crate::fs::space::{self, Amount, BARE_INODE};
use crate::fs::subvolume::first_subvolume;
use crate::fs::{Root, remove_tree};
use crate::store_move::coreutils_cp::{CpError, TARGET, cp_into};
use crate::store_move::top_time::TopTime;
use crate::store_move::{MoveError, unfinished_mark};

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
    /// A copy of these names of a directory, in this directory, under this name. Whether there is space for it is to be
    /// asked for then.
    ///
    /// # Errors
    /// Others can enter the original, not all of it can be copied, or an earlier copy is in the way.
    pub fn into_dir(
        (source, names): (&Path, Vec<String>),
        (dir, name): (&Path, String),
    ) -> Result<PlannedCopy, MoveError> {
        let root = Root::open(source)?;
        check_is_closed(&root, &names)?;
        earlier::check_is_free(&dir.join(&name))?;
        let trees: Vec<PathBuf> = names.iter().map(|name| source.join(name)).collect();
        check_no_subvolume(&root, &trees)?;
        Ok(PlannedCopy {
            amount: space::used(&trees).map_err(MoveError::io(source))?,
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
    pub fn check_space(&self, freed: Amount, more: Amount, help: &str) -> Result<(), MoveError> {
        let bytes = match self.shares_content {
            true => self.amount.inodes * BARE_INODE,
            false => self.amount.bytes,
        };
        let takes = Amount {
            bytes: bytes.saturating_add(more.bytes),
            inodes: self.amount.inodes + more.inodes,
        };
        check_space_for_copy((&self.dir, freed), takes, help)
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
    pub fn make(&self, control: RunControl<'_>, begun: impl FnOnce()) -> Result<(), MoveError> {
        control
            .monitor
            .phase(Phase::Copying, Some(self.amount.inodes));
        let staging = self.path();
        let mut time = TopTime::of(&self.dir).map_err(MoveError::io(&self.dir))?;
        // Nobody but root gets in before its owners are right.
        let made = rustix::fs::mkdirat(&time.top, &self.name, Mode::RWXU);
        made.map_err(MoveError::errno(&staging))?;
        time.note().map_err(MoveError::io(&self.dir))?;
        let _ = self.time.set(time);
        begun();
        let marked = self.open().and_then(|dir| {
            unfinished_mark::mark(&dir)?;
            Ok(dir)
        });
        let marked = marked.map_err(MoveError::io(&staging));
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

    fn copy_into(&self, staging: OwnedFd, control: RunControl<'_>) -> Result<(), MoveError> {
        let source = Root::open_exactly(&self.source)?;
        check_is_closed(&source, &self.names)?;
        for name in &self.names {
            let path = self.source.join(name);
            let found = stat_entry(source.pin.as_fd(), name.as_bytes());
            let found = found.map_err(MoveError::errno(&path))?;
            if found.is_some_and(|found| found.dev != source.dev) {
                return Err(MoveError::in_the_way(
                    path,
                    "is a mount point; move it into the filesystem of what is copied first",
                ));
            }
        }
        // Again: somebody may have made one while the run was asked about.
        check_no_subvolume(&source, &self.trees())?;
        let names = self.names.iter().map(OsStr::new);
        let goes_on = |copied| {
            control.monitor.progress(copied, 0);
            !control.is_cancelled()
        };
        cp_into((&source.pin, staging), names, goes_on).map_err(|error| {
            let why = match error {
                CpError::Start(error) => return MoveError::io("cp")(error),
                CpError::Stopped => "the copy was interrupted".to_string(),
                CpError::Failed(why) => why.replace(TARGET, &self.path().to_string_lossy()),
            };
            let why = format!("{why}. Nothing was changed, and the copy is removed");
            MoveError::in_the_way(self.path(), why)
        })
    }
}

/// Refuses trees of this directory of which a copy would be without the content of a subvolume.
fn check_no_subvolume(source: &Root, trees: &[PathBuf]) -> Result<(), MoveError> {
    for tree in trees {
        let found = first_subvolume(tree, source.dev).map_err(MoveError::io(tree))?;
        if let Some(path) = found {
            let (word, aside) = (
                shell_word(&path),
                format!("{}-subvolume", source.path.display()),
            );
            let aside = shell_word(Path::new(&aside)).to_string();
            let why = format!(
                "is a subvolume of its own, and `cp` leaves out what is in it. Without --copy, it goes along. Or make a plain \
                 directory of it: `mv {word} {aside} && cp -a {aside} {word}`. Remove {aside} when nothing is missing"
            );
            return Err(MoveError::in_the_way(path, why));
        }
    }
    Ok(())
}
