//! The user that an image runs as.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::accounts::{Accounts, UnknownAccount};
use super::layers::{layer_dirs, top_layer};
use super::{Config, not_there};
use crate::docker::DockerError;
use crate::docker::conversion::lookup;
use crate::docker::data_root::{DockerRoot, names, not_json, read_text};
use crate::docker::image_store;
use crate::volume::user::ContainerUser;

/// The user that an image runs as; by name and tag, by id or the beginning of one. The first of the
/// roots that has it tells.
///
/// # Errors
/// There is no such image, or its user cannot be looked up.
pub fn of_image(roots: &[DockerRoot], wanted: &str) -> Result<ContainerUser, DockerError> {
    of_image_as(roots, wanted, RunAs::default())
}

/// What a container is created with, over what its image says.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunAs<'a> {
    /// The user by name or number; `None`: the image's.
    pub user: Option<&'a str>,
    /// Other groups, by name or number.
    pub group_add: &'a [String],
}

impl RunAs<'_> {
    /// With what the image says where nothing else is.
    fn resolve(self, accounts: &Accounts, of_image: &str) -> Result<ContainerUser, UnknownAccount> {
        accounts.resolve(self.user.unwrap_or(of_image), self.group_add)
    }

    /// `UID:GID` and groups in numbers, which mean the same in every image.
    pub fn in_numbers(self) -> Option<ContainerUser> {
        let is_number = |text: &str| text.parse::<u32>().is_ok();
        let (user, group) = self.user?.split_once(':')?;
        let all = is_number(user) && is_number(group);
        let groups = self.group_add.iter().all(|group| is_number(group));
        let accounts = Accounts::default();
        (all && groups).then(|| self.resolve(&accounts, ""))?.ok()
    }
}

/// The user that a container of an image runs as. The image need not be there where all is said in numbers.
///
/// # Errors
/// As [`of_image`].
pub fn of_image_as(
    roots: &[DockerRoot],
    wanted: &str,
    run_as: RunAs<'_>,
) -> Result<ContainerUser, DockerError> {
    if let Some(user) = run_as.in_numbers() {
        return Ok(user);
    }
    let mut known = Vec::new();
    for root in roots {
        if let Some(user) = image_in(root, wanted, run_as, &mut known)? {
            return Ok(user);
        }
        if let Some(user) = image_in_store(root, wanted, run_as, &mut known)? {
            return Ok(user);
        }
    }
    Err(not_there("image", "image", roots, wanted, known))
}

/// The user of an image that is in containerd.
fn image_in_store(
    root: &DockerRoot,
    wanted: &str,
    run_as: RunAs<'_>,
    known: &mut Vec<String>,
) -> Result<Option<ContainerUser>, DockerError> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(default)]
        config: Option<Config>,
    }
    let (stores, namespace) = image_store::stores_of(root)?;
    for store in &stores {
        let tagged = familiar(wanted);
        let Some(found) = lookup::image(store, &namespace, (&tagged, wanted), known)? else {
            continue;
        };
        let image: Image =
            serde_json::from_slice(&found.config).map_err(|error| not_json(&found.path, &error))?;
        let user = image.config.map(|config| config.user).unwrap_or_default();
        let accounts = Accounts::of(&found.layers);
        let user = run_as.resolve(&accounts, &user);
        return user
            .map(Some)
            .map_err(|error| DockerError::in_the_way(found.path, error.to_string()));
    }
    Ok(None)
}

/// The user of an image of a graph driver.
fn image_in(
    root: &DockerRoot,
    wanted: &str,
    run_as: RunAs<'_>,
    known: &mut Vec<String>,
) -> Result<Option<ContainerUser>, DockerError> {
    for driver in root.drivers()? {
        let image_dir = root.path.join("image").join(&driver);
        if let Some(id) = image_id(&image_dir, wanted, known)? {
            return user_of_image(root, &driver, (&image_dir, &id), run_as).map(Some);
        }
    }
    Ok(None)
}

/// The id of an image of one graph driver, in hexadecimal; `known` gets the names of all that it has.
fn image_id(
    image_dir: &Path,
    wanted: &str,
    known: &mut Vec<String>,
) -> Result<Option<String>, DockerError> {
    #[derive(Deserialize)]
    struct Repositories {
        #[serde(rename = "Repositories", default)]
        all: HashMap<String, HashMap<String, String>>,
    }
    let path = image_dir.join("repositories.json");
    let Some(text) = read_text(&path)? else {
        return Ok(None);
    };
    let repositories: Repositories =
        serde_json::from_str(&text).map_err(|error| not_json(&path, &error))?;
    let tagged = familiar(wanted);
    for (name, id) in repositories.all.into_values().flatten() {
        let is_wanted = name == tagged;
        known.push(name);
        if is_wanted {
            return Ok(Some(id.trim_start_matches("sha256:").to_string()));
        }
    }
    let prefix = wanted.trim_start_matches("sha256:");
    if prefix.len() < 4 {
        return Ok(None);
    }
    let ids = names(&image_dir.join(CONTENT))?;
    Ok(ids.into_iter().find(|id| id.starts_with(prefix)))
}

/// Where the configurations of images are.
const CONTENT: &str = "imagedb/content/sha256";

fn user_of_image(
    root: &DockerRoot,
    driver: &str,
    (image_dir, id): (&Path, &str),
    run_as: RunAs<'_>,
) -> Result<ContainerUser, DockerError> {
    #[derive(Deserialize)]
    struct Image {
        #[serde(default)]
        config: Option<Config>,
        rootfs: RootFs,
    }
    #[derive(Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    let path = image_dir.join(CONTENT).join(id);
    let text = read_text(&path)?.unwrap_or_default();
    let image: Image = serde_json::from_str(&text).map_err(|error| not_json(&path, &error))?;
    let layer = top_layer(image_dir, &image.rootfs.diff_ids)?;
    let accounts = Accounts::of(&layer_dirs(&root.path, driver, &layer));
    let user = image.config.map(|config| config.user).unwrap_or_default();
    run_as
        .resolve(&accounts, &user)
        .map_err(|error| DockerError::in_the_way(path, error.to_string()))
}

/// As the daemon writes it into `repositories.json`: without the default registry and with a tag
/// (distribution `reference.FamiliarString`, `TagNameOnly`). Of a name with a digest it keeps no tag (moby
/// `reference/store.go`, `favorDigest`).
fn familiar(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = match name.strip_prefix("library/") {
        Some(rest) if !rest.contains('/') => rest,
        _ => name,
    };
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    match (last.split_once('@'), last.contains(':')) {
        (Some((tagged, digest)), _) => {
            let before = &name[..name.len() - last.len()];
            let bare = tagged.split_once(':').map_or(tagged, |(bare, _)| bare);
            format!("{before}{bare}@{digest}")
        }
        (None, true) => name.to_string(),
        (None, false) => format!("{name}:latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_familiar_name() {
        for (name, familiar_name) in [
            ("rabbitmq", "rabbitmq:latest"),
            ("rabbitmq:3", "rabbitmq:3"),
            ("docker.io/library/rabbitmq", "rabbitmq:latest"),
            ("library/rabbitmq:3", "rabbitmq:3"),
            ("docker.io/bitnami/rabbitmq:3", "bitnami/rabbitmq:3"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("app@sha256:0123", "app@sha256:0123"),
            ("nginx:1.25@sha256:0123", "nginx@sha256:0123"),
            (
                "docker.io/library/nginx:1.25@sha256:0123",
                "nginx@sha256:0123",
            ),
            (
                "localhost:5000/a/app:2@sha256:0123",
                "localhost:5000/a/app@sha256:0123",
            ),
        ] {
            assert_eq!(familiar(name), familiar_name);
        }
    }
}
