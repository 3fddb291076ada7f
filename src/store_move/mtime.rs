//! The time of the last change of a directory, which is given back when what was done in it is undone.

use std::path::Path;

use super::MoveError;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::mtime_ns;
use crate::journal::Step;
use crate::journal::step::StepPath;

/// Restores the mtime of the directory `path`, which is at `at`, when the steps are undone.
///
/// # Errors
/// Of opening it.
pub fn mtime_step(at: StepPath, path: &Path) -> Result<Step, MoveError> {
    let mtime_ns = mtime_of(path)?;
    Ok(Step::Times { at, mtime_ns })
}

/// The mtime of a directory, nanoseconds since 1970.
///
/// # Errors
/// Of opening it.
pub fn mtime_of(dir: &Path) -> Result<i64, MoveError> {
    let open = open_dir(rustix::fs::CWD, dir).map_err(MoveError::errno(dir))?;
    mtime_ns(open).map_err(MoveError::io(dir))
}
