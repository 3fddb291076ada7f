//! The kind of a run: the subcommand that makes it.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::guidance::{self, CommandOptions};

/// A record names a subcommand that makes no runs.
#[derive(Debug, Error)]
#[error("{0:?} is no command that writes journals")]
pub struct UnknownRunKind(String);

/// The subcommand of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
}

impl RunKind {
    /// Whether the trees belong to a service that must be stopped during the run.
    pub fn is_of_service(self) -> bool {
        match self {
            RunKind::Shift | RunKind::Prepare => false,
            RunKind::DockerMigrate
            | RunKind::DockerRevert
            | RunKind::DockerRebase
            | RunKind::DockerToRootless
            | RunKind::DockerFromRootless
            | RunKind::PodmanMigrate
            | RunKind::PodmanRevert => true,
        }
    }

    /// Which of the options that messages name the subcommand has.
    pub fn options(self) -> CommandOptions {
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
                undated: self == RunKind::DockerRevert,
                ..guarded
            },
            RunKind::DockerRebase | RunKind::DockerToRootless | RunKind::PodmanMigrate => guarded,
            // A user may have made the file immutable, or linked it.
            RunKind::DockerFromRootless | RunKind::PodmanRevert => CommandOptions::default(),
        }
    }

    /// The command that brings the trees back with what was made in them since; `None`: there is none.
    pub fn way_back(self) -> Option<&'static str> {
        match self {
            RunKind::DockerMigrate => Some(RunKind::DockerRevert.name()),
            RunKind::DockerRevert => Some(RunKind::DockerMigrate.name()),
            RunKind::DockerRebase => Some(self.name()),
            RunKind::DockerFromRootless => Some(guidance::MIGRATE_ROOTLESS),
            RunKind::PodmanRevert => Some(guidance::MIGRATE_PODMAN_TO),
            RunKind::Shift
            | RunKind::Prepare
            | RunKind::DockerToRootless
            | RunKind::PodmanMigrate => None,
        }
    }

    /// As records, JSON and messages have it.
    pub fn name(self) -> &'static str {
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
        }
    }
}

impl TryFrom<String> for RunKind {
    type Error = UnknownRunKind;

    fn try_from(name: String) -> Result<RunKind, UnknownRunKind> {
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
        let mut known = known.into_iter();
        known
            .find(|known| known.name() == name)
            .ok_or(UnknownRunKind(name))
    }
}

impl From<RunKind> for String {
    fn from(kind: RunKind) -> String {
        kind.name().to_string()
    }
}
