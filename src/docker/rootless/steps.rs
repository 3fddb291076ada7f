//! What is renamed, made and rewritten when a docker root becomes a user's.
//!
//! The order: `containers` gives its place to a guard, and everything else is renamed into a directory that nobody but
//! root enters. There the owners change and metadata is rewritten, and there the new docker root comes together. Its last
//! rename gives it to the user, whole: so the user never comes to a file of root's that would run with root's rights
//! (set-id bits), and no daemon starts on half of its data.

use std::collections::HashSet;

use crate::docker::DockerError;
use crate::docker::data_root::MOVING;
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER};
use crate::idmap::{Direction, IdMap};
use crate::journal::step::StepPath;
use crate::journal::{Name, Step};
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::{Source, Target};
use crate::store_move::steps::{
    Held, hand_over, hold, hold_unused, holder, make_holder, make_parents, renameable,
};

/// The directory of the storage driver whose layers have attributes of overlayfs.
pub(super) const LAYERS: &str = "overlay2";

/// Steps as they come together.
pub(super) struct MoveSteps<'a> {
    /// Where the docker root is.
    pub from: &'a Source,
    /// What ids become, this way.
    pub map: (&'a IdMap, Direction),
    /// The root of the steps that has the directory in which everything is meanwhile.
    holder_root: usize,
    /// Where `containers` is meanwhile.
    pub containers: StepPath,
    /// Files and symlinks that are written anew, by the names that lead to them in the docker root.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
}

impl<'a> MoveSteps<'a> {
    /// To a user: the new docker root comes together beside the old one. `user`: whose missing directories above it are.
    pub fn to_user(
        from: &'a Source,
        to: &Target,
        (map, user): (&'a IdMap, (u32, u32)),
    ) -> Result<MoveSteps<'a>, DockerError> {
        let mut early = vec![
            mtime_step(StepPath::new(0, [""; 0]), &from.path)?,
            mtime_step(to.step(0), &to.anchor)?,
        ];
        // As a rootless dockerd makes them.
        early.extend(make_parents(to, user, 0o711));
        Ok(MoveSteps {
            containers: StepPath::new(0, [format!("{MOVING}rootless-{CONTAINERS}")]),
            holder_root: 0,
            from,
            map: (map, Direction::Into),
            rewritten: HashSet::new(),
            early,
            late: Vec::new(),
        })
    }

    /// From a user: it comes together in the plain data-root, the second root of the steps.
    pub fn from_user(from: &'a Source, map: &'a IdMap) -> MoveSteps<'a> {
        MoveSteps {
            containers: holder(1, &[CONTAINERS.as_bytes()]),
            holder_root: 1,
            from,
            map: (map, Direction::OutOf),
            rewritten: HashSet::new(),
            early: Vec::new(),
            late: Vec::new(),
        }
    }

    /// A place in the directory that holds everything meanwhile.
    pub fn holder(&self, names: &[&[u8]]) -> StepPath {
        holder(self.holder_root, names)
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
        let path = self.from.path.join(CONTAINERS);
        let from = self.from.step(&[CONTAINERS]);
        if path.symlink_metadata().is_err() {
            self.early.push(Step::Create {
                at: from,
                content: GUARD.to_string().into(),
                made: GUARD_OWNER,
            });
            return Ok(());
        }
        let identity = renameable(&path)?.identity;
        self.early.push(mtime_step(from.clone(), &path)?);
        self.early.push(Step::Block {
            from,
            to: self.hidden(&[]),
            identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// Everything else goes where only root enters, and so does what an unused daemon made in the new place.
    pub fn hold(&mut self, names: &[String], to: &Target) -> Result<Vec<Held>, DockerError> {
        self.early.push(make_holder(self.holder_root));
        self.early.extend(hold_unused(to)?);
        let (steps, held) = hold(self.holder_root, self.from, names)?;
        self.early.extend(steps);
        Ok(held)
    }

    /// All of it goes to its new place, and is the user's. `held`: what is in it.
    pub fn place(
        &mut self,
        mut held: Vec<Held>,
        (to, user): (&Target, (u32, u32)),
    ) -> Result<(), DockerError> {
        let path = self.from.path.join(CONTAINERS);
        if path.symlink_metadata().is_ok() {
            let identity = renameable(&path)?.identity;
            self.late.push(Step::Rename {
                from: self.hidden(&[]),
                to: self.holder(&[CONTAINERS.as_bytes()]),
                identity,
            });
            held.push(Held {
                name: CONTAINERS.into(),
                identity,
            });
        }
        let Some(entry) = held.pop() else {
            let why = "holds nothing that a daemon made. Is it the right one?";
            return Err(DockerError::in_the_way(&self.from.path, why));
        };
        self.late.push(hand_over(to, entry, user, 0o710));
        // Last: until then the daemon of before must not start without its data.
        self.late.push(Step::Remove {
            at: self.from.step(&[CONTAINERS]),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
        Ok(())
    }
}
