//! The data-root, plain and remapped, and what is in it.
//!
//! - [`DockerRoot`]: a directory that a daemon works in, and how much it holds
//! - [`ContainerFiles`]: the metadata of one container

mod container_files;
mod docker_root;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::daemon_json::DaemonJson;
pub use super::holds::{Holds, count};
pub use super::paths::{CONVERTED, DEFAULT_PATH};
use super::{DockerError, Reason};
use crate::preflight::in_use::IDMAPPED_ROOT;
pub use crate::store_move::files::names;
pub(super) use crate::store_move::files::read_text;
pub use crate::store_move::names::{ASIDE, COPY, MOVING};
pub use container_files::ContainerFiles;
pub(super) use container_files::not_json;
pub use docker_root::DockerRoot;

/// The data-root that is meant: as given, as `daemon.json` says, or the default.
pub fn find(given: Option<&Path>, daemon_json: &DaemonJson) -> PathBuf {
    let said = daemon_json.data_root.as_deref().filter(|p| !p.is_empty());
    match (given, said) {
        // Advice names it for other places and for the next boot.
        (Some(path), _) => std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
        (None, Some(path)) => path.into(),
        (None, None) => DEFAULT_PATH.into(),
    }
}

/// A data-root without symlinks.
///
/// # Errors
/// There is none, or it is a remapped daemon's own directory in it.
pub fn canonical(data_root: &Path) -> Result<PathBuf, DockerError> {
    let top = fs::canonicalize(data_root).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => DockerError::in_the_way(data_root, Reason::NoDataRoot),
        _ => DockerError::io(data_root)(error),
    })?;
    if !top.is_dir() {
        return Err(DockerError::in_the_way(data_root, Reason::NoDirectory));
    }
    let name = top.file_name().and_then(|name| name.to_str());
    match top.parent() {
        Some(parent) if name.is_some_and(is_remapped_name) => Err(DockerError::in_the_way(
            &top,
            Reason::RemappedRoot(parent.to_path_buf()),
        )),
        _ => Ok(top),
    }
}

/// Whether a name in a data-root is that of a remapped daemon's root, `<uid>.<gid>`.
pub fn is_remapped_name(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name.split_once('.')
        .is_some_and(|(uid, gid)| number(uid) && number(gid))
}

/// Whether a daemon works, or worked, in this directory.
pub fn is_daemon_root(path: &Path) -> bool {
    ["image", "network/files", "volumes/metadata.db"]
        .iter()
        .all(|below| path.join(below).exists())
}

/// Names in a data-root that are the plain daemon's.
pub fn plain_names(data_root: &Path) -> Result<(Vec<String>, Vec<String>), DockerError> {
    Ok(names(data_root)?.into_iter().partition(|name| {
        let ours = [ASIDE, COPY, MOVING, CONVERTED, IDMAPPED_ROOT]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        !is_remapped_name(name) && !ours && name != "lost+found"
    }))
}
