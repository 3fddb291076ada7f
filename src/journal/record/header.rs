//! The header of a journal: what its run was asked to do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::idmap::{Direction, IdMap};
use crate::journal::line_error::LineError;
use crate::journal::name::Name;
use crate::journal::root_line::RootLine;

/// First line of a journal: what the run was asked to do, enough to go on with it.
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
    /// Which way ids go.
    pub direction: Direction,
    /// The map.
    pub map: IdMap,
    /// The trees.
    pub roots: Vec<RootLine>,
    /// How the walk was limited.
    pub walk: WalkOptions,
    /// All that is to be done is journalled before the first of it is done, and there is nothing
    /// to walk for: a reviewed manifest, or the plan of a migration.
    #[serde(
        default,
        alias = "from_manifest",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub listed_first: bool,
    /// So many of the first steps are taken before any owner is changed, and undone after all are (format 3).
    #[serde(default, skip_serializing_if = "is_none")]
    pub steps_before: usize,
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

    /// The trees are a service's own, which must not run meanwhile.
    pub fn is_of_service(&self) -> bool {
        self.command.is_of_service()
    }
}

/// The subcommand that a run is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunKind {
    /// `idshift shift`
    Shift,
    /// `idshift prepare`
    Prepare,
    /// `idshift docker migrate`
    DockerMigrate,
    /// `idshift docker revert`
    DockerRevert,
    /// `idshift docker rebase`
    DockerRebase,
    /// One that this version does not have.
    Other {
        /// As the record has it.
        name: String,
        /// Its trees are a service's own.
        is_of_service: bool,
    },
}

impl RunKind {
    /// The trees are a service's own, which must not run meanwhile.
    pub fn is_of_service(&self) -> bool {
        match self {
            RunKind::Shift | RunKind::Prepare => false,
            RunKind::DockerMigrate | RunKind::DockerRevert | RunKind::DockerRebase => true,
            RunKind::Other { is_of_service, .. } => *is_of_service,
        }
    }

    /// As records, JSON and messages have it.
    pub fn name(&self) -> &str {
        match self {
            RunKind::Shift => "shift",
            RunKind::Prepare => "prepare",
            RunKind::DockerMigrate => "docker migrate",
            RunKind::DockerRevert => "docker revert",
            RunKind::DockerRebase => "docker rebase",
            RunKind::Other { name, .. } => name,
        }
    }
}

impl From<String> for RunKind {
    fn from(name: String) -> RunKind {
        let known = [
            RunKind::Shift,
            RunKind::Prepare,
            RunKind::DockerMigrate,
            RunKind::DockerRevert,
            RunKind::DockerRebase,
        ];
        let known = known.into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| RunKind::Other {
            is_of_service: name.starts_with("docker "),
            name,
        })
    }
}

impl From<RunKind> for String {
    fn from(kind: RunKind) -> String {
        kind.name().to_string()
    }
}

/// What decides which inodes a walk meets, and what it does about trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkOptions {
    /// Globs of what is left out, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Mount points are crossed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_mounts: bool,
    /// What cannot be shifted is reported and left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_going: bool,
    /// No id is taken for already shifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assume_unshifted: bool,
    /// Inodes that have names outside of the trees are changed too. Older journals do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_links: bool,
    /// What is immutable or append-only is changed all the same, and made so again (format 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_flags: bool,
}

impl WalkOptions {
    /// The format that a record of such a run is in: a program that knows no flags must not undo one
    /// that cleared some.
    pub fn format(&self) -> u32 {
        match self.clear_flags {
            true => 2,
            false => 1,
        }
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}
