//! Whether the data-root has room for a copy.

use std::path::Path;

use super::leftover;
use crate::docker::DockerError;
use crate::fs::space::{self, Amount};

/// Checks that there is space for a copy, or that there is once the rest of an earlier conversion is removed. `help`:
/// what else can be done.
///
/// # Errors
/// The filesystem has no room for it.
pub fn check_copy_room(
    (top, range): (&Path, &str),
    takes: Amount,
    help: &str,
) -> Result<(), DockerError> {
    let free = space::free(top).map_err(DockerError::io(top))?;
    let removed = leftover::room(top, range);
    let free = Amount {
        bytes: free.bytes.saturating_add(removed.bytes),
        inodes: free.inodes.saturating_add(removed.inodes),
    };
    // A twentieth more: no two copies take up quite the same.
    let bytes = takes.bytes.saturating_add(takes.bytes / 20);
    if bytes <= free.bytes && takes.inodes <= free.inodes {
        return Ok(());
    }
    Err(DockerError::in_the_way(
        top,
        format!(
            "a copy needs {bytes} bytes and {} inodes, but only {} bytes and {} inodes are free. {help}",
            takes.inodes, free.bytes, free.inodes
        ),
    ))
}
