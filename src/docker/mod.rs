//! What a Docker data-root holds, what each part must become, the daemon's rules.
//!
//! - [`remap`]: whom `--userns-remap` means, and the map that the daemon makes of it
//! - [`create_user`]: the user and ranges that dockerd makes for itself
//! - [`daemon_json`]: the daemon's configuration file
//! - [`daemon_start`]: how dockerd is started on this host
//! - [`data_root`]: the directory, plain and remapped, and what is in it
//! - [`graph`]: layers and images of the overlay2 graph driver, written without a daemon
//! - [`image_store`]: images and container files that are in containerd
//! - [`conversion`]: what is in containerd becomes layers of the overlay2 graph driver
//! - [`layout`]: pure: which inode of it gets which owner
//! - [`guidance`]: the commands and options that messages name
//! - [`container`]: pure: paths in a container's metadata
//! - [`bind_mounts`]: what containers bind of the host, and what is to be done about it
//! - [`inventory`]: what becomes of each thing in and around a data-root
//! - [`owner_stats`]: whose the inodes of a directory are
//! - [`path_rewriter`]: where paths lead once the docker root has another place
//! - `cp`: copying by coreutils
//! - [`copy`]: a copy of the plain root for a migration that leaves it alone
//! - [`idmapped`]: a data-root that is remapped by a mount instead
//! - [`doctor`]: whether this host can run remapped containers
//! - [`container_user`]: whom a container or an image runs as
//! - [`audit`]: what an operator should know before
//! - `staged_run`: its run, and what is made for it before
//! - `steps`: the steps of a migration as they come together
//! - [`migration`]: the plan that carries a data-root into a range or out of it
//! - [`rebase`]: the plan that carries a remapped root to another range
//! - [`migrate`]: all of `docker migrate` and `docker revert`, from what the host says to the end of the run
//!
//! `docs/docker.md` has the layout as measured, with the versions.

pub mod audit;
pub mod bind_mounts;
pub mod container;
pub mod container_user;
pub mod conversion;
pub mod copy;
mod cp;
pub mod create_user;
pub mod daemon_json;
pub mod daemon_start;
pub mod data_root;
pub mod doctor;
mod findings;
pub mod graph;
pub mod guidance;
pub mod idmapped;
pub mod image_store;
pub mod inventory;
pub mod layout;
pub mod migrate;
pub mod migration;
pub mod owner_stats;
pub mod path_rewriter;
pub mod rebase;
pub mod remap;
mod staged_run;
mod stamps;
mod steps;
pub mod unfinished_run;

use std::path::PathBuf;

use thiserror::Error;

use crate::containerd::StoreError;
use crate::fs::escape::escaped;
use crate::host::systemd_unit::ProgramError;
use crate::idmap::{IdMap, SubidError};

/// Why nothing is done with a data-root. Nothing was changed.
#[derive(Debug, Error)]
pub enum DockerError {
    /// Something cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// `--userns-remap` names nobody.
    #[error("--userns-remap {value}: {reason}")]
    Remap {
        /// As given.
        value: String,
        /// Why not, and what helps.
        reason: String,
    },
    /// The range cannot be read from `/etc/subuid` and `/etc/subgid`.
    #[error(transparent)]
    Subid(#[from] SubidError),
    /// Images or container files are in containerd, where nothing is carried from.
    #[error(
        "{path}: {what} in the containerd image store, which the daemon does not show afterwards. {remedy}",
        path = escaped(path)
    )]
    InContainerd {
        /// The docker root.
        path: PathBuf,
        /// What is there: `the container web and its image are`.
        what: String,
        /// What helps.
        remedy: String,
    },
    /// Something of containerd's cannot be read.
    #[error(transparent)]
    Containerd(#[from] StoreError),
    /// The user was made, and is not what the plan is for.
    #[error(
        "{user} was made, and got {got} instead of {planned}; nothing else was changed. Run it again to use that"
    )]
    OtherRange {
        /// Its name.
        user: String,
        /// Its ranges.
        got: IdMap,
        /// The ranges of the plan.
        planned: IdMap,
    },
    /// A unit cannot run this program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// Something of the data-root stands in the way.
    #[error("{path}: {reason}", path = escaped(path))]
    InTheWay {
        /// What.
        path: PathBuf,
        /// Why, and what helps.
        reason: String,
    },
}

impl DockerError {
    fn in_the_way(path: impl Into<PathBuf>, reason: impl Into<String>) -> DockerError {
        DockerError::InTheWay {
            path: path.into(),
            reason: reason.into(),
        }
    }

    fn errno(path: impl Into<PathBuf>) -> impl FnOnce(rustix::io::Errno) -> DockerError {
        let path = path.into();
        move |errno| DockerError::io(path)(errno.into())
    }

    fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> DockerError {
        let path = path.into();
        move |source| DockerError::Io { path, source }
    }
}
