//! Files of an engine's, read as they are: no symlink is followed, and their atime stays.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;

use super::MoveError;
use crate::fs::dir::open_dir;
use crate::fs::file_ops::read_file;

/// Names of a directory, sorted; of one that is not there, none.
///
/// # Errors
/// It cannot be read, or has a name that no engine makes.
pub fn names(dir: &Path) -> Result<Vec<String>, MoveError> {
    let failed = |errno: Errno| MoveError::io(dir)(errno.into());
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
                let why = "no container engine makes such a name. Move it away";
                return Err(MoveError::in_the_way(dir.join(name), why));
            }
        }
    }
    names.sort();
    Ok(names)
}

/// A file's text; `None` where there is no such file. A fifo or a device in its place is not waited for.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub fn read_text(path: &Path) -> Result<Option<String>, MoveError> {
    let read = read_file(rustix::fs::CWD, path.as_os_str().as_bytes());
    let text = read.and_then(|(bytes, _)| {
        String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    });
    match text {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some).map_err(MoveError::io(path)),
    }
}

/// Whether a directory is there, and no symlink to one.
pub fn is_directory(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.is_dir())
}
