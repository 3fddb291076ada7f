//! Why a manifest cannot be used, or written.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::fs::escape::escaped;
use crate::guidance::Guidance;
use crate::journal::private_file::PrivateFileError;
use crate::journal::record::NewerFormat;

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
    #[error("{path}: line {line}: {reason}. {}", Guidance::NewManifest, path = escaped(path))]
    Bad {
        /// The manifest.
        path: PathBuf,
        /// Line number, from 1.
        line: u64,
        /// What is wrong.
        reason: ManifestLineError,
    },
    /// It is of a migration, which is planned again for each run.
    #[error("{path}: was made by `idshift docker`: it is for reading only. Run `idshift docker migrate` or `idshift docker revert` itself", path = escaped(path))]
    Steps {
        /// The manifest.
        path: PathBuf,
    },
    /// It is not what it was when it was read.
    #[error("{path}: was changed while it was read, so it is not what was reviewed. Nothing was done", path = escaped(path))]
    Changed {
        /// The manifest.
        path: PathBuf,
    },
    /// There is no summary at the end.
    #[error("{path}: is incomplete: it does not end in a summary line. {}", Guidance::NewManifest, path = escaped(path))]
    CutOff {
        /// The manifest.
        path: PathBuf,
    },
}

/// What is wrong with a line of a manifest.
#[derive(Debug, Error)]
pub enum ManifestLineError {
    /// There is no line at all.
    #[error("the file is empty")]
    Empty,
    /// Written by a later version.
    #[error(transparent)]
    Newer(#[from] NewerFormat),
    /// It is no JSON, or its fields are not those of its kind.
    #[error(transparent)]
    Json(serde_json::Error),
    /// The first line is another one.
    #[error("the first line is not a header")]
    NoHeader,
    /// A manifest has one header.
    #[error("a second header")]
    SecondHeader,
    /// The summary is the last line.
    #[error("it comes after the summary, which must be the last line")]
    AfterSummary,
    /// No path and no file in a step is so long.
    #[error("the line is too long to be one of a manifest")]
    TooLong,
    /// A path that the header does not name a tree for.
    #[error("its path is not below a root of the manifest")]
    OutsideRoots,
    /// A name that is not a plain path component.
    #[error("{0:?} is not the name of a file")]
    NotAName(PathBuf),
}

/// Why a manifest cannot be written.
#[derive(Debug, Error)]
pub enum ManifestOutputError {
    /// The stream cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file cannot be written anew.
    #[error(transparent)]
    File(#[from] PrivateFileError),
}
