//! The system calls of each kind of step.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::Performer;
use crate::engine::steps::error::StepError;
use crate::engine::steps::place::last;
use crate::engine::steps::place::owned;
use crate::fs::file_ops::{self, Owner};
use crate::fs::{Identity, apply, remove_tree};
use crate::journal::Name;
use crate::journal::step::{NewDirectory, StepPath, sha256};
use crate::ownership::{Mode, Ownership};

impl Performer<'_> {
    /// Renames an entry and puts a guard in its old place.
    pub(super) fn block(
        &self,
        from: &StepPath,
        to: &StepPath,
        content: &str,
    ) -> Result<(), StepError> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (from, to) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        // One that was killed after it made the guard has it there.
        match file_ops::stat_entry(to.0, to.1)? {
            None => file_ops::create_file(to.0, to.1, content.as_bytes(), GUARD)?,
            Some(_) if guard_is_at(to, content) => {}
            Some(_) => return Err(rustix::io::Errno::EXIST.into()),
        }
        Ok(file_ops::exchange(from, to)?)
    }

    /// Renames an entry to the place of a guard.
    pub(super) fn unblock(
        &self,
        from: &StepPath,
        to: &StepPath,
        content: &str,
    ) -> Result<(), StepError> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let (from, to) = ((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        // One that was killed before it removed the guard has it where the entry was.
        if !guard_is_at(from, content) {
            match file_ops::stat_entry(to.0, to.1)? {
                None => return Ok(file_ops::move_entry(from, to)?),
                Some(_) if guard_is_at(to, content) => file_ops::exchange(from, to)?,
                Some(_) => return Err(rustix::io::Errno::EXIST.into()),
            }
        }
        Ok(file_ops::remove_file(from.0, from.1)?)
    }

    pub(super) fn create(
        &self,
        at: &StepPath,
        content: &[u8],
        made: &NewDirectory,
    ) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::create_file(
            dir.as_fd(),
            last(at),
            content,
            owner(made),
        )?)
    }

    /// Removes a file if it holds this.
    pub(super) fn remove(&self, at: &StepPath, content: &[u8]) -> Result<(), StepError> {
        let dir = match self.roots.parent(at) {
            Err(error) if error.is_io(io::ErrorKind::NotFound) => return Ok(()),
            dir => dir?,
        };
        match holds((dir.as_fd(), last(at)), content) {
            true => Ok(file_ops::remove_file(dir.as_fd(), last(at))?),
            false => Ok(()),
        }
    }

    /// Makes sure that a file holds what has this digest.
    pub(super) fn expect(&self, at: &StepPath, digest: &str) -> Result<(), StepError> {
        let (content, _) = file_ops::read_file(self.roots.parent(at)?.as_fd(), last(at))?;
        match sha256(&content) == digest {
            true => Ok(()),
            false => Err(StepError::FileChanged),
        }
    }

    pub(super) fn relink(
        &self,
        at: &StepPath,
        target: &Name,
        mtime_ns: Option<i64>,
        owner: Option<(u32, u32)>,
    ) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::replace_link(
            dir.as_fd(),
            last(at),
            &target.0,
            mtime_ns,
            owner,
        )?)
    }

    pub(super) fn set_ownership(
        &self,
        at: &StepPath,
        identity: Identity,
        wanted: &Ownership,
    ) -> Result<(), StepError> {
        let (pin, stat, now) = owned(self.roots, at, identity)?;
        Ok(apply(&pin, stat.file_type, &now, wanted)?)
    }

    pub(super) fn make(&self, at: &StepPath, made: &NewDirectory) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::make_dir(dir.as_fd(), last(at), owner(made))?)
    }

    pub(super) fn make_mount_point(
        &self,
        at: &StepPath,
        made: &NewDirectory,
    ) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::make_mount_point(
            dir.as_fd(),
            last(at),
            owner(made),
        )?)
    }

    pub(super) fn remove_mount_point(&self, at: &StepPath) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::remove_mount_point(dir.as_fd(), last(at))?)
    }

    /// Removes what was made for a run, if it is that.
    pub(super) fn unstage(
        &self,
        at: &StepPath,
        identity: Identity,
        whole: bool,
    ) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        match file_ops::stat_entry(dir.as_fd(), last(at))? {
            None => Ok(()),
            Some(stat) if stat.identity != identity => Err(StepError::OtherInode),
            Some(stat) if stat.is_dir() && whole => Ok(remove_tree(dir.as_fd(), last(at))?),
            Some(stat) if stat.is_dir() => Ok(file_ops::remove_dir(dir.as_fd(), last(at))?),
            Some(_) => Ok(file_ops::remove_file(dir.as_fd(), last(at))?),
        }
    }

    pub(super) fn remove_dir(&self, at: &StepPath) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::remove_dir(dir.as_fd(), last(at))?)
    }
}

/// Everybody can read it, to learn why the daemon does not start.
const GUARD: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o644),
};

pub(super) fn guard_is_at(at: (BorrowedFd<'_>, &[u8]), content: &str) -> bool {
    holds(at, content.as_bytes())
}

fn holds((dir, name): (BorrowedFd<'_>, &[u8]), content: &[u8]) -> bool {
    let now = file_ops::read_file(dir, name);
    now.is_ok_and(|(now, _)| now == content)
}

fn owner(made: &NewDirectory) -> Owner {
    Owner {
        uid: made.uid,
        gid: made.gid,
        mode: made.mode,
    }
}
