//! Whom a container or an image runs as, from the data-root alone: the daemon is not asked.
//!
//! Names are looked up as the daemon does it, in `/etc/passwd` and `/etc/group` of the container's
//! layers (moby `daemon/oci_linux.go`, `getUser`; moby/sys/user `GetExecUser`). What is in a layer
//! may be anybody's work: nothing in it is followed.
//!
//! - `image`: the user of an image
//! - `layers`: the directories that the layers of a graph driver are in
//! - `accounts`: `/etc/passwd` and `/etc/group` of layers

mod accounts;
mod image;
mod layers;

use std::path::PathBuf;

use serde::Deserialize;

use super::conversion::lookup;
use super::data_root::{ContainerFiles, DockerRoot, not_json, read_text};
use super::image_store;
use super::{DockerError, guidance};
use crate::volume::user::ContainerUser;
use accounts::Accounts;
pub use image::{RunAs, of_image, of_image_as};
use layers::layer_dirs;

/// A container found by its name or id.
#[derive(Clone, Debug)]
pub struct FoundUser {
    /// Its user.
    pub user: ContainerUser,
    /// It runs with `--userns=host`.
    pub is_host: bool,
}

/// What of an image's or a container's configuration matters here.
#[derive(Deserialize)]
struct Config {
    #[serde(rename = "User", default)]
    user: String,
}

/// The user that a container runs as; by name, id or the beginning of one. The first of the roots
/// that has it tells.
///
/// # Errors
/// There is no such container, or its user cannot be looked up.
pub fn of_container(roots: &[DockerRoot], wanted: &str) -> Result<FoundUser, DockerError> {
    let mut known = Vec::new();
    let mut by_id = None;
    for root in roots {
        for files in root.container_files()? {
            let container = files.parse(root)?;
            let found = (root, container.userns_mode == "host", files);
            if container.name == wanted {
                return FoundUser::of(found);
            }
            if wanted.len() >= 4 && container.id.starts_with(wanted) {
                by_id.get_or_insert(found);
            }
            known.push(container.name);
        }
    }
    match by_id {
        Some(found) => FoundUser::of(found),
        None => Err(not_there("container", "containers", roots, wanted, known)),
    }
}

impl FoundUser {
    fn of(
        (root, is_host, files): (&DockerRoot, bool, ContainerFiles),
    ) -> Result<FoundUser, DockerError> {
        let user = user_of(root, &files)?;
        Ok(FoundUser { user, is_host })
    }
}

fn not_there(
    kind: &str,
    dir: &str,
    roots: &[DockerRoot],
    wanted: &str,
    mut known: Vec<String>,
) -> DockerError {
    known.sort();
    known.dedup();
    let there = match &known[..] {
        [] => format!("there is none. {}", guidance::RIGHT_DATA_ROOT),
        names => format!("there are: {}", names.join(", ")),
    };
    let path = roots.first().map(|root| root.path.join(dir));
    let path = path.unwrap_or_default();
    DockerError::in_the_way(path, format!("there is no {kind} {wanted}; {there}"))
}

/// The user that this container runs as.
///
/// # Errors
/// Its metadata is not what dockerd writes, or a name is in none of its layers.
pub fn user_of(root: &DockerRoot, files: &ContainerFiles) -> Result<ContainerUser, DockerError> {
    #[derive(Deserialize)]
    struct Container {
        #[serde(rename = "Config")]
        config: Config,
        #[serde(rename = "Driver", default)]
        driver: String,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Host {
        #[serde(rename = "GroupAdd")]
        group_add: Option<Vec<String>>,
    }
    let dir = root.path.join("containers").join(&files.id);
    let container: Container = serde_json::from_str(&files.config)
        .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?;
    let host: Host = serde_json::from_str(files.hostconfig.as_deref().unwrap_or("{}"))
        .map_err(|error| not_json(&dir.join("hostconfig.json"), &error))?;
    let driver = &container.driver;
    let mount_id = root.path.join(format!(
        "image/{driver}/layerdb/mounts/{}/mount-id",
        files.id
    ));
    let layers = match read_text(&mount_id)? {
        Some(layer) => layer_dirs(&root.path, driver, layer.trim()),
        None => store_layers(root, &files.id)?,
    };
    let accounts = Accounts::of(&layers);
    accounts
        .resolve(&container.config.user, &host.group_add.unwrap_or_default())
        .map_err(|error| DockerError::in_the_way(dir, error.to_string()))
}

/// The directories of a container whose files are in containerd, topmost first.
fn store_layers(root: &DockerRoot, id: &str) -> Result<Vec<PathBuf>, DockerError> {
    let (stores, namespace) = image_store::stores_of(root)?;
    for store in &stores {
        let layers = lookup::container_layers(store, &namespace, id)?;
        if !layers.is_empty() {
            return Ok(layers);
        }
    }
    Ok(Vec::new())
}
