//! What a report says.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::tree::Tree;
use crate::fs::escape::escaped;
use crate::journal::Name;

/// The verdict of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grade {
    /// Nothing stands in the way, or all is done.
    Good,
    /// Something is to be looked at.
    Warning,
    /// Something stands in the way, or is left undone.
    Bad,
}

/// A table that people sort and filter.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// What is in it.
    pub title: String,
    /// A sentence above it.
    pub note: Option<String>,
    /// The columns.
    pub columns: Vec<String>,
    /// The rows, of as many cells.
    pub rows: Vec<Vec<String>>,
    /// So many more are not listed.
    pub more: u64,
}

/// A report.
#[derive(Debug)]
pub struct Report {
    /// `idshift docker migrate on host, 2026-01-02`.
    pub title: String,
    /// The verdict.
    pub grade: Grade,
    /// The verdict in a sentence.
    pub verdict: String,
    /// Names and values: map, host, time.
    pub facts: Vec<(String, String)>,
    /// Inodes by directory, where there are inodes.
    pub tree: Option<Tree>,
    /// What is left or refused, and why.
    pub problems: Option<Table>,
    /// All else.
    pub tables: Vec<Table>,
}

/// `1234567` as `1,234,567`.
pub fn count_text(n: u64) -> String {
    indicatif::HumanCount(n).to_string()
}

/// Rows of a table at most: a page with more helps nobody.
pub const MOST_ROWS: usize = 2000;

impl Table {
    /// Without rows.
    pub fn new(title: &str, columns: &[&str]) -> Table {
        Table {
            title: title.to_string(),
            columns: columns.iter().map(ToString::to_string).collect(),
            ..Table::default()
        }
    }

    /// Adds a row, or counts it where there are enough.
    pub fn push(&mut self, row: Vec<String>) {
        match self.rows.len() < MOST_ROWS {
            true => self.rows.push(row),
            false => self.more += 1,
        }
    }
}

/// A path of an object of idshift that is not UTF-8 (`docs/json.md`), as any other.
pub(super) fn encoded_path(value: &Value) -> Option<String> {
    let object = value.as_object().map(|_| value)?;
    let name = Name::deserialize(object).ok()?;
    Some(shown(&name.0))
}

/// A name of any bytes, on one line.
pub(super) fn shown(bytes: &[u8]) -> String {
    escaped(Path::new(OsStr::from_bytes(bytes))).to_string()
}
