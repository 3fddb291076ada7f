//! A copy of a plain docker root for a migration that leaves it alone, in the data-root.
//!
//! Files of the containerd image store are copied with what a conversion makes, and not here.

use std::fs;
use std::path::Path;

use super::conversion::leftover;
use super::data_root::{COPY, DockerRoot, plain_names};
use super::guidance::NO_SPACE_FOR_COPY;
use super::{DockerError, Reason};
use crate::fs::space::Amount;
use crate::store_move::copy::PlannedCopy;

/// Checks what has to be copied, and whether there is space for it. `converted`: containerd's
/// directory, and the space that layers converted from it take.
///
/// # Errors
/// There is not enough space, a copy would not be complete, or an earlier copy is in the way.
pub fn plan_copy(
    data_root: &Path,
    range: &str,
    (converted, layers): (Option<&Path>, Amount),
) -> Result<PlannedCopy, DockerError> {
    let top = fs::canonicalize(data_root).map_err(DockerError::io(data_root))?;
    let drivers = DockerRoot::at(&top).drivers()?;
    if drivers.iter().any(|driver| driver == "btrfs") {
        let path = top.join("btrfs");
        return Err(DockerError::in_the_way(path, Reason::CopyOfSubvolumes));
    }
    let (mut names, _) = plain_names(&top)?;
    let is_converted =
        |name: &String| converted.is_some_and(|path| path.starts_with(top.join(name)));
    names.retain(|name| !is_converted(name));
    let copy = PlannedCopy::into_dir((&top, names), (&top, format!("{COPY}{range}")))?;
    copy.check_space(
        leftover::freed_space(&top, range),
        layers,
        NO_SPACE_FOR_COPY,
    )?;
    Ok(copy)
}
