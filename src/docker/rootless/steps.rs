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
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER, mtime_step, why_not_renamed};
use crate::fs::{Identity, PinnedFile, Stat};
use crate::idmap::IdMap;
use crate::journal::step::{NewDirectory, StepPath};
use crate::journal::{Name, Step};
use crate::ownership::Mode;

/// Where the new docker root comes together.
const HOLDER: &str = "rootless";

/// What holds, in the new docker root, what an unused daemon had made in its place.
pub(super) const UNUSED: &str = "unused";

/// A directory that is root's alone.
const CLOSED: NewDirectory = NewDirectory {
    uid: 0,
    gid: 0,
    mode: Mode::from_st_mode(0o700),
};

/// Steps as they come together.
pub(super) struct MoveSteps<'a> {
    /// Where the docker root is.
    pub from: &'a Source,
    /// Where it is to be.
    pub to: &'a Target,
    /// What ids become.
    pub map: &'a IdMap,
    /// The user, and its group.
    pub user: (u32, u32),
    /// Files and symlinks that are written anew, by the names that lead to them in the docker root.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
    /// Before the owners change.
    pub early: Vec<Step>,
    /// After.
    pub late: Vec<Step>,
}

impl<'a> MoveSteps<'a> {
    /// Begins with what is there.
    pub fn new(
        from: &'a Source,
        to: &'a Target,
        map: &'a IdMap,
        user: (u32, u32),
    ) -> Result<MoveSteps<'a>, DockerError> {
        let times = [
            mtime_step(StepPath::new(0, [""; 0]), &from.path)?,
            mtime_step(to.step(0), &to.anchor)?,
        ];
        Ok(MoveSteps {
            from,
            to,
            map,
            user,
            rewritten: HashSet::new(),
            early: times.to_vec(),
            late: Vec::new(),
        })
    }

    /// The new docker root as long as it is root's, and what is in it.
    pub fn holder(&self, names: &[&[u8]]) -> StepPath {
        let holder = format!("{MOVING}{HOLDER}");
        let names: Vec<&[u8]> = [holder.as_bytes()]
            .into_iter()
            .chain(names.iter().copied())
            .collect();
        self.from.step(&names)
    }

    /// A place in `containers` where it is meanwhile.
    pub fn hidden(&self, names: &[&str]) -> StepPath {
        let hidden = format!("{MOVING}{HOLDER}-{CONTAINERS}");
        let names: Vec<&str> = [&hidden[..]]
            .into_iter()
            .chain(names.iter().copied())
            .collect();
        self.from.step(&names)
    }

    /// The directories that are missing above the new place, as a rootless dockerd makes them.
    pub fn make_parents(&mut self) {
        for n in 1..self.to.names.len() {
            self.early.push(Step::MakeDir {
                at: self.to.step(n),
                made: self.users(0o711),
            });
        }
    }

    fn users(&self, mode: u32) -> NewDirectory {
        NewDirectory {
            uid: self.user.0,
            gid: self.user.1,
            mode: Mode::from_st_mode(mode),
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
    pub fn hold(&mut self, names: &[String]) -> Result<Vec<(String, Identity)>, DockerError> {
        self.early.push(Step::MakeDir {
            at: self.holder(&[]),
            made: CLOSED,
        });
        if self.to.there.is_some() {
            let aside = format!("{ASIDE}{UNUSED}");
            self.early.push(Step::Rename {
                from: self.to.top(),
                to: self.holder(&[aside.as_bytes()]),
                identity: carried(&self.to.path())?.identity,
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
    pub fn place(&mut self, mut held: Vec<(String, Identity)>) -> Result<(), DockerError> {
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
            to: self.to.top(),
            entry: Name(name.into_bytes()),
            identity,
            closed: CLOSED,
            open: self.users(0o710),
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

/// What is at a path, if it can be carried by renaming it.
fn carried(path: &Path) -> Result<Stat, DockerError> {
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
