//! A copy of a plain docker root, made beside it for a migration that leaves the original alone.
//!
//! Files of the containerd image store are copied with what a conversion makes, and not here.

pub mod earlier;

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::conversion::copy_room::check_copy_room;
use super::coreutils_cp::{CpError, cp};
use super::data_root::{COPY, DockerRoot, TopTime, plain_names};
use super::guidance::NO_ROOM_FOR_COPY;
use super::{DockerError, Reason, unfinished_mark};
use crate::engine::{Phase, RunControl};
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::remove_tree;
use crate::fs::space::{self, Amount, BARE_INODE};

/// A copy that can be made.
pub struct PlannedCopy {
    data_root: PathBuf,
    names: Vec<String>,
    /// Its name in the data-root.
    pub name: String,
    /// What is to be copied.
    pub amount: Amount,
    /// Content is shared, not copied.
    pub shares_content: bool,
    /// When the data-root was last modified, before the copy was begun.
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
        check_is_closed(&top)?;
        let name = format!("{COPY}{range}");
        let staging = top.join(&name);
        earlier::check_is_free(&staging)?;
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
        let trees: Vec<PathBuf> = names.iter().map(|name| top.join(name)).collect();
        let amount = space::used(&trees).map_err(DockerError::io(&top))?;
        let shares_content = space::can_reflink(&top);
        let bytes = match shares_content {
            true => amount.inodes * BARE_INODE,
            false => amount.bytes,
        };
        check_copy_room(
            (&top, range),
            Amount {
                bytes: bytes.saturating_add(layers.bytes),
                inodes: amount.inodes + layers.inodes,
            },
            NO_ROOM_FOR_COPY,
        )?;
        Ok(PlannedCopy {
            data_root: top,
            names,
            name,
            amount,
            shares_content,
            time: OnceCell::new(),
        })
    }

    /// What is copied.
    pub fn trees(&self) -> Vec<PathBuf> {
        let names = self.names.iter();
        names.map(|name| self.data_root.join(name)).collect()
    }

    /// Makes the copy. A copy that fails is removed. `begun` is called when its directory is made.
    ///
    /// # Errors
    /// It cannot be made, or somebody asked to stop.
    pub fn make(&self, control: RunControl<'_>, begun: impl FnOnce()) -> Result<(), DockerError> {
        control
            .monitor
            .phase(Phase::Copying, Some(self.amount.inodes));
        let staging = self.data_root.join(&self.name);
        let failed = DockerError::io(&self.data_root);
        let mut time = TopTime::of(&self.data_root).map_err(failed)?;
        let mut builder = fs::DirBuilder::new();
        // Nobody but root gets in before its owners are right.
        let made = builder.mode(0o700).create(&staging);
        made.map_err(DockerError::io(&staging))?;
        time.note().map_err(DockerError::io(&self.data_root))?;
        let _ = self.time.set(time);
        begun();
        let marked = self.open().and_then(unfinished_mark::mark);
        let marked = marked.map_err(DockerError::io(&staging));
        let copied = marked.and_then(|()| self.copy_into(&staging, control));
        if copied.is_err() {
            self.remove();
        }
        copied
    }

    /// From now on it may be used: what is written to it then may be nowhere else.
    ///
    /// # Errors
    /// The disk does not have that.
    pub fn begin(&self) -> io::Result<()> {
        self.open().and_then(unfinished_mark::unmark)
    }

    fn open(&self) -> io::Result<OwnedFd> {
        Ok(open_dir(rustix::fs::CWD, &self.data_root.join(&self.name))?)
    }

    /// Removes a copy that was made and not used.
    pub fn remove(&self) {
        if let Some(time) = self.time.get() {
            // What is still there then is found in the way by the next run, which says how to remove it.
            let _ = time.removing(|| remove_tree(time.top.as_fd(), self.name.as_bytes()));
        }
    }

    fn copy_into(&self, staging: &Path, control: RunControl<'_>) -> Result<(), DockerError> {
        let device = fs::metadata(staging)
            .map_err(DockerError::io(staging))?
            .dev();
        for name in &self.names {
            let path = self.data_root.join(name);
            let found = path.symlink_metadata().map_err(DockerError::io(&path))?;
            if found.dev() != device {
                return Err(DockerError::in_the_way(
                    path,
                    "is a mount point; move it into the data-root's filesystem first",
                ));
            }
        }
        let target = [OsStr::new("-t"), staging.as_os_str(), OsStr::new("--")];
        let names = self.names.iter().map(OsStr::new);
        let goes_on = |copied| {
            control.monitor.progress(copied, 0);
            !control.is_cancelled()
        };
        cp(&self.data_root, target.into_iter().chain(names), goes_on).map_err(|error| {
            let why = match error {
                CpError::Start(error) => return DockerError::io("cp")(error),
                CpError::Stopped => "the copy was interrupted".to_string(),
                CpError::Failed(why) => why,
            };
            let why = format!("{why}. Nothing was changed, and the copy is removed");
            DockerError::in_the_way(staging, why)
        })
    }
}

/// Refuses a data-root that others than root can enter. `cp` works by paths: somebody who can write
/// in a volume could make it copy any directory of the host. Users of the data-root are checked
/// before; this keeps everybody else out.
fn check_is_closed(top: &Path) -> Result<(), DockerError> {
    let found = fs::metadata(top).map_err(DockerError::io(top))?;
    let others = found.mode() & 0o001 != 0;
    let group = found.mode() & 0o010 != 0 && found.gid() != 0;
    match found.uid() == 0 && !others && !group {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            top,
            format!(
                "can be entered by others than root (it is {}:{} {:04o}), who could replace what is copied. \
                Close it with `chown root:root {path} && chmod 0710 {path}`, as a daemon that is not remapped has it",
                found.uid(),
                found.gid(),
                found.mode() & 0o7777,
                path = shell_word(top),
            ),
        )),
    }
}
