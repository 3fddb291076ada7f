//! A dry run's result, for a person and for a later run. `docs/formats.md` describes it.

use std::fs::{File, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::reader::FileVersion;
use super::record::{FORMAT, RootLine, WalkOptions};
use super::safe_path::{self, Distrust};
use super::{Name, Step};
use crate::fs::Identity;
use crate::fs::escape::escaped;
use crate::idmap::{Direction, IdMap};
use crate::ownership::{FileType, Flags, Ownership};

/// First line: what the dry run was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestHeader {
    /// Version of the format; the journal's number.
    pub format: u32,
    /// The program and its version.
    pub tool: String,
    /// When.
    pub time: Timestamp,
    /// Where.
    pub host: String,
    /// Which way ids go.
    pub direction: Direction,
    /// The map.
    pub map: IdMap,
    /// The trees.
    pub roots: Vec<RootLine>,
    /// How the walk was limited.
    pub walk: WalkOptions,
}

/// The path of a line: `path`, or `path_b64` where it is not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinePath {
    /// UTF-8.
    #[serde(rename = "path")]
    Text(String),
    /// Base64 of the bytes.
    #[serde(rename = "path_b64")]
    Bytes(String),
}

impl LinePath {
    /// For these bytes.
    pub fn new(bytes: &[u8]) -> LinePath {
        match std::str::from_utf8(bytes) {
            Ok(text) => LinePath::Text(text.to_string()),
            Err(_) => LinePath::Bytes(BASE64.encode(bytes)),
        }
    }

    /// The bytes.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        match self {
            LinePath::Text(text) => Ok(text.as_bytes().to_vec()),
            LinePath::Bytes(text) => BASE64.decode(text).map_err(|error| error.to_string()),
        }
    }
}

/// An inode that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    /// Absolute path.
    #[serde(flatten)]
    pub path: LinePath,
    /// Kind of inode.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Inode.
    #[serde(flatten)]
    pub identity: Identity,
    /// What it has.
    pub before: Ownership,
    /// What it would get.
    pub after: Ownership,
    /// Flags that are cleared while it is changed, and put back after (format 2).
    #[serde(default, skip_serializing_if = "Flags::is_empty")]
    pub flags: Flags,
}

/// An inode that cannot be shifted, and why; or one that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteLine {
    /// Absolute path.
    #[serde(flatten)]
    pub path: LinePath,
    /// What kind of trouble: `unmapped`, `failed`, `mount`.
    pub note: String,
    /// Why, for people.
    pub reason: String,
}

/// Last line: a manifest without it was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryLine {
    /// Inodes met.
    pub seen: u64,
    /// Inodes that would change.
    pub changed: u64,
    /// Inodes that are on the target side.
    pub already_shifted: u64,
    /// Inodes with an id outside the map.
    pub unmapped: u64,
    /// Inodes that cannot be shifted for another reason.
    pub failed: u64,
}

/// Any line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ManifestLine {
    /// First.
    Header(Box<ManifestHeader>),
    /// One inode.
    Change(Box<ChangeLine>),
    /// What is done besides changing owners.
    Step(Box<Step>),
    /// One that stays as it is.
    Note(NoteLine),
    /// Last.
    Summary(SummaryLine),
}

impl ManifestLine {
    /// The line and its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain data with string keys: nothing that could fail.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could have written it.
    #[error(
        "{path}: {reason}, so somebody else could have written it, and what it lists would be done. \
         If you know that it is as it was reviewed: chown it to the user that runs idshift, and chmod go-w",
        path = escaped(path)
    )]
    NotTrusted {
        /// The manifest.
        path: PathBuf,
        /// What makes it so.
        reason: String,
    },
    /// A line is not what it should be.
    #[error("{path}: line {line}: {reason}. Make a new one with `idshift shift --dry-run --manifest FILE`", path = escaped(path))]
    Bad {
        /// The manifest.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// It is of a migration, which is worked out anew each time.
    #[error("{path}: was made by `idshift docker`: it is for reading only. Run `idshift docker migrate` or `idshift docker revert` itself", path = escaped(path))]
    Steps {
        /// The manifest.
        path: PathBuf,
    },
    /// It is not what it was when it was read.
    #[error("{path}: was written anew while it was read, so it is not what was reviewed; nothing was done", path = escaped(path))]
    Changed {
        /// The manifest.
        path: PathBuf,
    },
    /// There is no summary at the end.
    #[error("{path}: was cut off: it does not end in a summary line. Make a new one with `idshift shift --dry-run --manifest FILE`", path = escaped(path))]
    CutOff {
        /// The manifest.
        path: PathBuf,
    },
}

fn as_of(path: &Path) -> Result<FileVersion, ManifestError> {
    let metadata = std::fs::metadata(path).map_err(|source| ManifestError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(FileVersion::of(&metadata))
}

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
    pub fn file(path: &Path) -> io::Result<ManifestWriter> {
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
fn create_private(path: &Path) -> io::Result<File> {
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
        let owner = there.uid();
        return Err(io::Error::other(format!(
            "is there and belongs to user {owner}, who could read what is private. Remove it, or name another file"
        )));
    }
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(0)?;
    Ok(file)
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "zst")
}

/// A manifest that has been read through once and is whole.
#[derive(Debug)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    as_of: FileVersion,
    /// What the dry run was asked.
    pub header: ManifestHeader,
    /// Inodes it would change.
    pub changes: u64,
    /// Inodes it says cannot be shifted.
    pub troubles: u64,
}

impl Manifest {
    /// Reads it through: every line is understood and the last is its summary.
    pub fn open(path: &Path) -> Result<Manifest, ManifestError> {
        let as_of = as_of(path)?;
        let mut header = None;
        let mut changes = 0;
        let mut troubles = 0;
        let mut whole = false;
        let mut last = 0;
        for line in lines(path)? {
            let (number, line) = line?;
            last = number;
            let bad = |reason: &str| ManifestError::Bad {
                path: path.to_path_buf(),
                line: number,
                reason: reason.to_string(),
            };
            if whole {
                return Err(bad("it stands behind the summary, which is the last line"));
            }
            match line {
                ManifestLine::Header(line) if header.is_none() && number == 1 => {
                    header = Some(*line);
                }
                ManifestLine::Header(_) => return Err(bad("a second header")),
                _ if header.is_none() => return Err(bad("the first line is not a header")),
                ManifestLine::Change(_) => changes += 1,
                ManifestLine::Step(_) => {
                    return Err(ManifestError::Steps {
                        path: path.to_path_buf(),
                    });
                }
                ManifestLine::Note(note) => troubles += u64::from(note.note != "mount"),
                ManifestLine::Summary(_) => whole = true,
            }
        }
        match header {
            Some(header) if whole => Ok(Manifest {
                path: path.to_path_buf(),
                as_of,
                header,
                changes,
                troubles,
            }),
            _ if last == 0 => Err(ManifestError::Bad {
                path: path.to_path_buf(),
                line: 1,
                reason: "the file is empty".into(),
            }),
            _ => Err(ManifestError::CutOff {
                path: path.to_path_buf(),
            }),
        }
    }

    /// Its changes, in order: each with the number of its root and the names from there.
    pub fn changes(
        &self,
    ) -> Result<impl Iterator<Item = Result<Reviewed, ManifestError>> + '_, ManifestError> {
        Ok(lines(&self.path)?.filter_map(|line| match line {
            Ok((number, ManifestLine::Change(change))) => Some(self.reviewed(number, *change)),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    /// Makes sure that what was read of it until now is what it was when it was opened.
    ///
    /// # Errors
    /// [`ManifestError::Changed`].
    pub fn check_unchanged(&self) -> Result<(), ManifestError> {
        match as_of(&self.path)? == self.as_of {
            true => Ok(()),
            false => Err(ManifestError::Changed {
                path: self.path.clone(),
            }),
        }
    }

    fn reviewed(&self, line: u64, change: ChangeLine) -> Result<Reviewed, ManifestError> {
        let bad = |reason: String| ManifestError::Bad {
            path: self.path.clone(),
            line,
            reason,
        };
        let path = change.path.bytes().map_err(&bad)?;
        let below = |root: &RootLine| {
            let rest = path.strip_prefix(&root.path.0[..])?;
            match rest.split_first() {
                None => Some(Vec::new()),
                Some((b'/', rest)) => Some(
                    rest.split(|&b| b == b'/')
                        .map(|n| Name(n.to_vec()))
                        .collect(),
                ),
                Some(_) => None,
            }
        };
        let found = self
            .header
            .roots
            .iter()
            .enumerate()
            .find_map(|(n, root)| Some((n, below(root)?)));
        let Some((root, names)) = found else {
            return Err(bad("its path is below none of the manifest's roots".into()));
        };
        let plain = |name: &Name| name.is_component() && name.0 != b".";
        if let Some(name) = names.iter().find(|name| !plain(name)) {
            return Err(bad(format!(
                "{:?} is not the name of a file",
                name.as_path()
            )));
        }
        Ok(Reviewed {
            root,
            names,
            change,
        })
    }
}

/// A change out of a manifest.
#[derive(Clone, Debug)]
pub struct Reviewed {
    /// Number of its root.
    pub root: usize,
    /// The names from the root; none for the root itself.
    pub names: Vec<Name>,
    /// The line.
    pub change: ChangeLine,
}

type Numbered = Result<(u64, ManifestLine), ManifestError>;

/// The lines of a manifest file with their numbers, from 1.
fn lines(path: &Path) -> Result<impl Iterator<Item = Numbered> + use<>, ManifestError> {
    let io = {
        let path = path.to_path_buf();
        move |source| ManifestError::Io {
            path: path.clone(),
            source,
        }
    };
    let file = safe_path::open_handed_over(path).map_err(|distrust| match distrust {
        Distrust::Io(error) => io(error),
        Distrust::Reason(reason) => ManifestError::NotTrusted {
            path: path.to_path_buf(),
            reason,
        },
    })?;
    let reader: Box<dyn BufRead> = if is_compressed(path) {
        let decoder = zstd::stream::read::Decoder::new(file).map_err(&io)?;
        Box::new(BufReader::new(decoder))
    } else {
        Box::new(BufReader::new(file))
    };
    let path = path.to_path_buf();
    Ok(reader.split(b'\n').zip(1..).map(move |(text, number)| {
        let text = text.map_err(|error| match error.kind() {
            // zstd says so of a stream that ends too soon.
            io::ErrorKind::UnexpectedEof => ManifestError::CutOff { path: path.clone() },
            _ => io(error),
        })?;
        let bad = |reason: String| ManifestError::Bad {
            path: path.clone(),
            line: number,
            reason,
        };
        if number == 1 {
            check_format(&text).map_err(&bad)?;
        }
        let line = serde_json::from_slice(&text).map_err(|error| match error.is_eof() {
            true => ManifestError::CutOff { path: path.clone() },
            false => bad(error.to_string()),
        })?;
        Ok((number, line))
    }))
}

/// Looks at the version alone, before the rest, which a later version may have changed.
fn check_format(text: &[u8]) -> Result<(), String> {
    let value: serde_json::Value = serde_json::from_slice(text).unwrap_or_default();
    match value["format"].as_u64() {
        Some(format) if format > u64::from(FORMAT) => Err(format!(
            "is in format {format}, this idshift reads up to {FORMAT}"
        )),
        _ => Ok(()),
    }
}
