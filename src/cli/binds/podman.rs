//! The map of a Podman command line, which has nothing to do with Docker's daemon.

use crate::cli::args::{BindsArgs, MapArgs};
use crate::cli::exit::Failure;
use crate::volume::binds::{Program, program};

const ROOT: &str = "--run: without --userns and --uidmap, root's Podman gives a container the ids of the host: what is 33 in it is 33 \
    here, and nothing is to be shifted (`chown`)";

/// The map options for what is asked: of `podman run` those of the user whose Podman it is.
///
/// # Errors
/// None is named, or that of a user for root's Podman, which has the host's ids by default; a user's Podman has those of
/// that user.
pub fn map_args(binds: &BindsArgs, map: &MapArgs) -> Result<MapArgs, Failure> {
    let program = binds.run_command.as_deref().and_then(program);
    let is_of_podman = program.is_some_and(|program| program != Program::Docker);
    if !is_of_podman || !map.maps.is_empty() || map.map_from.is_some() {
        return Ok(map.clone());
    }
    match map.subid.as_deref() {
        None => Err(Failure::refused(format!(
            "{ROOT}. For the Podman of a user, add --subid USER, and write no `sudo` before `podman`. For a container with ids of its own, name its map: \
            --map or --map-from"
        ))),
        Some("root" | "0") => Err(Failure::refused(format!(
            "{ROOT}. For a container with ids of its own, name its map: --map or --map-from"
        ))),
        Some(user) if program == Some(Program::SudoPodman) => Err(Failure::refused(format!(
            "{ROOT}. If the Podman of {user} is meant, leave out `sudo` in the command line"
        ))),
        Some(user) => MapArgs::of_rootless(user),
    }
}
