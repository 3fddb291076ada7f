//! Why a line of a journal is refused.

use std::path::PathBuf;

use thiserror::Error;

/// Why a line of a journal, or a path in it, is refused.
#[derive(Debug, Error)]
pub enum LineError {
    /// It is not a JSON object with a `kind`.
    #[error(transparent)]
    NotARecord(serde_json::Error),
    /// Its fields are not those of its kind.
    #[error("{kind} line: {source}")]
    Fields {
        /// The kind of line.
        kind: String,
        /// Which field, and where.
        source: serde_json::Error,
    },
    /// Of a kind that this version does not know.
    #[error("unknown kind of line \"{0}\"")]
    UnknownKind(String),
    /// A journal has one header.
    #[error("a second header")]
    SecondHeader,
    /// The path of a tree is relative, or leads through `.` or `..`.
    #[error("header line: {0:?} is not the absolute path of a tree")]
    NotAbsolute(PathBuf),
    /// The columns of a dir line belong together.
    #[error("dir line: its columns differ in length")]
    Columns,
    /// A dir line keeps more names than the path before it has.
    #[error("dir line: `keep` is {keep}, but the path before it has {depth} names")]
    SharedNames {
        /// The value of `keep`.
        keep: usize,
        /// How many names the path before it has.
        depth: usize,
    },
    /// A dir line names a change that its frame does not define.
    #[error("dir line: there is no own line {0}")]
    NoChange(u32),
    /// It names a tree that the header does not have.
    #[error("{kind} line: there is no root {root}")]
    NoRoot {
        /// The kind of line.
        kind: &'static str,
        /// The number of the tree.
        root: usize,
    },
    /// A name that is not a plain path component.
    #[error("{kind} line: {name:?} is not the name of a file")]
    NotAName {
        /// The kind of line.
        kind: &'static str,
        /// The name.
        name: PathBuf,
    },
    /// A step at the root of a tree, where it must be below one.
    #[error("step line: a path without a name")]
    NoName,
}
