//! Taking and undoing one step.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::aside::set_aside;
use super::error::StepError;
use super::exchanged::Exchanged;
use super::place::{PlaceDirs, StepRoots, last};
use super::state::owned;
use super::survey::{Survey, Surveyor};
use crate::engine::report::SetAside;
use crate::fs::file_ops::{self, Owner};
use crate::fs::{Identity, apply, remove_tree};
use crate::idmap::IdMap;
use crate::journal::step::{FileContent, NewDirectory, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::{Mode, Ownership};

/// Makes the system calls of steps.
pub(super) struct Performer<'a> {
    pub roots: &'a StepRoots<'a>,
    /// The run's map.
    pub map: &'a IdMap,
    /// The trees are a daemon's own.
    pub is_service: bool,
    /// What a daemon made that tried to start while it was kept from that is nobody's.
    pub forgives: bool,
}

impl Performer<'_> {
    /// Takes a step.
    pub fn perform(&self, step: &Step) -> Result<(), StepError> {
        match step {
            Step::MakeDir { at, made } => self.make(at, made),
            Step::RemoveDir { at, .. } => match self.remove_dir(at) {
                // All that was carried has left it: the rest is of a daemon that was started there since.
                Err(error) if self.is_service && error.is_io(io::ErrorKind::DirectoryNotEmpty) => {
                    Ok(())
                }
                removed => removed,
            },
            Step::Rename { from, to, .. } => self.rename(from, to),
            Step::Rewrite { at, after, .. } => {
                let dir = self.roots.parent(at)?;
                Ok(file_ops::replace_file(
                    dir.as_fd(),
                    last(at),
                    new_file(after),
                )?)
            }
            Step::Relink {
                at, after, owners, ..
            } => self.relink(at, after, None, owners.map(|it| it[1])),
            Step::SetOwnership {
                at,
                identity,
                after,
                ..
            } => self.set_ownership(at, *identity, after),
            Step::Create { at, content, made } => self.create(at, content, made),
            Step::Remove { at, content, .. } => self.remove(at, content),
            Step::Block {
                from, to, content, ..
            } => self.block(from, to, content),
            Step::Unblock {
                from, to, content, ..
            } => self.unblock(from, to, content),
            Step::MakeMountPoint { at, made } => self.make_mount_point(at, made),
            Step::RemoveMountPoint { at, .. } => self.remove_mount_point(at),
            Step::MountExchanged {
                source,
                at,
                mtime_ns,
            } => self.exchanged(source, at).mount(Some(*mtime_ns)),
            Step::UnmountExchanged { source, at } => self.exchanged(source, at).unmount(),
            Step::Staged { .. } => Err(StepError::Gone),
            Step::Times { .. } => Ok(()),
        }
    }

    /// Undoes a step; what is in the way of that, and is kept elsewhere, goes to `aside`.
    pub fn undo(
        &self,
        step: &Step,
        dirs: &mut PlaceDirs<'_>,
        aside: &mut Vec<SetAside>,
    ) -> Result<(), StepError> {
        match step {
            Step::Staged {
                at,
                identity,
                whole,
            } => match self.unstage(at, *identity, *whole) {
                Err(error) if self.forgives && error.is_io(io::ErrorKind::DirectoryNotEmpty) => {
                    aside.push(set_aside(self.roots, at)?);
                    Ok(())
                }
                removed => removed,
            },
            Step::MakeDir { at, .. } => match self.remove_dir(at) {
                // A directory of the host's, for the daemon's units: others put something into it meanwhile.
                Err(error)
                    if self.is_service
                        && self.roots.lines()[at.root].steps_only
                        && error.is_io(io::ErrorKind::DirectoryNotEmpty) =>
                {
                    Ok(())
                }
                // What a daemon made in it, while it was kept from the rest, stays with it.
                Err(error) if self.forgives && error.is_io(io::ErrorKind::DirectoryNotEmpty) => {
                    aside.push(set_aside(self.roots, at)?);
                    Ok(())
                }
                removed => removed,
            },
            Step::RemoveDir { at, made } => self.make(at, made),
            Step::Rename { from, to, .. } => self.rename(to, from),
            Step::Rewrite { at, before, .. } => {
                let dir = self.roots.parent(at)?;
                Ok(file_ops::replace_file(
                    dir.as_fd(),
                    last(at),
                    new_file(before),
                )?)
            }
            Step::Relink {
                at,
                before,
                mtime_ns,
                owners,
                ..
            } => self.relink(at, before, Some(*mtime_ns), owners.map(|it| it[0])),
            Step::SetOwnership {
                at,
                identity,
                before,
                ..
            } => self.set_ownership(at, *identity, before),
            Step::Create { at, content, .. } => self.remove(at, content),
            Step::Remove { at, content, made } => self.create(at, content, made),
            Step::Block {
                from, to, content, ..
            } => self.unblock(to, from, content),
            Step::Unblock {
                from, to, content, ..
            } => self.block(to, from, content),
            Step::MakeMountPoint { at, .. } => self.remove_mount_point(at),
            Step::RemoveMountPoint { at, made } => self.make_mount_point(at, made),
            Step::MountExchanged { source, at, .. } => self.exchanged(source, at).unmount(),
            Step::UnmountExchanged { source, at } => self.exchanged(source, at).mount(None),
            Step::Times { at, mtime_ns } => match dirs.dir(at) {
                Ok(dir) => Ok(file_ops::set_mtime(dir, *mtime_ns)?),
                // It came with the run, or is gone.
                Err(error) if error.is_io(io::ErrorKind::NotFound) => Ok(()),
                Err(error) => Err(error),
            },
        }
    }

    /// Whatever has the place is renamed: that it is what is meant, or may be, was found out before. What is
    /// gone is gone.
    fn rename(&self, from: &StepPath, to: &StepPath) -> Result<(), StepError> {
        let (from_dir, to_dir) = (self.roots.parent(from)?, self.roots.parent(to)?);
        let moved =
            file_ops::move_entry((from_dir.as_fd(), last(from)), (to_dir.as_fd(), last(to)));
        match moved {
            Err(error) if self.forgives && error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => Ok(moved?),
        }
    }

    /// Gives an entry another place and leaves a guard in the one it had.
    fn block(&self, from: &StepPath, to: &StepPath, content: &str) -> Result<(), StepError> {
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

    /// Gives an entry the place of a guard.
    fn unblock(&self, from: &StepPath, to: &StepPath, content: &str) -> Result<(), StepError> {
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

    fn create(&self, at: &StepPath, content: &str, made: &NewDirectory) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::create_file(
            dir.as_fd(),
            last(at),
            content.as_bytes(),
            owner(made),
        )?)
    }

    /// Removes a file if it holds this.
    fn remove(&self, at: &StepPath, content: &str) -> Result<(), StepError> {
        let dir = match self.roots.parent(at) {
            Err(error) if error.is_io(io::ErrorKind::NotFound) => return Ok(()),
            dir => dir?,
        };
        match guard_is_at((dir.as_fd(), last(at)), content) {
            true => Ok(file_ops::remove_file(dir.as_fd(), last(at))?),
            false => Ok(()),
        }
    }

    fn relink(
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

    fn set_ownership(
        &self,
        at: &StepPath,
        identity: Identity,
        wanted: &Ownership,
    ) -> Result<(), StepError> {
        let (pin, stat, now) = owned(self.roots, at, identity)?;
        Ok(apply(&pin, stat.file_type, &now, wanted)?)
    }

    fn make(&self, at: &StepPath, made: &NewDirectory) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::make_dir(dir.as_fd(), last(at), owner(made))?)
    }

    fn make_mount_point(&self, at: &StepPath, made: &NewDirectory) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::make_mount_point(
            dir.as_fd(),
            last(at),
            owner(made),
        )?)
    }

    fn remove_mount_point(&self, at: &StepPath) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::remove_mount_point(dir.as_fd(), last(at))?)
    }

    fn exchanged<'p>(&'p self, source: &'p StepPath, at: &'p StepPath) -> Exchanged<'p> {
        Exchanged {
            roots: self.roots,
            map: self.map,
            source,
            at,
        }
    }

    /// Removes what was made for a run, if it is that.
    fn unstage(&self, at: &StepPath, identity: Identity, whole: bool) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        match file_ops::stat_entry(dir.as_fd(), last(at))? {
            None => Ok(()),
            Some(stat) if stat.identity != identity => Err(StepError::OtherInode),
            Some(stat) if stat.is_dir() && whole => Ok(remove_tree(dir.as_fd(), last(at))?),
            Some(stat) if stat.is_dir() => Ok(file_ops::remove_dir(dir.as_fd(), last(at))?),
            Some(_) => Ok(file_ops::remove_file(dir.as_fd(), last(at))?),
        }
    }

    fn remove_dir(&self, at: &StepPath) -> Result<(), StepError> {
        let dir = self.roots.parent(at)?;
        Ok(file_ops::remove_dir(dir.as_fd(), last(at))?)
    }
}

/// Removes what a run left that was killed before a file was in its place.
pub(super) fn sweep(
    surveyor: &Surveyor<'_>,
    survey: &Survey,
    n: usize,
    dirs: &mut PlaceDirs<'_>,
) -> Result<(), StepError> {
    let place = match &surveyor.steps[n] {
        Step::Rewrite { at, .. }
        | Step::Relink { at, .. }
        | Step::Create { at, .. }
        | Step::Remove { at, .. } => at,
        Step::Block { to, .. } if !survey.is_moved(n) => to,
        Step::Unblock { from, .. } if survey.is_moved(n) => from,
        _ => return Ok(()),
    };
    let place = &surveyor.place_now(survey, n, place);
    let Ok(dir) = dirs.parent(place) else {
        return Ok(());
    };
    let at = (dir, last(place));
    file_ops::remove_unfinished(at.0, at.1)?;
    match &surveyor.steps[n] {
        Step::Block { content, .. } if guard_is_at(at, content) => {
            Ok(file_ops::remove_file(at.0, at.1)?)
        }
        _ => Ok(()),
    }
}

/// Anybody may read why the daemon does not start.
const GUARD: Owner = Owner {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o644),
};

fn guard_is_at((dir, name): (BorrowedFd<'_>, &[u8]), content: &str) -> bool {
    let now = file_ops::read_file(dir, name);
    now.is_ok_and(|(now, _)| now == content.as_bytes())
}

/// What a file is to be.
pub(super) fn new_file(content: &FileContent) -> file_ops::NewFile<'_> {
    file_ops::NewFile {
        content: content.text.as_bytes(),
        mtime_ns: content.mtime_ns,
        owner: content.owner,
    }
}

fn owner(made: &NewDirectory) -> Owner {
    Owner {
        uid: made.uid,
        gid: made.gid,
        mode: made.mode,
    }
}
