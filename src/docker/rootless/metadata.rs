//! Containers and volumes, with the paths that they have in the other docker root.

use std::path::{Path, PathBuf};

use super::obstacles::obstacles;
use crate::docker::DockerError;
use crate::docker::container::Container;
use crate::docker::data_root::{ContainerFiles, DockerRoot, not_json};
use crate::docker::migration_plan::{config_with_new_paths, hostconfig_with_new_paths};
use crate::docker::path_rewriter::PathRewriter;
use crate::store_move::obstacle::{Obstacle, first_open_port};

/// The metadata files of a container.
pub(super) const CONFIG: &str = "config.v2.json";
pub(super) const HOSTCONFIG: &str = "hostconfig.json";

/// A metadata file of a container that changes.
pub(super) struct Rewritten {
    /// The container's id, the name of its directory.
    pub id: String,
    /// The file's name in there.
    pub name: &'static str,
    /// Its text.
    pub before: String,
    /// Its text afterwards.
    pub after: String,
}

/// A container and its files.
pub(super) type ContainerWithFiles = (Container, ContainerFiles);

/// All containers of a docker root.
///
/// # Errors
/// The metadata of one is not what dockerd writes.
pub(super) fn containers(root: &DockerRoot) -> Result<Vec<ContainerWithFiles>, DockerError> {
    let parse = |files: ContainerFiles| Ok((files.parse(root)?, files));
    root.container_files()?.into_iter().map(parse).collect()
}

/// The files that have paths which will be others.
///
/// # Errors
/// One is not what dockerd writes.
pub(super) fn rewritten(
    root: &DockerRoot,
    all: &[ContainerWithFiles],
    moved: &PathRewriter,
) -> Result<Vec<Rewritten>, DockerError> {
    let mut found = Vec::new();
    for (_, files) in all {
        let dir = root.path.join("containers").join(&files.id);
        let mut add = |name: &'static str, before: &str, after: String| {
            if after != before {
                found.push(Rewritten {
                    id: files.id.clone(),
                    name,
                    before: before.to_string(),
                    after,
                });
            }
        };
        let config = config_with_new_paths(files, &dir, moved)?;
        add(CONFIG, &files.config, config);
        if let Some(before) = &files.hostconfig {
            let after = hostconfig_with_new_paths(before, &dir, moved)?;
            add(HOSTCONFIG, before, after);
        }
    }
    Ok(found)
}

/// What is different about each container in a rootless daemon, by name.
///
/// # Errors
/// A `hostconfig.json` is not what dockerd writes.
pub(super) fn incompatible(
    root: &DockerRoot,
    all: &[ContainerWithFiles],
) -> Result<Vec<(String, Obstacle)>, DockerError> {
    let first_port = first_open_port();
    let mut found = Vec::new();
    for (container, files) in all {
        let hostconfig = files.hostconfig.as_deref().unwrap_or("{}");
        let dir = root.path.join("containers").join(&files.id);
        let of_this = obstacles(hostconfig, first_port)
            .map_err(|error| not_json(&dir.join(HOSTCONFIG), &error))?;
        let name = &container.name;
        found.extend(of_this.into_iter().map(|it| (name.clone(), it)));
    }
    Ok(found)
}

/// What containers bind that is not carried: the container's name and the path.
///
/// # Errors
/// A `config.v2.json` is not what dockerd writes.
pub(super) fn left_binds(
    root: &DockerRoot,
    all: &[ContainerWithFiles],
    moved: &PathRewriter,
) -> Result<Vec<(String, PathBuf)>, DockerError> {
    let mut found = Vec::new();
    for (container, files) in all {
        let binds = files.bind_mounts(root)?.into_iter();
        let sources = binds.map(|bind| bind.source);
        let left = sources.filter(|source| {
            let real = std::fs::canonicalize(source);
            let real: &Path = real.as_deref().unwrap_or(source);
            moved.new_path(real).is_none()
        });
        found.extend(left.map(|source| (container.name.clone(), source)));
    }
    found.sort();
    found.dedup();
    Ok(found)
}
