//! Paths and numbers as people can read them.

use std::path::Path;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

pub use super::table::{columns, table};
use crate::fs::escape::escaped;
pub use crate::fs::escape::{one_line, shell_word};

/// Text of several lines that is harmless for a terminal. Names in it were escaped by [`one_line`]
/// or `fs::escape` before, so that only the program makes new lines.
pub fn printable(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(one_line).collect();
    lines.join("\n")
}

/// A path on one line of a terminal.
pub fn path(path: &Path) -> String {
    escaped(path).to_string()
}

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// `1 inode`, `2 inodes`.
pub fn inodes(n: u64) -> String {
    match n {
        1 => "1 inode".into(),
        _ => format!("{} inodes", count(n)),
    }
}

/// Bytes as B, KiB, MiB, GiB.
pub fn bytes(n: u64) -> String {
    HumanBytes(n).to_string()
}

/// `0.42 s`, `71 s`.
pub fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds < 10.0 {
        true => format!("{seconds:.2} s"),
        false => format!("{seconds:.0} s"),
    }
}
