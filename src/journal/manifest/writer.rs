//! Writing a manifest.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use super::error::ManifestOutputError;
use super::is_compressed;
use crate::journal::private_file;

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
        let file = private_file::create(path)?;
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
