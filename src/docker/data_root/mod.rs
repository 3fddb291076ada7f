//! The data-root, plain and remapped, and what is in it.
//!
//! - [`DockerRoot`]: a directory that a daemon works in, and how much it holds
//! - [`ContainerFiles`]: the metadata of one container
//! - [`TopTime`]: when the data-root was last modified, put back

mod container_files;
mod docker_root;
mod top_time;

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::daemon_json::DaemonJson;
pub use super::holds::{Holds, count};
pub use super::paths::{ASIDE, CONVERTED, COPY, DEFAULT_PATH, MOVING};
use super::{DockerError, Reason};
use crate::fs::dir::open_dir;
use crate::fs::file_ops::read_file;
use crate::preflight::in_use::IDMAPPED_ROOT;
pub use container_files::ContainerFiles;
pub(super) use container_files::not_json;
pub use docker_root::DockerRoot;
pub use top_time::TopTime;

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

/// Names of a directory, sorted; of one that is not there, none. Its atime stays.
pub fn names(dir: &Path) -> Result<Vec<String>, DockerError> {
    let failed = |errno: Errno| DockerError::io(dir)(errno.into());
    let handle = match open_dir(rustix::fs::CWD, dir) {
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        result => result.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::new(handle).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        match entry.file_name().to_str() {
            Ok("." | "..") => {}
            Ok(name) => names.push(name.to_string()),
            Err(_) => {
                let name = entry.file_name().to_string_lossy().into_owned();
                let why = "dockerd makes no such name. Move it away";
                return Err(DockerError::in_the_way(dir.join(name), why));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A file's text; `None` where there is no such file. Its atime stays. A symlink is not followed, and a fifo
/// or a device in its place not waited for.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, DockerError> {
    let read = read_file(rustix::fs::CWD, path.as_os_str().as_bytes());
    let text = read.and_then(|(bytes, _)| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(DockerError::io(path)),
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
