//! The kinds of entries that dockerd makes. dockerd follows symlinks, as root: a log that is one would be written elsewhere.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::docker::DockerError;
use crate::docker::data_root::{DockerRoot, names, read_text};
use crate::docker::rootless::place::stat_of;
use crate::docker::steps::CONTAINERS;
use crate::fs::escape::shell_word;

/// What dockerd makes for itself in a directory of volumes or layers, and makes anew.
pub(super) const OF_DAEMON: [&str; 2] = ["metadata.db", "backingFsBlockDev"];

/// Refuses entries that dockerd does not make: below `containers` and `image`, anything but directories and files; of a
/// volume, anything but its directory.
///
/// # Errors
/// The first of them.
pub(super) fn check(root: &DockerRoot, taken: &[String]) -> Result<(), DockerError> {
    for name in taken {
        let top = root.path.join(name);
        if !is_directory(&top) {
            return Err(not_dockers(&top));
        }
        check_mode(&top)?;
        if [CONTAINERS, "image"].contains(&name.as_str())
            && let Some(path) = first_not_plain(&top)?
        {
            return Err(not_dockers(&path));
        }
    }
    check_volumes(&root.path.join("volumes"))
}

/// The first below this directory that is neither a directory nor a file with one name: a container could write to the
/// other one, in a volume.
///
/// # Errors
/// Something cannot be read.
pub(crate) fn first_not_plain(top: &Path) -> Result<Option<PathBuf>, DockerError> {
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for name in names(&dir)? {
            let path = dir.join(name);
            let found = path.symlink_metadata().map_err(DockerError::io(&path))?;
            match (found.is_dir(), found.is_file()) {
                (true, _) => dirs.push(path),
                (_, true) if found.nlink() == 1 => {}
                _ => return Ok(Some(path)),
            }
        }
    }
    Ok(None)
}

fn check_volumes(top: &Path) -> Result<(), DockerError> {
    for name in names(top)? {
        let volume = top.join(&name);
        if OF_DAEMON.contains(&name.as_str()) {
            continue;
        }
        let refused = |path: &Path| {
            let why = format!(
                "is not what dockerd makes for a volume whose content is in the data-root, and root's daemon could be led \
                 elsewhere by it. Remove the volume in the rootless daemon: `docker volume rm {}`",
                shell_word(Path::new(&name))
            );
            Err(DockerError::in_the_way(path, why))
        };
        if !is_directory(&volume) || !is_volume_name(&name) {
            return refused(&volume);
        }
        for entry in names(&volume)? {
            let path = volume.join(&entry);
            match entry.as_str() {
                "_data" if is_directory(&path) => {}
                // Options of a volume name directories of the host, and what is mounted on it.
                "opts.json" if has_no_options(&path)? => {}
                _ => return refused(&path),
            }
        }
    }
    Ok(())
}

/// Nobody else may enter it than with a plain daemon: set-id programs are in there.
fn check_mode(top: &Path) -> Result<(), DockerError> {
    let most = match top.ends_with("volumes") {
        true => 0o711,
        false => 0o710,
    };
    let mode = stat_of(top)?.mode;
    match mode.bits() & !most {
        0 => Ok(()),
        _ => Err(DockerError::in_the_way(
            top,
            format!(
                "has mode {mode}, and dockerd makes it with {most:04o} at most. `chmod {most:o} {}`",
                shell_word(top)
            ),
        )),
    }
}

/// As dockerd has it (`names.RestrictedNamePattern`), and Podman (`define.NameRegex`).
pub(crate) fn is_volume_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.bytes().all(is_fine)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}

fn has_no_options(file: &Path) -> Result<bool, DockerError> {
    let text = read_text(file)?.unwrap_or_default();
    Ok(["null", "{}"].contains(&text.trim()))
}

pub(crate) fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}

fn not_dockers(path: &Path) -> DockerError {
    let why = "is not what dockerd makes, and root's daemon could be led elsewhere by it. Remove the container or image that has \
               it in the rootless daemon";
    DockerError::in_the_way(path, why)
}
