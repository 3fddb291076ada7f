//! The kinds of entries that dockerd makes. dockerd follows symlinks, as root: a log that is one would be written elsewhere.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::data_root::{DockerRoot, names, read_text};
use crate::docker::path_owner::is_daemon_file;
use crate::docker::steps::CONTAINERS;
use crate::fs::escape::shell_word;
use crate::store_move::files::is_directory;
use crate::store_move::place::stat_of;
use crate::store_move::untrusted::{first_not_plain, is_plain_file, is_volume_name};

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

fn check_volumes(top: &Path) -> Result<(), DockerError> {
    for name in names(top)? {
        let volume = top.join(&name);
        if is_daemon_file(name.as_bytes()) {
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
                // Options of a volume name directories of the host, and what is mounted on it. A container could write to a
                // second name of the file, and the daemon reads it at its next start.
                "opts.json" if is_plain_file(&path) && has_no_options(&path)? => {}
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

fn has_no_options(file: &Path) -> Result<bool, DockerError> {
    let text = read_text(file)?.unwrap_or_default();
    Ok(["null", "{}"].contains(&text.trim()))
}

fn not_dockers(path: &Path) -> DockerError {
    let why = "is not what dockerd makes, and root's daemon could be led elsewhere by it. Remove the container or image that has \
               it in the rootless daemon";
    DockerError::in_the_way(path, why)
}
