//! The text of `daemon.json`, as the dockerd of this host reads it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::value::RawValue;

use crate::docker::{DockerError, Reason};
use crate::host::runtime;

/// Which dockerd reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DockerdReader {
    /// Before 23: of several JSON objects the first counts; a byte order mark or an empty file is an error.
    Before23,
    /// From 23 on: exactly one JSON object, UTF-8 or with a byte order mark; an empty file says nothing.
    From23,
}

impl DockerdReader {
    pub(super) fn of_host() -> DockerdReader {
        match runtime::dockerd().and_then(|docker| docker.major()) {
            Some(major) if major < 23 => DockerdReader::Before23,
            _ => DockerdReader::From23,
        }
    }
}

/// The file's text, without a byte order mark. The reader matters only to what is out of the ordinary.
pub(super) fn decoded(
    bytes: &[u8],
    reader: &impl Fn() -> DockerdReader,
    path: &Path,
) -> Result<String, DockerError> {
    let refuse = |what: &'static str| {
        Err(DockerError::in_the_way(
            path,
            Reason::RefusedByDockerd(what),
        ))
    };
    let units = |pair: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..]
            .chunks_exact(2)
            .map(|two| pair([two[0], two[1]]))
            .collect()
    };
    let text = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        [0xff, 0xfe, ..] => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        _ => {
            let text = String::from_utf8(bytes.to_vec()).ok();
            let is_empty = text.as_ref().is_some_and(|text| text.trim().is_empty());
            return match text {
                Some(_) if is_empty && reader() == DockerdReader::Before23 => refuse("is empty"),
                Some(text) => Ok(text),
                None => refuse("is neither UTF-8 nor UTF-16"),
            };
        }
    };
    match text {
        Some(text) if reader() == DockerdReader::From23 => Ok(text),
        Some(_) => refuse("begins with a byte order mark"),
        None => refuse("is neither UTF-8 nor UTF-16"),
    }
}

/// Settings by name, values as they are written; of a name that is there twice the last counts.
pub(super) type Settings = IndexMap<String, Box<RawValue>>;

pub(super) fn first_object(
    text: &str,
    reader: &impl Fn() -> DockerdReader,
) -> serde_json::Result<Settings> {
    if text.trim().is_empty() {
        return Ok(Settings::new());
    }
    let mut objects = serde_json::Deserializer::from_str(text).into_iter::<Option<Settings>>();
    let first = objects.next().transpose()?.flatten().unwrap_or_default();
    let rest = &text[objects.byte_offset()..];
    match rest.trim().is_empty() || reader() == DockerdReader::Before23 {
        true => Ok(first),
        // For its message about what follows.
        false => serde_json::from_str(text),
    }
}

/// What a regular file holds; `None` where it is not there. A fifo is not waited for.
pub(super) fn read_regular(path: &Path) -> Result<Option<Vec<u8>>, DockerError> {
    let io = || DockerError::io(path);
    let mut options = File::options();
    let opened = options
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(path);
    let mut file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io())?,
    };
    if !file.metadata().map_err(io())?.is_file() {
        return Err(DockerError::in_the_way(path, Reason::NoRegularFile));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(io())?;
    Ok(Some(bytes))
}
