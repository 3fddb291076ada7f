//! The paths of a preparation: what is there, and what is to be made.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::{PrepareRequest, rule};
use crate::engine::{Rule, ShiftRequest};
use crate::fs::{Ancestor, PinnedFile, Root};
use crate::guidance::Guidance;
use crate::idmap::Direction;
use crate::journal::step::NewDirectory;
use crate::ownership::{Mode, Sharing};
use crate::preflight;
use crate::preflight::homes::{self, Claim};
use crate::volume::VolumeError;
use crate::volume::guidance::CREATE;
use crate::volume::parents::{closed_above, may_search};

/// The trees of a preparation, and the directories that it makes.
pub(super) struct PathPlan<'a> {
    pub request: &'a PrepareRequest,
    pub trees: Vec<PathBuf>,
    /// What each of the trees becomes.
    pub rules: Vec<Rule>,
    /// The trees that are shared.
    pub shared: Vec<(PathBuf, Sharing)>,
    /// Directories to be made, outermost first.
    pub made: Vec<(PathBuf, NewDirectory)>,
    /// What is there of each path: the directories above it count; of a path that is missing, the
    /// last directory that is there counts too.
    pub below: Vec<(Root, IsMissing)>,
}

pub(super) type IsMissing = bool;

impl PathPlan<'_> {
    /// Looks at one path; it is given to this owner, or else goes through the map.
    pub fn path(&mut self, path: &Path, owner: Option<(u32, u32)>) -> Result<(), VolumeError> {
        let missing = match path.symlink_metadata() {
            Ok(_) => false,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
            Err(error) => return Err(VolumeError::io(path)(error)),
        };
        if missing && !self.request.create {
            return Err(VolumeError::path(path, format!("is not there. {CREATE}")));
        }
        if missing {
            let owner = owner.or(container_root(&self.request.shift));
            return self.missing(path, owner.unwrap_or((0, 0)));
        }
        let root = self.open(path)?;
        self.add(root, rule(owner, &self.request.shift));
        Ok(())
    }

    /// Opens a path that is there.
    pub fn open(&self, path: &Path) -> Result<Root, VolumeError> {
        let root = Root::open(path).map_err(VolumeError::of_root(path))?;
        VolumeError::check_not_private(&root.path)?;
        if !self.request.shift.allow_system_path {
            preflight::check_kind(&root)?;
        }
        Ok(root)
    }

    /// One more tree.
    pub fn add(&mut self, root: Root, rule: Rule) {
        self.trees.push(root.path.clone());
        self.rules.push(rule);
        self.below.push((root, false));
    }

    /// A directory that is to be made, with those above that are missing too.
    fn missing(&mut self, path: &Path, owner: (u32, u32)) -> Result<(), VolumeError> {
        let is_plain =
            |part: std::path::Component<'_>| !matches!(part, std::path::Component::ParentDir);
        if !path.components().all(is_plain) {
            return Err(VolumeError::path(
                path,
                "has `..` in it; name it without `..`",
            ));
        }
        let absolute = std::path::absolute(path).map_err(VolumeError::io(path))?;
        let there = absolute
            .ancestors()
            .find(|dir| dir.symlink_metadata().is_ok())
            .unwrap_or(Path::new("/"));
        // Links on the way are followed once, here.
        let itself = there.join(".");
        let root = Root::open(&itself).map_err(VolumeError::of_root(&itself))?;
        if !root.is_dir() {
            return Err(VolumeError::path(there, "is not a directory"));
        }
        can_be_changed(&root.pin, &root.path)?;
        self.check_no_home(&root)?;
        let below = absolute.strip_prefix(there).unwrap_or(Path::new(""));
        let mut dir = root.path.clone();
        let names: Vec<_> = below.components().collect();
        for (n, name) in names.iter().enumerate() {
            dir.push(name);
            let is_last = n + 1 == names.len();
            let (uid, gid) = match is_last {
                true => owner,
                // What is on the way is the host's, and others may pass.
                false => (0, 0),
            };
            let made = NewDirectory {
                uid,
                gid,
                mode: MADE,
            };
            match self.made.iter_mut().find(|(path, _)| *path == dir) {
                // On the way of one path, and the other path itself.
                Some((_, known)) if is_last => *known = made,
                Some(_) => {}
                None => self.made.push((dir.clone(), made)),
            }
        }
        if !self.request.shift.allow_system_path {
            preflight::check_system_path(&dir)?;
        }
        self.below.push((root, true));
        Ok(())
    }

    /// Refuses to make something for a container in a home: it would be refused the next time.
    fn check_no_home(&self, there: &Root) -> Result<(), VolumeError> {
        let Some(accounts) = self.request.shift.accounts() else {
            return Ok(());
        };
        match homes::claim(there, &accounts) {
            Some(claim @ (Claim::InHome(_) | Claim::Home(_))) if claim.account().uid != 0 => {
                let account = claim.account();
                let reason = format!(
                    "is the home of {account}, or lies in it. Name a place elsewhere, or {}",
                    Guidance::AllowHome
                );
                Err(VolumeError::path(&there.path, reason))
            }
            _ => Ok(()),
        }
    }

    /// Of the directories above all paths that are there, those which the container's root may not
    /// search.
    pub fn closed_above(&mut self) -> Result<Vec<Ancestor>, VolumeError> {
        if self.request.shift.direction == Direction::OutOf || !nix::unistd::geteuid().is_root() {
            return Ok(Vec::new());
        }
        let map = &self.request.shift.map;
        let mut known = HashSet::new();
        let mut closed = Vec::new();
        for (root, is_missing) in self.below.drain(..) {
            let mut found = closed_above(&root, map)?;
            if is_missing && !may_search(&root.pin, map)? {
                let Root { path, pin, .. } = root;
                let stat = pin
                    .stat()
                    .map_err(|errno| VolumeError::io(&path)(errno.into()))?;
                found.push(Ancestor { path, pin, stat });
            }
            for parent in found {
                // What is prepared itself is open to the container afterwards.
                let prepared = self.trees.contains(&parent.path);
                if !prepared && known.insert(parent.path.clone()) {
                    closed.push(parent);
                }
            }
        }
        Ok(closed)
    }
}

/// Refuses a directory on a filesystem that is read-only or keeps no owners.
pub(super) fn can_be_changed(pin: &PinnedFile, path: &Path) -> Result<(), VolumeError> {
    Ok(preflight::check_filesystem(pin.as_fd(), path)?)
}

/// The owner of new directories that are given to nobody.
fn container_root(shift: &ShiftRequest) -> Option<(u32, u32)> {
    match shift.direction {
        Direction::Into => shift.map.container_root(),
        Direction::OutOf => Some((0, 0)),
    }
}

/// As dockerd makes the source of a bind mount that is missing.
const MADE: Mode = Mode::from_st_mode(0o755);
