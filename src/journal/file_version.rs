//! Whether a file is what it was when it was read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

/// A file at the time it began to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    place: (u64, u64),
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl FileVersion {
    pub(super) fn of(file: &Metadata) -> FileVersion {
        FileVersion {
            place: (file.dev(), file.ino()),
            length: file.len(),
            written: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
