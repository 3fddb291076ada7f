//! Kinds and names of entries. Engines follow symlinks, as root: a log that is one would be written elsewhere.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store_move::MoveError;
use crate::store_move::files::names;

/// The first below this directory that is neither a directory nor a file with one name: a container could write to the
/// other one, in a volume.
///
/// # Errors
/// Something cannot be read.
pub fn first_not_plain(top: &Path) -> Result<Option<PathBuf>, MoveError> {
    let mut dirs = vec![top.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for name in names(&dir)? {
            let path = dir.join(name);
            let found = path.symlink_metadata().map_err(MoveError::io(&path))?;
            match (found.is_dir(), found.is_file()) {
                (true, _) => dirs.push(path),
                (_, true) if found.nlink() == 1 => {}
                _ => return Ok(Some(path)),
            }
        }
    }
    Ok(None)
}

/// Whether this is a file with one name.
pub fn is_plain_file(path: &Path) -> bool {
    let found = path.symlink_metadata();
    found.is_ok_and(|found| found.is_file() && found.nlink() == 1)
}

/// As dockerd has it (`names.RestrictedNamePattern`), and Podman (`define.NameRegex`).
pub fn is_volume_name(name: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.bytes().all(is_fine)
        && name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric())
}
