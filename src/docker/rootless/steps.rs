//! What is renamed, made and rewritten when a docker root becomes a user's.
//!
//! The order: `containers` gives its place to a guard, and everything else is renamed into a directory that nobody but
//! root enters. There the owners change and metadata is rewritten, and there the new docker root comes together. Its last
//! rename gives it to the user, whole: so the user never comes to a file of root's that would run with root's rights
//! (set-id bits), and no daemon starts on half of its data.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::data_root::MOVING;
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER};
use crate::idmap::{Direction, IdMap};
use crate::journal::step::StepPath;
use crate::journal::{Name, Step};
use crate::store_move::move_steps::MoveSteps;
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::{Source, Target};
use crate::store_move::steps::{StagedEntry, hand_over, hold_unused, holder, renameable};

/// The directory of the storage driver whose layers have attributes of overlayfs.
pub(super) const LAYERS: &str = "overlay2";

/// Steps as they come together.
pub(super) struct RootlessSteps<'a> {
    /// The list.
    pub list: MoveSteps<'a>,
    /// What ids become, this way.
    pub map: (&'a IdMap, Direction),
    /// Where `containers` is meanwhile.
    pub containers: StepPath,
}

impl<'a> RootlessSteps<'a> {
    /// To a user: the new docker root comes together beside the old one. `user`: whose missing directories above it are.
    pub fn to_user(
        from: &'a Source,
        to: &Target,
        (map, user): (&'a IdMap, (u32, u32)),
    ) -> Result<RootlessSteps<'a>, DockerError> {
        Ok(RootlessSteps {
            containers: StepPath::new(0, [format!("{MOVING}rootless-{CONTAINERS}")]),
            map: (map, Direction::Into),
            // As a rootless dockerd makes them.
            list: MoveSteps::to_user(from, to, (user, 0o711))?,
        })
    }

    /// From a user: it comes together in the plain data-root `to`. Nobody but root enters that: a user's set-id programs become
    /// root's in it. A dockerd that is older than 20.10.9 lets others enter (CVE-2021-41091).
    pub fn from_user(
        from: &'a Source,
        to: &Path,
        map: &'a IdMap,
    ) -> Result<RootlessSteps<'a>, DockerError> {
        Ok(RootlessSteps {
            containers: holder(1, &[CONTAINERS.as_bytes()]),
            map: (map, Direction::OutOf),
            list: MoveSteps::from_user(from, to, 0o710)?,
        })
    }

    /// A place in `containers` where it is meanwhile.
    pub fn hidden(&self, names: &[&str]) -> StepPath {
        let names = names.iter().map(|name| Name(name.as_bytes().to_vec()));
        StepPath {
            root: self.containers.root,
            path: self.containers.path.iter().cloned().chain(names).collect(),
        }
    }

    /// `containers` gives its place to a guard.
    pub fn block(&mut self) -> Result<(), DockerError> {
        let path = self.list.from.path.join(CONTAINERS);
        let from = self.list.from.step(&[CONTAINERS]);
        if path.symlink_metadata().is_err() {
            self.list.early.push(Step::Create {
                at: from,
                content: GUARD.to_string().into(),
                made: GUARD_OWNER,
            });
            return Ok(());
        }
        let identity = renameable(&path)?.identity;
        self.list.early.push(mtime_step(from.clone(), &path)?);
        self.list.early.push(Step::Block {
            from,
            to: self.hidden(&[]),
            identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// Everything else goes where only root enters, and so does what an unused daemon made in the new place.
    pub fn hold(&mut self, names: &[String], to: &Target) -> Result<Vec<StagedEntry>, DockerError> {
        self.list.make_holder();
        self.list.early.extend(hold_unused(to)?);
        Ok(self.list.hold(names)?)
    }

    /// All of it goes to its new place, and is the user's. `held`: what is in it.
    pub fn place(
        mut self,
        mut held: Vec<StagedEntry>,
        (to, user): (&Target, (u32, u32)),
    ) -> Result<MoveSteps<'a>, DockerError> {
        let path = self.list.from.path.join(CONTAINERS);
        if path.symlink_metadata().is_ok() {
            let identity = renameable(&path)?.identity;
            self.list.late.push(Step::Rename {
                from: self.hidden(&[]),
                to: self.list.holder(&[CONTAINERS.as_bytes()]),
                identity,
            });
            held.push(StagedEntry {
                name: CONTAINERS.into(),
                identity,
            });
        }
        let Some(entry) = held.pop() else {
            let why = "holds nothing that a daemon made. Is it the right one?";
            return Err(DockerError::in_the_way(&self.list.from.path, why));
        };
        self.list.late.push(hand_over(to, entry, user, 0o710));
        // Last: until then the daemon of before must not start without its data.
        self.list.late.push(Step::Remove {
            at: self.list.from.step(&[CONTAINERS]),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
        Ok(self.list)
    }
}
