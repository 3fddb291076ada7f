//! What a plan's steps meet on the disk, looked at before the first of them is taken: what a flag or a mount keeps in
//! its place, what has the place of a directory that is to be made, and what a project id keeps from being renamed.

mod projects;

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use crate::fs::file_ops::stat_entry;
use crate::fs::{Root, Stat};
use crate::journal::step::{MovedPath, StepPath, path_after_move};
use crate::journal::{Name, Step};
use crate::ownership::Flags;
use crate::preflight::PermanentBlocker;
use projects::OtherProject;

/// A plan's steps and the roots they are taken in.
pub(in crate::engine) struct StepPlaces<'a> {
    pub steps: &'a [Step],
    pub roots: &'a [Root],
    /// How many of the roots are trees in which owners are changed; they come first.
    pub trees: usize,
    /// A copy of the trees is changed, which has none of their flags and project ids.
    pub is_of_original: bool,
}

impl StepPlaces<'_> {
    /// Refuses what would stop a step midway. What cannot be looked at, the step itself tells.
    ///
    /// # Errors
    /// [`PermanentBlocker::Flagged`], [`PermanentBlocker::MountPoint`], [`PermanentBlocker::PlaceTaken`],
    /// [`PermanentBlocker::OtherProject`]
    pub fn check(&self) -> Result<(), PermanentBlocker> {
        let mut looking = Looking {
            roots: self.roots,
            trees: self.trees,
            is_of_original: self.is_of_original,
            moves: Vec::new(),
            dir: None,
            other_projects: Vec::new(),
        };
        for step in self.steps {
            match step {
                Step::Rename { from, to, .. }
                | Step::Block { from, to, .. }
                | Step::Unblock { from, to, .. } => {
                    looking.entry_can_go(from)?;
                    looking.dir_can_change(to)?;
                    looking.compare_projects(from, to);
                }
                Step::Rewrite { at, .. }
                | Step::Relink { at, .. }
                | Step::Remove { at, .. }
                | Step::RemoveDir { at, .. } => looking.entry_can_go(at)?,
                Step::MakeDir { at, .. } => looking.dir_can_be_made(at)?,
                // It is immutable itself.
                Step::Create { at, .. }
                | Step::MakeMountPoint { at, .. }
                | Step::RemoveMountPoint { at, .. }
                // What it renames comes with the run.
                | Step::HandOver { to: at, .. } => looking.dir_can_change(at)?,
                Step::Times { at, .. }
                | Step::SetOwnership { at, .. }
                | Step::MountExchanged { source: at, .. } => looking.is_free(at)?,
                Step::Staged { .. } | Step::Expect { .. } | Step::UnmountExchanged { .. } => {}
            }
            looking.moves.extend(step.moved());
        }
        looking.no_other_projects()
    }
}

struct Looking<'a> {
    roots: &'a [Root],
    trees: usize,
    is_of_original: bool,
    /// Of the steps before this one.
    moves: Vec<MovedPath<'a>>,
    /// The directory that was opened last: those of one container come one after the other.
    dir: Option<(StepPath, OwnedFd)>,
    /// What cannot be renamed.
    other_projects: Vec<OtherProject>,
}

impl Looking<'_> {
    /// Where something is before all steps; `None`: what is there now goes elsewhere first.
    fn place_now(&self, place: &StepPath) -> Option<StepPath> {
        let mut place = place.clone();
        for MovedPath { from, to, .. } in self.moves.iter().rev() {
            if let Some((root, path)) = path_after_move(to, from, place.root, &place.path) {
                place = StepPath { root, path };
            } else if path_after_move(from, to, place.root, &place.path).is_some() {
                return None;
            }
        }
        Some(place)
    }

    /// An entry gets another place or content, or goes.
    fn entry_can_go(&mut self, place: &StepPath) -> Result<(), PermanentBlocker> {
        self.is_free(place)?;
        self.is_no_mount_point(place)?;
        self.dir_can_change(place)
    }

    fn is_no_mount_point(&mut self, place: &StepPath) -> Result<(), PermanentBlocker> {
        let now = self.place_now(place);
        match now.filter(|now| self.stat(now).is_some_and(|stat| stat.mount_root)) {
            Some(now) => Err(PermanentBlocker::MountPoint {
                path: self.path(&now),
                // Beside the trees, the only file with content of others is daemon.json.
                by_hand: place.root >= self.trees,
            }),
            None => Ok(()),
        }
    }

    /// The directory of a place gets or loses an entry.
    fn dir_can_change(&mut self, place: &StepPath) -> Result<(), PermanentBlocker> {
        match place.path.split_last() {
            None => Ok(()),
            Some((_, above)) => self.is_free(&StepPath {
                root: place.root,
                path: above.to_vec(),
            }),
        }
    }

    fn dir_can_be_made(&mut self, place: &StepPath) -> Result<(), PermanentBlocker> {
        self.dir_can_change(place)?;
        let Some(now) = self.place_now(place) else {
            return Ok(());
        };
        match self.stat(&now) {
            Some(stat) if !stat.is_dir() => Err(PermanentBlocker::PlaceTaken {
                path: self.path(&now),
                kind: stat.file_type,
            }),
            _ => Ok(()),
        }
    }

    /// A copy of what has this place is changed, and not that itself.
    fn is_copied(&self, place: &StepPath) -> bool {
        self.is_of_original && place.root < self.trees
    }

    /// No flag keeps what has this place now as it is.
    fn is_free(&mut self, place: &StepPath) -> Result<(), PermanentBlocker> {
        if self.is_copied(place) {
            return Ok(());
        }
        let Some(now) = self.place_now(place) else {
            return Ok(());
        };
        match self.stat(&now).map(|stat| stat.flags()) {
            Some(flags) if flags != Flags::default() => Err(PermanentBlocker::Flagged {
                path: self.path(&now),
                flags,
            }),
            _ => Ok(()),
        }
    }

    fn path(&self, place: &StepPath) -> std::path::PathBuf {
        let below = place.path.iter().map(Name::as_path);
        below.fold(self.roots[place.root].path.clone(), |path, name| {
            path.join(name)
        })
    }

    fn stat(&mut self, place: &StepPath) -> Option<Stat> {
        let Some((name, above)) = place.path.split_last() else {
            return self.roots[place.root].pin.stat().ok();
        };
        let above = StepPath {
            root: place.root,
            path: above.to_vec(),
        };
        if self.dir.as_ref().is_none_or(|(known, _)| *known != above) {
            self.dir = Some((above.clone(), self.open(&above)?));
        }
        let (_, dir) = self.dir.as_ref()?;
        stat_entry(dir.as_fd(), &name.0).ok().flatten()
    }

    fn open(&self, place: &StepPath) -> Option<OwnedFd> {
        let enter = |dir: OwnedFd, name: &[u8]| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(dir, name, flags, Mode::empty()).ok()
        };
        let top = self.roots[place.root].pin.as_fd().try_clone_to_owned();
        let mut names = place.path.iter();
        names.try_fold(top.ok()?, |dir, name| enter(dir, &name.0))
    }
}
