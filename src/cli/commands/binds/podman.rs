//! The map of a Podman command line, which has nothing to do with Docker's daemon.

use crate::cli::args::{BindsArgs, MapArgs};
use crate::cli::exit::Failure;
use crate::volume::binds::is_podman;

const ROOT: &str = "--run: without --userns and --uidmap, root's Podman gives a container the ids of the host: what is 33 in it is 33 \
    here, and nothing is to be shifted (`chown`)";

/// The map options for what is asked: of `podman run` those of the user whose Podman it is.
///
/// # Errors
/// None is named. Root's Podman has the host's ids by default, a user's Podman those of that user.
pub fn map_args(binds: &BindsArgs, map: &MapArgs) -> Result<MapArgs, Failure> {
    let is_of_podman = binds.run_command.as_deref().is_some_and(is_podman);
    if !is_of_podman || !map.maps.is_empty() || map.map_from.is_some() {
        return Ok(map.clone());
    }
    match map.subid.as_deref() {
        None => Err(Failure::refused(format!(
            "{ROOT}. For the Podman of a user, add --subid USER. For a container with ids of its own, name its map: \
            --map or --map-from"
        ))),
        Some("root" | "0") => Err(Failure::refused(format!(
            "{ROOT}. For a container with ids of its own, name its map: --map or --map-from"
        ))),
        Some(user) => MapArgs::of_rootless(user),
    }
}
