//! Files of a snapshot copied as those of a layer.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::docker::DockerError;
use crate::engine::RunControl;
use crate::fs::escape::shell_word;
use crate::store_move::coreutils_cp::{CpError, cp};

/// Copies a directory with all that makes a layer of it: owners, modes, times, attributes, hard links, holes, devices
/// and whiteouts. Content is shared where the filesystem can. `to` is not there yet.
///
/// # Errors
/// The disk is full, something cannot be read, or somebody asked to stop.
pub(super) fn copy_files(
    from: &Path,
    to: &Path,
    control: RunControl<'_>,
) -> Result<(), DockerError> {
    let above = to.parent().unwrap_or(to);
    let args = ["-T", "--"].map(OsStr::new);
    let args = args.into_iter().chain([from.as_os_str(), to.as_os_str()]);
    let goes_on = |_| !control.is_cancelled();
    cp(above, args, goes_on).map_err(|error| match error {
        CpError::Stopped => DockerError::in_the_way(to, "the copy was interrupted"),
        CpError::Failed(why) => DockerError::in_the_way(to, why),
        CpError::Start(error) => DockerError::io("cp")(error),
    })
}

/// `cp` works by paths, so only root may be able to change these directories.
///
/// # Errors
/// Others can enter the snapshotter's directory.
pub(super) fn check_is_closed(snapshotter: &Path) -> Result<(), DockerError> {
    let found = fs::symlink_metadata(snapshotter).map_err(DockerError::io(snapshotter))?;
    let is_closed = found.is_dir() && found.uid() == 0 && found.mode() & 0o077 == 0;
    match is_closed {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            snapshotter,
            format!(
                "can be entered by others than root, who could replace what is copied. Close it with \
                 `chown root:root {path} && chmod 0700 {path}`, as containerd makes it",
                path = shell_word(snapshotter)
            ),
        )),
    }
}
