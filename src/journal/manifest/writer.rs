//! Writing a manifest.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::error::ManifestOutputError;
use super::is_compressed;

/// Where a manifest goes.
pub struct ManifestWriter {
    out: Out,
}

enum Out {
    Plain(Box<dyn Write + Send>),
    Zstd(zstd::stream::write::Encoder<'static, File>),
}

impl ManifestWriter {
    /// Into a file, compressed when its name ends in `.zst`.
    ///
    /// # Errors
    /// [`ManifestOutputError`]
    pub fn file(path: &Path) -> Result<ManifestWriter, ManifestOutputError> {
        let file = create_private(path)?;
        let out = if is_compressed(path) {
            let mut encoder = zstd::stream::write::Encoder::new(file, 0)?;
            encoder.include_checksum(true)?;
            Out::Zstd(encoder)
        } else {
            Out::Plain(Box::new(file))
        };
        Ok(ManifestWriter { out })
    }

    /// Into any stream.
    pub fn stream(stream: Box<dyn Write + Send>) -> ManifestWriter {
        ManifestWriter {
            out: Out::Plain(stream),
        }
    }

    /// Writes whole lines.
    pub fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        match &mut self.out {
            Out::Plain(out) => out.write_all(lines),
            Out::Zstd(out) => out.write_all(lines),
        }
    }

    /// Ends the manifest.
    pub fn finish(self) -> io::Result<()> {
        match self.out {
            Out::Plain(mut out) => out.flush(),
            Out::Zstd(out) => out.finish().and_then(|file| file.sync_data()),
        }
    }
}

/// Opens a file that nobody but its owner can read, before the first byte is in it: a manifest of a migration holds the
/// environment of containers. What is no regular file (a pipe, a terminal) is written to as it is.
fn create_private(path: &Path) -> Result<File, ManifestOutputError> {
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
    // Root may write to anybody's file, and its owner may read it whatever its mode is.
    if there.uid() != nix::unistd::geteuid().as_raw() {
        return Err(ManifestOutputError::OfAnotherUser(there.uid()));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}
