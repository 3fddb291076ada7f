//! Whether paths led to one tree as long as it was read: its user can rename directories above it, and mount filesystems of
//! their own making on their directories.

use std::path::Path;

use crate::engine::Reading;
use crate::fs::{Root, mount_watch};
use crate::store_move::MoveError;

/// Begins to read a user's store.
///
/// # Errors
/// It is not there any more.
pub fn begin_reading(from: &Path) -> Result<Reading, MoveError> {
    let reading = Reading::begin(Root::open(from)?);
    mount_watch::are_watched();
    mount_watch::have_changed();
    Ok(reading)
}

/// Ends it.
///
/// # Errors
/// Something was mounted, or changed above it, since it was begun.
pub fn check_was_read(reading: &Reading, from: &Path) -> Result<(), MoveError> {
    let again = |path: &Path, what: &str| {
        let why = format!("{what} while it was read. Run this again");
        Err(MoveError::in_the_way(path, why))
    };
    if mount_watch::have_changed() {
        return again(from, "something was mounted or unmounted");
    }
    match reading.changed_above()? {
        Some(path) => again(&path, "was changed"),
        None => Ok(()),
    }
}
