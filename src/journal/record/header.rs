//! The header of a journal: what its run was asked to do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::guidance::{self, CommandOptions};
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
    /// The journal is complete before the first change, and there is no walk: the run applies a
    /// reviewed manifest or the plan of a migration.
    #[serde(
        default,
        alias = "from_manifest",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub listed_first: bool,
    /// Number of steps that are taken before any owner is changed, and undone after all owners are
    /// restored (format 3).
    #[serde(default, skip_serializing_if = "is_none")]
    pub steps_before: usize,
    /// The trees are a user's. They are taken away from that user first, and their owners are changed only if nothing
    /// in them was changed since then, when they began to be read (format 6).
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

/// The subcommand of a run.
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
    /// `idshift docker migrate` into the rootless daemon of a user
    DockerToRootless,
    /// `idshift docker revert` from there
    DockerFromRootless,
    /// `idshift podman migrate`
    PodmanMigrate,
    /// `idshift podman revert`
    PodmanRevert,
    /// A subcommand that this version does not know.
    Other {
        /// Its name in the record.
        name: String,
        /// Whether its trees belong to a service.
        is_of_service: bool,
    },
}

impl RunKind {
    /// Whether the trees belong to a service that must be stopped during the run.
    pub fn is_of_service(&self) -> bool {
        match self {
            RunKind::Shift | RunKind::Prepare => false,
            RunKind::DockerMigrate
            | RunKind::DockerRevert
            | RunKind::DockerRebase
            | RunKind::DockerToRootless
            | RunKind::DockerFromRootless
            | RunKind::PodmanMigrate
            | RunKind::PodmanRevert => true,
            RunKind::Other { is_of_service, .. } => *is_of_service,
        }
    }

    /// Which of the options that messages name the subcommand has.
    pub fn options(&self) -> CommandOptions {
        let guarded = CommandOptions {
            immutable: true,
            outside_links: true,
            ..CommandOptions::default()
        };
        match self {
            RunKind::Shift | RunKind::Prepare => CommandOptions {
                exclude: true,
                keep_going: true,
                ..guarded
            },
            RunKind::DockerMigrate | RunKind::DockerRevert => CommandOptions {
                keep_going: true,
                undated: *self == RunKind::DockerRevert,
                ..guarded
            },
            RunKind::DockerRebase | RunKind::DockerToRootless | RunKind::PodmanMigrate => guarded,
            // A user may have made the file immutable, or linked it.
            RunKind::DockerFromRootless | RunKind::PodmanRevert | RunKind::Other { .. } => {
                CommandOptions::default()
            }
        }
    }

    /// The format that a record of such a run is in: a program that knows no attributes of overlayfs must not undo one
    /// that moved some.
    pub fn format(&self) -> u32 {
        match self {
            RunKind::DockerToRootless
            | RunKind::DockerFromRootless
            | RunKind::PodmanMigrate
            | RunKind::PodmanRevert => 6,
            _ => 1,
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
            RunKind::DockerToRootless => guidance::MIGRATE_ROOTLESS,
            RunKind::DockerFromRootless => guidance::REVERT_ROOTLESS,
            RunKind::PodmanMigrate => guidance::MIGRATE_PODMAN,
            RunKind::PodmanRevert => guidance::REVERT_PODMAN,
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
            RunKind::DockerToRootless,
            RunKind::DockerFromRootless,
            RunKind::PodmanMigrate,
            RunKind::PodmanRevert,
        ];
        let known = known.into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| RunKind::Other {
            is_of_service: (name.starts_with("docker ") || name.starts_with("podman ")),
            name,
        })
    }
}

impl From<RunKind> for String {
    fn from(kind: RunKind) -> String {
        kind.name().to_string()
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
    /// Inodes that have names outside of the trees are changed too. Older journals do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_links: bool,
    /// Immutable and append-only flags are cleared for a change and set again (format 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_flags: bool,
}

impl WalkOptions {
    /// The format of the record of such a run: a program that does not know flags must not undo a
    /// run that cleared some.
    pub fn format(&self) -> u32 {
        let is_text = |glob: &Name| std::str::from_utf8(&glob.0).is_ok();
        match (self.exclude.iter().all(is_text), self.clear_flags) {
            (false, _) => 6,
            (true, true) => 2,
            (true, false) => 1,
        }
    }
}

fn is_none(count: &usize) -> bool {
    *count == 0
}
