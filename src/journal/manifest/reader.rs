//! Reading a manifest.

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use super::error::{ManifestError, ManifestLineError};
use super::is_compressed;
use super::line::{ChangeLine, ManifestHeader, ManifestLine};
use crate::journal::file_version::FileVersion;
use crate::journal::name::Name;
use crate::journal::record::check_format;
use crate::journal::root_line::RootLine;
use crate::journal::safe_path::{self, Distrust};

/// A manifest that has been read through once and is whole.
#[derive(Debug)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    version: FileVersion,
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
        let version = version_now(path)?;
        let mut header = None;
        let mut changes = 0;
        let mut troubles = 0;
        let mut is_whole = false;
        for line in lines(path)? {
            match line?.1 {
                ManifestLine::Header(line) => header = Some(*line),
                ManifestLine::Change(_) => changes += 1,
                ManifestLine::Step(_) => {
                    return Err(ManifestError::Steps {
                        path: path.to_path_buf(),
                    });
                }
                ManifestLine::Note(note) => troubles += u64::from(note.note != "mount"),
                ManifestLine::Summary(_) => is_whole = true,
            }
        }
        match header {
            Some(header) if is_whole => Ok(Manifest {
                path: path.to_path_buf(),
                version,
                header,
                changes,
                troubles,
            }),
            None => Err(ManifestError::Bad {
                path: path.to_path_buf(),
                line: 1,
                reason: ManifestLineError::Empty,
            }),
            Some(_) => Err(ManifestError::CutOff {
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
        match version_now(&self.path)? == self.version {
            true => Ok(()),
            false => Err(ManifestError::Changed {
                path: self.path.clone(),
            }),
        }
    }

    fn reviewed(&self, line: u64, change: ChangeLine) -> Result<Reviewed, ManifestError> {
        let bad = |reason| ManifestError::Bad {
            path: self.path.clone(),
            line,
            reason,
        };
        let below = |root: &RootLine| {
            let rest = change.path.0.strip_prefix(&root.path.0[..])?;
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
            return Err(bad(ManifestLineError::OutsideRoots));
        };
        let plain = |name: &Name| name.is_component() && name.0 != b".";
        if let Some(name) = names.iter().find(|name| !plain(name)) {
            return Err(bad(ManifestLineError::NotAName(name.clone().into())));
        }
        Ok(Reviewed {
            root,
            names,
            change,
        })
    }
}

fn version_now(path: &Path) -> Result<FileVersion, ManifestError> {
    let metadata = std::fs::metadata(path).map_err(|source| ManifestError::Io {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(FileVersion::of(&metadata))
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

/// Bytes of a line at most: a path may have any depth, and all of a step's file may be in its line.
const LONGEST_LINE: u64 = 256 << 20;

/// The lines of a manifest file with their numbers, from 1: a header comes first, and nothing after a summary.
///
/// # Errors
/// [`ManifestError`]. That there is no summary at the end is for the caller to see.
pub fn lines(path: &Path) -> Result<impl Iterator<Item = Numbered> + use<>, ManifestError> {
    let io = |source| ManifestError::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = safe_path::open_handed_over(path).map_err(|distrust| match distrust {
        Distrust::Io(error) => io(error),
        Distrust::Reason(reason) => ManifestError::NotTrusted {
            path: path.to_path_buf(),
            reason,
        },
    })?;
    let reader: Box<dyn BufRead> = if is_compressed(path) {
        let decoder = zstd::stream::read::Decoder::new(file).map_err(io)?;
        Box::new(BufReader::new(decoder))
    } else {
        Box::new(BufReader::new(file))
    };
    let mut lines = Lines {
        path: path.to_path_buf(),
        reader,
        number: 0,
        is_over: false,
    };
    Ok(std::iter::from_fn(move || lines.next_line()))
}

/// A manifest as it is read line by line.
struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    number: u64,
    /// The summary was read.
    is_over: bool,
}

impl Lines {
    fn next_line(&mut self) -> Option<Numbered> {
        let mut text = Vec::new();
        let read = (&mut self.reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut text);
        self.number += 1;
        match read {
            Ok(0) => None,
            Ok(_) => Some(self.line(&text).map(|line| (self.number, line))),
            // zstd says so of a stream that ends too soon.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Some(Err(ManifestError::CutOff {
                    path: self.path.clone(),
                }))
            }
            Err(source) => Some(Err(ManifestError::Io {
                path: self.path.clone(),
                source,
            })),
        }
    }

    fn line(&mut self, text: &[u8]) -> Result<ManifestLine, ManifestError> {
        let bad = |reason| ManifestError::Bad {
            path: self.path.clone(),
            line: self.number,
            reason,
        };
        if self.is_over {
            return Err(bad(ManifestLineError::AfterSummary));
        }
        if !text.ends_with(b"\n") && text.len() as u64 >= LONGEST_LINE {
            return Err(bad(ManifestLineError::TooLong));
        }
        let is_first = self.number == 1;
        if is_first {
            check_format(text).map_err(|newer| bad(newer.into()))?;
        }
        let line = serde_json::from_slice(text).map_err(|error| match error.is_eof() {
            true => ManifestError::CutOff {
                path: self.path.clone(),
            },
            false => bad(ManifestLineError::Json(error)),
        })?;
        match (is_first, matches!(line, ManifestLine::Header(_))) {
            (true, false) => return Err(bad(ManifestLineError::NoHeader)),
            (false, true) => return Err(bad(ManifestLineError::SecondHeader)),
            _ => {}
        }
        self.is_over = matches!(line, ManifestLine::Summary(_));
        Ok(line)
    }
}
