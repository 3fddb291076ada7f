//! The header of a journal: what its run was asked to do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::run_kind::RunKind;
use crate::fs::Identity;
use crate::idmap::{Direction, IdMap};
use crate::journal::line_error::LineError;
use crate::journal::name::Name;
use crate::journal::root_line::RootLine;

/// First line of a journal: what the run was asked to do, enough to resume it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// The program and its version, for people.
    pub tool: String,
    /// The journal's id.
    pub id: String,
    /// When the run began.
    pub time: Timestamp,
    /// Where it ran.
    pub host: String,
    /// The subcommand that made it.
    pub command: RunKind,
    /// Direction of the mapping.
    pub direction: Direction,
    /// The map.
    pub map: IdMap,
    /// The trees.
    pub roots: Vec<RootLine>,
    /// Options of the walk.
    pub walk: WalkOptions,
    /// What was allowed that is refused by default.
    #[serde(default, skip_serializing_if = "Allowed::is_none")]
    pub allowed: Allowed,
    /// Of a walk that crosses mount points: those below the trees that were there when it began. It crosses no others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<CrossedMount>,
    /// The journal is complete before the first change, and there is no walk: the run applies a
    /// reviewed manifest or the plan of a migration.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listed_first: bool,
    /// Number of steps that are taken before any owner is changed, and undone after all owners are
    /// restored.
    #[serde(default, skip_serializing_if = "is_none")]
    pub steps_before: usize,
    /// The trees are a user's. They are taken away from that user first, and their owners are changed only if nothing
    /// in them was changed since then, when they began to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged_since: Option<Timestamp>,
}

impl Header {
    /// The paths of the trees whose owners are changed.
    pub fn tree_paths(&self) -> Vec<&std::path::Path> {
        let trees = self.roots.iter().filter(|root| !root.steps_only);
        trees.map(|root| root.path.as_path()).collect()
    }

    /// Whether its trees are plain absolute paths.
    ///
    /// # Errors
    /// [`LineError::NotAbsolute`]: one is not.
    pub fn check(&self) -> Result<(), LineError> {
        let is_plain = |path: &Name| match path.0.split_first() {
            Some((b'/', [])) => true,
            Some((b'/', rest)) => rest
                .split(|&byte| byte == b'/')
                .all(|name| Name(name.to_vec()).is_component() && name != b"."),
            _ => false,
        };
        match self.roots.iter().find(|root| !is_plain(&root.path)) {
            Some(root) => Err(LineError::NotAbsolute(root.path.clone().into())),
            None => Ok(()),
        }
    }

    /// Whether the trees belong to a service that must be stopped during the run.
    pub fn is_of_service(&self) -> bool {
        self.command.is_of_service()
    }
}

/// Which inodes a walk visits, and how it handles failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkOptions {
    /// Globs of what is left out, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Name>,
    /// Mount points are crossed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_mounts: bool,
    /// What cannot be shifted is reported and left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_going: bool,
    /// No id counts as already shifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assume_unshifted: bool,
    /// Inodes that have names outside of the trees are changed too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_links: bool,
    /// Immutable and append-only flags are cleared for a change and set again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_flags: bool,
}

/// A mount point that a run crosses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CrossedMount {
    /// Absolute path.
    pub path: Name,
    /// Inode that is mounted there.
    #[serde(flatten)]
    pub identity: Identity,
}

/// What a run was allowed that is refused by default. Whoever finishes the run is held to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Homes and files of login accounts are changed too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub home: bool,
    /// Trees that are in use are changed too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_use: bool,
    /// System directories are changed too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub system_path: bool,
}

impl Allowed {
    fn is_none(&self) -> bool {
        *self == Allowed::default()
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}
