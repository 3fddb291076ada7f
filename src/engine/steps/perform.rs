//! Taking and undoing one step.

mod calls;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::aside::set_aside;
use super::error::StepError;
use super::exchanged::Exchanged;
use super::place::{PlaceDirs, StepRoots, last};
use super::survey::{Survey, Surveyor};
use crate::engine::stats::RenamedObstacle;
use crate::fs::file_ops;
use crate::idmap::IdMap;
use crate::journal::Step;
use crate::journal::step::{FileContent, StepPath};
use calls::guard_is_at;

/// Makes the system calls of steps.
pub(super) struct Performer<'a> {
    pub roots: &'a StepRoots<'a>,
    /// The run's map.
    pub map: &'a IdMap,
    /// The trees are a daemon's own.
    pub is_service: bool,
    /// Whether to tolerate what a daemon made that the guard kept from starting.
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
            Step::Rename { from, to, identity } => self.rename(from, to, *identity),
            Step::HandOver { .. } => self.hand_over(step),
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
            Step::Create { at, content, made } => self.create(at, &content.0, made),
            Step::Remove { at, content, .. } => self.remove(at, content.as_bytes()),
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
            Step::Expect { at, sha256 } => self.expect(at, sha256),
            Step::Times { .. } => Ok(()),
        }
    }

    /// Undoes a step; what is in the way of that, and is kept elsewhere, goes to `aside`.
    pub fn undo(
        &self,
        step: &Step,
        dirs: &mut PlaceDirs<'_>,
        aside: &mut Vec<RenamedObstacle>,
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
            Step::Rename { from, to, identity } => self.rename(to, from, *identity),
            Step::HandOver { .. } => self.take_back(step),
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
            Step::Create { at, content, .. } => self.remove(at, &content.0),
            Step::Remove { at, content, made } => self.create(at, content.as_bytes(), made),
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
            Step::Expect { .. } => Ok(()),
            Step::Times { at, mtime_ns } => match dirs.dir(at) {
                Ok(dir) => Ok(put_mtime_back(dir, *mtime_ns)?),
                // It came with the run, or is gone.
                Err(error) if error.is_io(io::ErrorKind::NotFound) => Ok(()),
                Err(error) => Err(error),
            },
        }
    }

    fn exchanged<'p>(&'p self, source: &'p StepPath, at: &'p StepPath) -> Exchanged<'p> {
        Exchanged {
            roots: self.roots,
            map: self.map,
            source,
            at,
        }
    }
}

/// Where it is as it was, nothing is written: the directory may be one that cannot be changed any more.
fn put_mtime_back(dir: BorrowedFd<'_>, mtime_ns: i64) -> io::Result<()> {
    match file_ops::mtime_ns(dir)? == mtime_ns {
        true => Ok(()),
        false => file_ops::set_mtime(dir, mtime_ns),
    }
}

/// Removes temporary files of a run that was killed before it renamed them.
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

/// What a file is to be.
pub(super) fn new_file(content: &FileContent) -> file_ops::NewFile<'_> {
    file_ops::NewFile {
        content: content.text.as_bytes(),
        mtime_ns: content.mtime_ns,
        owner: content.owner,
    }
}
