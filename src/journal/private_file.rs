//! Files that the operator names to be written: manifests and report pages. They hold what only root may read, and
//! never take the place of a journal.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::frame::MAGIC;

/// Why a private file is not written.
#[derive(Debug, Error)]
pub enum PrivateFileError {
    /// It cannot be made or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its owner could read it, whatever its mode is.
    #[error(
        "is there and belongs to user {0}, who could read what is private. Remove it, or name another file"
    )]
    OfAnotherUser(u32),
    /// Without it, a run cannot be undone.
    #[error(
        "is a journal of idshift, which is needed to undo a run. Name another file. `idshift journal list` lists the journals, \
         and `idshift journal prune` removes those that are not needed any more"
    )]
    Journal,
    /// It is an input of what is written.
    #[error("is the file that this command reads. Name another file")]
    Input,
}

/// Opens a file that nobody but its owner can read, before the first byte is in it, and empties it. What is no regular
/// file (a pipe, a terminal) is written to as it is.
///
/// # Errors
/// [`PrivateFileError`]: the old file is unchanged.
pub fn create(path: &Path) -> Result<File, PrivateFileError> {
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let there = file.metadata()?;
    if !there.is_file() {
        return Ok(file);
    }
    check_replaceable(path, &there)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

/// Writes a file that nobody but its owner can read; one that is there is replaced when the new one is whole.
/// `inputs`: what it is made from.
///
/// # Errors
/// [`PrivateFileError`]: the old file is unchanged.
pub fn replace(path: &Path, content: &[u8], inputs: &[PathBuf]) -> Result<(), PrivateFileError> {
    if let Some(there) = metadata(path)? {
        if !there.is_file() {
            let mut file = File::options().write(true).open(path)?;
            return Ok(file.write_all(content)?);
        }
        check_replaceable(path, &there)?;
        for input in inputs {
            let input = fs::metadata(input)?;
            if (input.dev(), input.ino()) == (there.dev(), there.ino()) {
                return Err(PrivateFileError::Input);
            }
        }
    }
    // A symlink stays, and what it leads to is replaced.
    let path = match fs::canonicalize(path) {
        Ok(there) => there,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_path_buf(),
        Err(error) => return Err(error.into()),
    };
    let new = new_name(&path);
    let written = write_new(&new, content).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        // What went wrong first is what counts.
        let _ = fs::remove_file(&new);
    }
    Ok(written?)
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_replaceable(path: &Path, there: &Metadata) -> Result<(), PrivateFileError> {
    // Root may write to anybody's file, and its owner may read it whatever its mode is.
    if there.uid() != nix::unistd::geteuid().as_raw() {
        return Err(PrivateFileError::OfAnotherUser(there.uid()));
    }
    let mut head = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut head)?;
    match head == MAGIC.to_le_bytes() {
        true => Err(PrivateFileError::Journal),
        false => Ok(()),
    }
}

/// A temporary name in the same directory, for a rename.
fn new_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}
