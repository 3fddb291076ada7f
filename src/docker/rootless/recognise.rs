//! Whether a data-root is a rootless daemon's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Uid, User};

use crate::docker::DockerError;
use crate::docker::data_root::is_daemon_root;

/// The user whose rootless daemon has its data here: dockerd gives the data-root of a plain daemon, and that of a
/// remapped one, to uid 0.
pub fn owner(data_root: &Path) -> Option<u32> {
    let uid = fs::metadata(data_root).ok()?.uid();
    (uid != 0 && is_daemon_root(data_root)).then_some(uid)
}

/// Refuses a rootless daemon's data-root.
///
/// # Errors
/// Says what can be done with it.
pub fn check_is_none(data_root: &Path) -> Result<(), DockerError> {
    let Some(uid) = owner(data_root) else {
        return Ok(());
    };
    let account = User::from_uid(Uid::from_raw(uid)).ok().flatten();
    let user = account.map_or(uid.to_string(), |it| it.name);
    Err(DockerError::in_the_way(
        data_root,
        format!(
            "is the data-root of the rootless Docker of {user}. `idshift docker revert --rootless {user}` gives what it has to the \
             plain daemon"
        ),
    ))
}
