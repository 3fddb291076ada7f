//! Why there is no report.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::fs::escape::escaped;
use crate::guidance::Guidance;
use crate::journal::JournalError;
use crate::journal::manifest::ManifestError;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = escaped(path))]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is a manifest that cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is a journal that cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A report cannot be made of it.
    #[error(
        "{path}: {reason}. {}",
        Guidance::SourcesOfReport, path = escaped(path)
    )]
    Bad {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

impl ReportError {
    pub(super) fn bad(path: &Path, reason: impl Into<String>) -> ReportError {
        ReportError::Bad {
            path: path.to_path_buf(),
            reason: reason.into(),
        }
    }
}
