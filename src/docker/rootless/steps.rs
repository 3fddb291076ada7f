//! What is renamed, made and rewritten when a docker root becomes a user's.
//!
//! The order: `containers` gives its place to a guard, and everything else is renamed into a directory that nobody but
//! root enters. There the owners change and metadata is rewritten, and there the new docker root comes together. Its last
//! rename gives it to the user, whole: so the user never comes to a file of root's that would run with root's rights
//! (set-id bits), and no daemon starts on half of its data.

use std::collections::HashSet;
use std::path::Path;

use super::place::{Source, Target};
use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, MOVING};
use crate::docker::mtime::mtime_step;
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER, why_not_renamed};
use crate::fs::{Identity, PinnedFile, Stat};
use crate::idmap::{Direction, IdMap};
use crate::journal::step::{NewDirectory, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::Mode;

/// Where the new docker root comes together.
const HOLDER: &str = "rootless";

/// What holds, in the new docker root, what an unused daemon had made in its place.
pub(super) const UNUSED: &str = "unused";

/// A directory that is root's alone.
pub(super) const CLOSED: NewDirectory = NewDirectory {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o700),
};

/// Steps as they come together.
pub(super) struct MoveSteps<'a> {
    /// Where the docker root is.
    pub from: &'a Source,
    /// What ids become, this way.
    pub map: (&'a IdMap, Direction),
    /// The directory that only root enters, in which everything is meanwhile.
    pub holder: StepPath,
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
    /// To a user: the new docker root comes together beside the old one.
    pub fn to_user(
        from: &'a Source,
        to: &'a Target,
        map: &'a IdMap,
    ) -> Result<MoveSteps<'a>, DockerError> {
        let times = [
            mtime_step(StepPath::new(0, [""; 0]), &from.path)?,
            mtime_step(to.step(0), &to.anchor)?,
        ];
        let holder = format!("{MOVING}{HOLDER}");
        Ok(MoveSteps {
            containers: StepPath::new(0, [format!("{holder}-{CONTAINERS}")]),
            holder: StepPath::new(0, [holder]),
            from,
            map: (map, Direction::Into),
            rewritten: HashSet::new(),
            early: times.to_vec(),
            late: Vec::new(),
        })
    }

    /// From a user: it comes together in the plain data-root, the second root of the steps.
    pub fn from_user(from: &'a Source, map: &'a IdMap) -> MoveSteps<'a> {
        let holder = format!("{MOVING}{HOLDER}");
        MoveSteps {
            containers: StepPath::new(1, [holder.as_str(), CONTAINERS]),
            holder: StepPath::new(1, [holder]),
            from,
            map: (map, Direction::OutOf),
            rewritten: HashSet::new(),
            early: Vec::new(),
            late: Vec::new(),
        }
    }

    /// A place in the directory that holds everything meanwhile.
    pub fn holder(&self, names: &[&[u8]]) -> StepPath {
        below(&self.holder, names)
    }

    /// A place in `containers` where it is meanwhile.
    pub fn hidden(&self, names: &[&str]) -> StepPath {
        below(&self.containers, names)
    }

    /// The directories that are missing above the new place, as a rootless dockerd makes them.
    pub fn make_parents(&mut self, to: &Target, user: (u32, u32)) {
        for n in 1..to.names.len() {
            self.early.push(Step::MakeDir {
                at: to.step(n),
                made: owned(user, 0o711),
            });
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
        let identity = carried(&path)?.identity;
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
    pub fn hold(
        &mut self,
        names: &[String],
        to: &Target,
    ) -> Result<Vec<(String, Identity)>, DockerError> {
        self.early.push(Step::MakeDir {
            at: self.holder(&[]),
            made: CLOSED,
        });
        if to.there.is_some() {
            let aside = format!("{ASIDE}{UNUSED}");
            self.early.push(Step::Rename {
                from: to.top(),
                to: self.holder(&[aside.as_bytes()]),
                identity: carried(&to.path())?.identity,
            });
        }
        let mut held = Vec::new();
        for name in names {
            let identity = carried(&self.from.path.join(name))?.identity;
            self.early.push(Step::Rename {
                from: self.from.step(&[name]),
                to: self.holder(&[name.as_bytes()]),
                identity,
            });
            held.push((name.clone(), identity));
        }
        Ok(held)
    }

    /// All of it goes to its new place, and is the user's. `held`: what is in it.
    pub fn place(
        &mut self,
        mut held: Vec<(String, Identity)>,
        (to, user): (&Target, (u32, u32)),
    ) -> Result<(), DockerError> {
        let path = self.from.path.join(CONTAINERS);
        if path.symlink_metadata().is_ok() {
            let identity = carried(&path)?.identity;
            self.late.push(Step::Rename {
                from: self.hidden(&[]),
                to: self.holder(&[CONTAINERS.as_bytes()]),
                identity,
            });
            held.push((CONTAINERS.to_string(), identity));
        }
        let Some((name, identity)) = held.pop() else {
            let why = "holds nothing that a daemon made. Is it the right one?";
            return Err(DockerError::in_the_way(&self.from.path, why));
        };
        self.late.push(Step::HandOver {
            from: self.holder(&[]),
            to: to.top(),
            entry: Name(name.into_bytes()),
            identity,
            closed: CLOSED,
            open: owned(user, 0o710),
        });
        // Last: until then the daemon of before must not start without its data.
        self.late.push(Step::Remove {
            at: self.from.step(&[CONTAINERS]),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
        Ok(())
    }
}

fn owned((uid, gid): (u32, u32), mode: u32) -> NewDirectory {
    NewDirectory {
        uid,
        gid,
        mode: Mode::from_st_mode(mode),
    }
}

fn below<N: AsRef<[u8]>>(place: &StepPath, names: &[N]) -> StepPath {
    let names = names.iter().map(|name| Name(name.as_ref().to_vec()));
    StepPath {
        root: place.root,
        path: place.path.iter().cloned().chain(names).collect(),
    }
}

/// What is at a path, if it can be carried by renaming it.
pub(super) fn carried(path: &Path) -> Result<Stat, DockerError> {
    let pin = PinnedFile::path(path);
    let stat = pin.and_then(|pin| pin.stat());
    let stat = stat.map_err(DockerError::errno(path))?;
    match why_not_renamed(path, &stat) {
        None => Ok(stat),
        Some(why) => {
            let help = "Move it into the data-root's filesystem first";
            Err(DockerError::in_the_way(path, format!("{why}. {help}")))
        }
    }
}
