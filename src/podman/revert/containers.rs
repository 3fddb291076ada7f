//! Containers and pods. What they ask of the host is in their settings, which a user wrote and which are not checked: so there
//! must be none.

use std::path::Path;

use crate::docker::rootless::user::RootlessUser;
use crate::fs::escape::shell_word;
use crate::podman::PodmanError;
use crate::podman::and_more;
use crate::podman::database::{Database, DatabaseError};
use crate::podman::store::{DRIVER, Store};

/// Refuses containers, by name, of Podman and of other programs that use the store (Buildah).
pub(super) fn check_none(
    store: &Store,
    database: Option<&Database>,
    user: &RootlessUser,
) -> Result<(), PodmanError> {
    let failed = |error: DatabaseError| PodmanError::in_the_way(&store.path, error.to_string());
    let (pods, containers) = match database {
        Some(database) => (
            database.pod_names().map_err(failed)?,
            database.containers().map_err(failed)?,
        ),
        None => (Vec::new(), Vec::new()),
    };
    refuse(&store.path, "pod", &pods, user)?;
    let names: Vec<String> = containers.into_iter().map(|it| it.name).collect();
    refuse(&store.path, "container", &names, user)?;
    let listed = store.listed(DRIVER, "containers")?;
    let names: Vec<String> = listed.iter().map(|it| it.name().to_string()).collect();
    refuse(&store.path, "container", &names, user)
}

fn refuse(
    store: &Path,
    kind: &str,
    names: &[String],
    user: &RootlessUser,
) -> Result<(), PodmanError> {
    let Some(first) = names.first() else {
        return Ok(());
    };
    let words: Vec<String> = (names.iter()).map(|it| shell_word(Path::new(it))).collect();
    let (commit, remove) = match kind {
        "pod" => ("", "pod rm"),
        _ => (
            "`podman commit` keeps the files of a container as an image; ",
            "rm",
        ),
    };
    let why = format!(
        "has the {kind} {}{}. Images, volumes and secrets become root's, but not containers and pods, whose settings {} wrote. \
         Run as {}: {commit}`podman {remove} {}` removes what is in the way. Create it again as root afterwards",
        shell_word(Path::new(first)),
        and_more(names.len()),
        user.name,
        user.name,
        words.join(" ")
    );
    Err(PodmanError::in_the_way(store, why))
}
