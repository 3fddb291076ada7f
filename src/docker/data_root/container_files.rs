//! The metadata of one container: `config.v2.json` and `hostconfig.json`.

use std::path::{Path, PathBuf};

use super::{DockerRoot, read_text};
use crate::docker::DockerError;
use crate::docker::container::{Bind, Container, bind_mounts, local_volumes};
use crate::fs::escape::escaped;

/// A container's two metadata files, as they are.
#[derive(Clone, Debug)]
pub struct ContainerFiles {
    /// Directory name in `containers`: the full id.
    pub id: String,
    /// `config.v2.json`
    pub config: String,
    /// `hostconfig.json`; a container that was never quite made has none.
    pub hostconfig: Option<String>,
}

impl DockerRoot {
    /// The metadata of every container.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn container_files(&self) -> Result<Vec<ContainerFiles>, DockerError> {
        let mut all = Vec::new();
        for id in self.container_ids()? {
            let dir = self.path.join("containers").join(&id);
            if dir.symlink_metadata().is_ok_and(|found| found.is_file()) {
                let why = "is a file among the directories of containers, and dockerd did not make it. Move \
                it out of the data-root";
                return Err(DockerError::in_the_way(dir, why));
            }
            let read = |name: &str| read_text(&dir.join(name));
            // A directory without it is what an interrupted `docker rm` left: dockerd passes it over.
            let Some(config) = read("config.v2.json")? else {
                continue;
            };
            all.push(ContainerFiles {
                hostconfig: read("hostconfig.json")?,
                id,
                config,
            });
        }
        Ok(all)
    }
}

impl ContainerFiles {
    /// What of it matters here.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn parse(&self, root: &DockerRoot) -> Result<Container, DockerError> {
        let hostconfig = self.hostconfig.as_deref().unwrap_or("{}");
        Container::parse(&self.id, &self.config, hostconfig).map_err(|error| {
            let name = match Container::parse(&self.id, &self.config, "{}") {
                Ok(_) => "hostconfig.json",
                Err(_) => "config.v2.json",
            };
            let dir = root.path.join("containers").join(&self.id);
            not_json(&dir.join(name), &error)
        })
    }

    /// Its bind mounts.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn bind_mounts(&self, root: &DockerRoot) -> Result<Vec<Bind>, DockerError> {
        bind_mounts(&self.config)
            .map_err(|error| not_json(&root.path.join("containers").join(&self.id), &error))
    }

    /// What it binds, where it is remapped.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn bind_sources_if_remapped(&self, root: &DockerRoot) -> Result<Vec<PathBuf>, DockerError> {
        if self.parse(root)?.userns_mode == "host" {
            return Ok(Vec::new());
        }
        let binds = self.bind_mounts(root)?.into_iter();
        Ok(binds.map(|bind| bind.source).collect())
    }

    /// Its volumes of the local driver, each as a bind mount.
    ///
    /// # Errors
    /// It is not what dockerd writes.
    pub fn local_volumes(&self, root: &DockerRoot) -> Result<Vec<(String, Bind)>, DockerError> {
        local_volumes(&self.config)
            .map_err(|error| not_json(&root.path.join("containers").join(&self.id), &error))
    }
}

/// That a file of dockerd's does not parse.
pub(in crate::docker) fn not_json(path: &Path, error: &serde_json::Error) -> DockerError {
    let is_empty = path
        .metadata()
        .is_ok_and(|file| file.is_file() && file.len() == 0);
    let what = match is_empty {
        true => "is empty".to_string(),
        false => format!("is not what dockerd writes: {error}"),
    };
    // The directory of one container or volume.
    let of_one = path.parent().filter(|dir| {
        let kind = dir.parent().and_then(Path::file_name);
        kind.is_some_and(|kind| kind == "containers" || kind == "volumes")
    });
    let help = match of_one {
        Some(dir) => format!(
            "dockerd cannot load it either. Restore the file. Or, if you do not need it any more, move {} \
            out of the data-root while the daemon is stopped",
            escaped(dir)
        ),
        None => "Restore the file from a backup".into(),
    };
    DockerError::in_the_way(path, format!("{what}. {help}; then run this again"))
}
