//! Containers that will not work as they are.

use std::path::Path;

use serde::Serialize;

use crate::docker::container::{Container, image_mounts, volume_drivers};
use crate::docker::container_user;
use crate::docker::data_root::{ContainerFiles, DockerRoot};
use crate::docker::guidance::MARK_CONTAINERS;
use crate::docker::remap::Remap;
use crate::fs::escape::shell_word;

/// A container that will not work as it is.
#[derive(Clone, Debug, Serialize)]
pub struct IncompatibleContainer {
    /// Its name.
    pub container: String,
    /// What is wrong.
    pub why: String,
    /// What helps.
    pub remedy: String,
}

/// What is wrong with this container. `obstacle`: why it does not start remapped.
pub fn incompatibilities(
    container: &Container,
    files: &ContainerFiles,
    obstacle: Option<&str>,
    root: &DockerRoot,
    remap: Option<&Remap>,
    is_converted: bool,
) -> Vec<IncompatibleContainer> {
    let mut found = Vec::new();
    let mut trouble = |why: String, remedy: &str| {
        found.push(IncompatibleContainer {
            container: container.name.clone(),
            why,
            remedy: remedy.to_string(),
        });
    };
    let graph_drivers = root.drivers().unwrap_or_default();
    if !is_converted && !container.driver.is_empty() && !graph_drivers.contains(&container.driver) {
        let why = format!(
            "has its files in {}, for which there are no images here: a remapped daemon does not show it",
            container.driver
        );
        // Somebody named it.
        let name = shell_word(Path::new(&container.name));
        trouble(
            why,
            &format!(
                "Before the migration: `docker commit {name} IMAGE`, `docker save IMAGE`. Afterwards: `docker load`, `docker run`. \
                 Its volumes are migrated"
            ),
        );
    }
    if let Some(why) = obstacle {
        trouble(
            format!("{why}: it does not start remapped"),
            MARK_CONTAINERS,
        );
    } else if container.userns_mode == "host" {
        trouble(
            "runs with --userns=host: it will see its files owned by the range, so sudo and setuid programs misbehave"
                .into(),
            "recreate it without --userns=host, if that is possible",
        );
    } else {
        let user = container_user::user_of(root, files).ok().zip(remap);
        if let Some(Err(error)) = user.map(|(user, remap)| user.on_host(&remap.map)) {
            trouble(
                format!("runs as {error}"),
                "a larger range in /etc/subuid and /etc/subgid, or --userns=host",
            );
        }
    }
    // What does not parse is told elsewhere.
    for (volume, driver) in volume_drivers(&files.config).unwrap_or_default() {
        trouble(
            format!("uses volume {volume} of the driver {driver}: its files are not shifted"),
            "shift them where they are stored, or let the driver present them with owners in the range",
        );
    }
    // dockerd mounts an image when it makes the container, and not again (moby `daemon/volumes.go`, seen with 28.5.2 and 29.7.2).
    for image in image_mounts(&files.config).unwrap_or_default() {
        trouble(
            format!(
                "mounts the image {image} (--mount type=image): Docker does not mount it again after the daemon was stopped"
            ),
            "after the migration, remove it with `docker rm` and create it again with `docker run`. Its volumes stay",
        );
    }
    found
}
