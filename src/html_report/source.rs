//! What a report is made of.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use serde_json::{Map, Value};

use super::contents::Report;
use super::error::ReportError;
use super::{audit, journal, manifest};
use crate::journal::frame::MAGIC as FRAME_MAGIC;

/// Begins a zstd frame (RFC 8878), and so a compressed manifest.
const ZSTD_MAGIC: u32 = 0xFD2F_B528;

/// The `format` of an audit's object (docs/formats.md).
const AUDIT_FORMAT: u64 = 1;

/// An audit's object is read whole.
const LARGEST_AUDIT: u64 = 64 << 20;

/// What a file is, by how it begins.
pub(super) enum ReportSource {
    Manifest,
    Journal,
    /// What `docker audit --json` printed.
    Audit(Map<String, Value>),
}

/// Makes the report of a manifest, of what an audit printed, or of a journal.
///
/// # Errors
/// [`ReportError`]
pub fn report_of(path: &Path) -> Result<Report, ReportError> {
    match ReportSource::of(path)? {
        ReportSource::Manifest => manifest::read(path),
        ReportSource::Journal => journal::read(path),
        ReportSource::Audit(object) => Ok(audit::report(&object)),
    }
}

impl ReportSource {
    pub(super) fn of(path: &Path) -> Result<ReportSource, ReportError> {
        let failed = |source| ReportError::Io {
            path: path.to_path_buf(),
            source,
        };
        // Nobody writes into a pipe: it would be waited for.
        let mut file = File::options()
            .read(true)
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(ReportError::bad(path, "it is not a regular file"));
        }
        let mut head = [0; 4];
        let read = file.read(&mut head).map_err(failed)?;
        if read == head.len() && u32::from_le_bytes(head) == FRAME_MAGIC {
            return Ok(ReportSource::Journal);
        }
        if read == head.len() && u32::from_le_bytes(head) == ZSTD_MAGIC {
            return Ok(ReportSource::Manifest);
        }
        file.rewind().map_err(failed)?;
        let mut first = Vec::new();
        let line = BufReader::new(&file)
            .take(LARGEST_AUDIT)
            .read_until(b'\n', &mut first);
        line.map_err(failed)?;
        match serde_json::from_slice(&first) {
            Ok(Value::Object(object))
                if object.get("kind").is_some_and(|kind| kind == "header") =>
            {
                Ok(ReportSource::Manifest)
            }
            Ok(Value::Object(object))
                if object
                    .get("command")
                    .is_some_and(|command| command == "docker audit") =>
            {
                check_format(path, &object)?;
                Ok(ReportSource::Audit(object))
            }
            Ok(_) => Err(ReportError::bad(path, "it is another kind of JSON")),
            Err(error) => Err(ReportError::bad(
                path,
                format!("its first line is not JSON: {error}"),
            )),
        }
    }
}

/// An audit by a later version may mean something else.
fn check_format(path: &Path, audit: &Map<String, Value>) -> Result<(), ReportError> {
    match audit.get("format").and_then(Value::as_u64) {
        Some(AUDIT_FORMAT) => Ok(()),
        Some(format) => Err(ReportError::bad(
            path,
            format!("it is an audit in format {format}, this idshift reads {AUDIT_FORMAT}"),
        )),
        None => Err(ReportError::bad(
            path,
            "it is an audit that does not say its format",
        )),
    }
}
