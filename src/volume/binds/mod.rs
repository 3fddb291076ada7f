//! The binds of a Compose project or of a `docker run` command line: which host path each service gets, and as whom
//! it runs.
//!
//! - [`caller`]: variables that `sudo` replaces
//! - [`compose`]: pure: Compose files, as `docker compose` resolves them
//! - [`external`]: asks `docker compose config`, where it is installed
//! - [`files`]: reads Compose files and the environment
//! - [`run_command`]: pure: a `docker run` command line; [`run_flags`]: its flags
//! - [`driver_options`]: pure: volumes that are binds
//! - [`host_namespaces`]: pure: what a container shares with the host
//! - [`volume_syntax`]: pure: `SOURCE:TARGET:MODE`
//! - [`sources`]: one owner for each host path, or why there is none

mod caller;
pub mod compose;
mod driver_options;
pub mod external;
pub mod files;
pub mod host_namespaces;
mod run_command;
mod run_flags;
pub mod sources;
mod volume_syntax;

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use crate::journal::name;

pub use host_namespaces::HostNamespaces;
pub use run_command::{Program, is_podman, program, read_run_command};

/// What `--use-api-socket` and `use_api_socket:` bind, on both sides (docker/cli 28).
const DOCKER_SOCKET: &str = "/var/run/docker.sock";

/// A host path that a container gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// On the host: absolute; symlinks are not resolved.
    #[serde(serialize_with = "name::serialize_path")]
    pub source: PathBuf,
    /// In the container.
    pub target: String,
    /// The container cannot write to it.
    pub read_only: bool,
    /// Docker makes the source when it is missing.
    pub creates_source: bool,
    /// A file of a secret or a config, and no directory.
    #[serde(skip)]
    pub is_file: bool,
    /// The directory of the volume that it is a part of (`subpath`): Docker follows no symlink out of it.
    #[serde(skip)]
    pub within: Option<PathBuf>,
}

impl Bind {
    /// What a volume is that binds this host path: the whole, or the part that the container gets. Docker makes neither.
    fn of_volume(device: PathBuf, subpath: Option<&Path>) -> Bind {
        Bind {
            source: subpath.map_or_else(|| device.clone(), |part| device.join(part)),
            within: subpath.map(|_| device),
            ..Bind::default()
        }
    }
}

/// A mount that is no host path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OtherMount {
    /// What it is: `volume data`, `tmpfs`.
    pub what: String,
    /// In the container.
    pub target: String,
    /// A volume that may be there already, with options of its own.
    #[serde(skip)]
    pub volume: Option<NamedVolume>,
}

/// A volume of Docker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedVolume {
    /// As Docker has it: that of a Compose file begins with the project's name.
    pub name: String,
    /// The container cannot write to it.
    pub read_only: bool,
    /// The part of it that the container gets; `None`: all.
    pub subpath: Option<PathBuf>,
}

/// The mounts of a container, and the user it runs as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Service {
    /// Its name; of a `docker run` command line `run`.
    pub name: String,
    /// Its image.
    pub image: Option<String>,
    /// `user:` or `--user`; `None` where the image decides.
    pub user: Option<String>,
    /// `group_add:` or `--group-add`.
    pub group_add: Vec<String>,
    /// It has the host's ids: the daemon does not remap it.
    pub uses_host_ids: bool,
    /// What keeps a remapped daemon from starting it.
    #[serde(skip)]
    pub namespaces: HostNamespaces,
    /// Podman runs it, whose volumes and images are elsewhere.
    #[serde(skip)]
    pub is_podman: bool,
    /// Its host paths.
    pub binds: Vec<Bind>,
    /// Its other mounts.
    pub other_mounts: Vec<OtherMount>,
}

impl Service {
    /// Makes binds of the volumes that are there and whose options bind a host path. `device`: that path, by the name of a
    /// volume.
    ///
    /// # Errors
    /// Of `device`.
    pub fn resolve_volumes<E>(
        &mut self,
        device: impl Fn(&str) -> Result<Option<PathBuf>, E>,
    ) -> Result<(), E> {
        for other in std::mem::take(&mut self.other_mounts) {
            let found = match &other.volume {
                Some(volume) => device(&volume.name)?.map(|device| (device, volume)),
                None => None,
            };
            match found {
                Some((device, volume)) => self.binds.push(Bind {
                    target: other.target,
                    read_only: volume.read_only,
                    ..Bind::of_volume(device, volume.subpath.as_deref())
                }),
                None => self.other_mounts.push(other),
            }
        }
        Ok(())
    }
}

/// Why the binds are not known. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {}{reason}", .line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct BindsError {
    /// The file, as people can read it; `--run` of a command line.
    pub file: String,
    /// The line, from 1, where it is known.
    pub line: Option<usize>,
    /// What cannot be resolved, and what helps.
    pub reason: String,
}

impl BindsError {
    /// Of a whole file.
    pub fn new(file: &str, reason: impl Into<String>) -> BindsError {
        BindsError {
            file: file.to_string(),
            line: None,
            reason: reason.into(),
        }
    }

    /// Of one line, counted from 1.
    pub fn at(file: &str, line: usize, reason: impl Into<String>) -> BindsError {
        BindsError {
            line: Some(line),
            ..BindsError::new(file, reason)
        }
    }
}
