//! Where what a user wrote goes.

use std::path::Path;

use crate::fs::escape::escaped;
use crate::store_move::MoveError;
use crate::store_move::place::changed_by_others;

/// Others than root must not be able to change what root's engine gets, or to put something in its place. `remedy`: how to
/// choose another place.
///
/// # Errors
/// They are.
pub fn check_is_roots(to: &Path, remedy: &str) -> Result<(), MoveError> {
    let Some((path, who)) = changed_by_others(to)? else {
        return Ok(());
    };
    let why = format!(
        "can be changed by {who}, and {} is to hold what runs with root's rights. {remedy}, or change owner and mode",
        escaped(to)
    );
    Err(MoveError::in_the_way(path, why))
}
