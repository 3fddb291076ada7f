//! Configuration files of Podman and its libraries, read as root.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::fs::escape::shell_word;
use crate::fs::file_ops::read_file;
use crate::store_move::MoveError;

/// A file of the system. Root made it, so symlinks are followed. `None`: there is none.
///
/// # Errors
/// It cannot be read.
pub(super) fn of_system(path: &Path) -> Result<Option<Vec<u8>>, MoveError> {
    found(path, std::fs::read(path))
}

/// A user's file. `None`: there is none.
///
/// # Errors
/// It cannot be read, or is a symlink: it could lead to a file that the user may not read.
pub(super) fn of_user(path: &Path) -> Result<Option<Vec<u8>>, MoveError> {
    if path.is_symlink() {
        let word = shell_word(path);
        let why = format!(
            "is a symlink, which root does not follow in the home of a user. Put the file itself there: as that user, run `cp \
             --remove-destination \"$(readlink -f {word})\" {word}`"
        );
        return Err(MoveError::in_the_way(path, why));
    }
    let read = read_file(rustix::fs::CWD, path.as_os_str().as_bytes());
    found(path, read.map(|(bytes, _)| bytes))
}

fn found(path: &Path, read: io::Result<Vec<u8>>) -> Result<Option<Vec<u8>>, MoveError> {
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some).map_err(MoveError::io(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_symlink_of_the_system_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(of_system(&link).unwrap(), Some(b"text".to_vec()));
        assert_eq!(of_user(&file).unwrap(), Some(b"text".to_vec()));
        let error = of_user(&link).unwrap_err().to_string();
        let place = link.display();
        assert!(
            error.starts_with(&format!("{place}: is a symlink")),
            "{error}"
        );
        assert!(
            error.contains(&format!("$(readlink -f {place})")),
            "{error}"
        );
        let none = dir.path().join("none");
        assert_eq!(
            (of_system(&none).unwrap(), of_user(&none).unwrap()),
            (None, None)
        );
    }
}
