//! Whether a directory has space for a copy.

use std::path::Path;

use crate::fs::space::{self, Amount};
use crate::store_move::MoveError;

/// Checks that there is space for a copy in a directory, or that there is once what is `freed` is removed. `help`: what
/// else can be done.
///
/// # Errors
/// The filesystem has no space for it.
pub fn check_space_for_copy(
    (top, freed): (&Path, Amount),
    takes: Amount,
    help: &str,
) -> Result<(), MoveError> {
    let free = space::free(top).map_err(MoveError::io(top))?;
    let free = Amount {
        bytes: free.bytes.saturating_add(freed.bytes),
        inodes: free.inodes.saturating_add(freed.inodes),
    };
    // A twentieth more: no two copies take up quite the same.
    let bytes = takes.bytes.saturating_add(takes.bytes / 20);
    if bytes <= free.bytes && takes.inodes <= free.inodes {
        return Ok(());
    }
    Err(MoveError::in_the_way(
        top,
        format!(
            "a copy needs {bytes} bytes and {} inodes, but only {} bytes and {} inodes are free. {help}",
            takes.inodes, free.bytes, free.inodes
        ),
    ))
}
