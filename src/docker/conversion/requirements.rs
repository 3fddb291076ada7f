//! What a conversion asks of the host beside a store that is whole. Dry run, audit and run ask the same.

use std::path::Path;

use super::leftover;
use super::plan::Conversion;
use crate::docker::DockerError;
use crate::fs::space::Amount;
use crate::store_move::copy::room::check_copy_room;

/// Whether the daemon that is started after it looks for what it makes. `said`: the `storage-driver` in the daemon's
/// configuration, which is in `config`.
///
/// # Errors
/// It names another driver than overlay2.
pub fn check_storage_driver(said: Option<&str>, config: &Path) -> Result<(), DockerError> {
    match said.filter(|driver| !driver.is_empty() && *driver != "overlay2") {
        None => Ok(()),
        Some(driver) => Err(DockerError::in_the_way(
            config,
            format!(
                "has \"storage-driver\": \"{driver}\", and what is in the containerd image store becomes layers of \
                 overlay2, which a remapped daemon would not look for then. Remove `storage-driver` from it \
                 first"
            ),
        )),
    }
}

/// Whether there is room in the data-root for what is copied and unpacked; of the latter, `unpacked` is known. `range`:
/// the name of the remapped root.
///
/// # Errors
/// There is not.
pub fn check_room(
    conversion: &Conversion,
    (top, range): (&Path, &str),
    unpacked: Amount,
) -> Result<(), DockerError> {
    let room = conversion.room(top)?;
    let takes = Amount {
        bytes: room.bytes.saturating_add(unpacked.bytes),
        inodes: room.inodes + unpacked.inodes,
    };
    let help = "Make room for layers of the containerd image store that cannot be renamed";
    Ok(check_copy_room(
        (top, leftover::room(top, range)),
        takes,
        help,
    )?)
}
