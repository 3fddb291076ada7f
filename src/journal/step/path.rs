//! The paths that steps name, and where they are after a rename.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::fs::Identity;
use crate::journal::line_error::LineError;
use crate::journal::name::Name;
use crate::journal::root_line::RootLine;

/// A path below one of the run's roots. It has plain names only, so that it cannot leave the root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StepPath {
    /// Which root.
    pub root: usize,
    /// The names from there, at least one. Empty only for an ownership or times of the root itself.
    pub path: Vec<Name>,
}

impl StepPath {
    /// These names below that root.
    pub fn new<N: AsRef<[u8]>>(root: usize, names: impl IntoIterator<Item = N>) -> StepPath {
        let path = names.into_iter().map(|n| Name(n.as_ref().to_vec()));
        StepPath {
            root,
            path: path.collect(),
        }
    }

    /// This name in it.
    pub fn below(&self, name: &Name) -> StepPath {
        StepPath {
            root: self.root,
            path: [&self.path[..], std::slice::from_ref(name)].concat(),
        }
    }

    /// Absolute path, for messages.
    pub fn to_path(&self, roots: &[RootLine]) -> PathBuf {
        let top = roots.get(self.root).map(|root| root.path.clone().into());
        let mut path: PathBuf = top.unwrap_or_default();
        path.extend(self.path.iter().map(Name::as_path));
        path
    }

    pub(super) fn check(&self, roots: usize) -> Result<(), LineError> {
        let plain = |name: &Name| name.is_component() && name.0 != b".";
        if self.root >= roots {
            return Err(LineError::NoRoot {
                kind: "step",
                root: self.root,
            });
        }
        match self.path.iter().find(|name| !plain(name)) {
            Some(name) => Err(LineError::NotAName {
                kind: "step",
                name: name.clone().into(),
            }),
            None => Ok(()),
        }
    }
}

/// An entry that a step renames.
#[derive(Clone, Copy, Debug)]
pub struct MovedPath<'a> {
    /// Where it was.
    pub from: &'a StepPath,
    /// Where it goes.
    pub to: &'a StepPath,
    /// The entry in it that has the inode; none: it has it itself.
    pub entry: Option<&'a Name>,
    /// The inode by which it is known.
    pub identity: Identity,
}

/// An entry that a step renamed.
#[derive(Clone, Debug)]
pub struct Move {
    /// Where it was.
    pub from: StepPath,
    /// Where it is.
    pub to: StepPath,
}

impl Move {
    /// The new path of something at or below `from`: index of the root, and the names from there.
    pub fn apply(&self, root: usize, path: &[Name]) -> Option<(usize, Vec<Name>)> {
        path_after_move(&self.from, &self.to, root, path)
    }
}

/// The path of something at or below `from`, once that is renamed to `to`.
pub fn path_after_move(
    from: &StepPath,
    to: &StepPath,
    root: usize,
    path: &[Name],
) -> Option<(usize, Vec<Name>)> {
    if root != from.root {
        return None;
    }
    let below = path.strip_prefix(&from.path[..])?;
    Some((to.root, [&to.path[..], below].concat()))
}
