//! `/etc/subuid` and `/etc/subgid` (`subuid(5)`).

use thiserror::Error;

use super::map::IdMap;
use super::range::{Range, RangeError, decimal};
use super::range_map::{RangeMap, RangeMapError};
use crate::guidance::Guidance;

/// The user whose lines dockerd reads for `--userns-remap=default`.
pub const DEFAULT_USER: &str = "dockremap";

/// One line: ids that a user may use in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubidLine {
    /// Line number, from 1.
    pub line_no: usize,
    /// Login name, or uid in digits.
    pub owner: String,
    /// First id.
    pub start: u32,
    /// How many.
    pub count: u32,
}

/// One of the two files, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubidFile {
    name: String,
    lines: Vec<SubidLine>,
}

/// What is wrong with a file, or why it has no map for a user.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SubidError {
    /// A line is not `user:start:count`.
    #[error(
        "{file}: line {line_no}: {text:?} is not USER:START:COUNT, as in dockremap:100000:65536"
    )]
    Line {
        /// The file.
        file: String,
        /// Line number, from 1.
        line_no: usize,
        /// The line.
        text: String,
    },
    /// The user has no line.
    #[error(
        "{file}: no line for user {user}. {}",
        Guidance::NameMapOrGiveRange { kind, user }
    )]
    NoLine {
        /// The file.
        file: String,
        /// The user.
        user: String,
        /// `uid` or `gid`.
        kind: &'static str,
    },
    /// The ids of a line are no range.
    #[error("{file}: line {line_no}: {error}")]
    Range {
        /// The file.
        file: String,
        /// Line number, from 1.
        line_no: usize,
        /// Why.
        error: RangeError,
    },
    /// The user's lines do not stand in ascending order.
    #[error(
        "{file}: lines {first} and {second} of user {user} are not in ascending order, and engines differ in what that means. {}",
        Guidance::OrderOrNameMap
    )]
    Order {
        /// The file.
        file: String,
        /// The user.
        user: String,
        /// Line number of the higher range.
        first: usize,
        /// Line number of the lower range behind it.
        second: usize,
    },
    /// Some lines name the user by name and some by number.
    #[error(
        "{file}: lines {named} and {numbered} are both of user {user}, once by name and once by uid, and engines differ in \
         which count (Docker 20.10 takes those with the uid only, later ones all). Keep one kind"
    )]
    Mixed {
        /// The file.
        file: String,
        /// The user.
        user: String,
        /// Line number of one with the name.
        named: usize,
        /// Line number of one with the uid.
        numbered: usize,
    },
    /// Two lines of the user share ids.
    #[error("{file}: the lines of user {user} overlap: {error}")]
    Overlap {
        /// The file.
        file: String,
        /// The user.
        user: String,
        /// Which.
        error: RangeMapError,
    },
}

/// Which engine will read the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubidReader {
    /// Some engine: lines that engines read differently are refused.
    Any,
    /// Docker, which takes lines as they stand since 18.09.7 (moby #39288: before, sorted).
    Docker,
}

impl SubidFile {
    /// Reads a file's text. Blank lines and lines that begin with `#` are ignored; CRLF and a
    /// missing last newline are accepted.
    ///
    /// # Errors
    /// A line that is not `user:start:count`; it is most likely an error of editing.
    pub fn parse(text: &[u8], file_name: &str) -> Result<SubidFile, SubidError> {
        let mut lines = Vec::new();
        for (i, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let bad = || SubidError::Line {
                file: file_name.to_string(),
                line_no: i + 1,
                text: String::from_utf8_lossy(line).into_owned(),
            };
            let text = std::str::from_utf8(line).map_err(|_| bad())?;
            let parts: Vec<&str> = text.split(':').collect();
            let [owner, start, count] = parts[..] else {
                return Err(bad());
            };
            let (Some(start), Some(count)) = (decimal(start), decimal(count)) else {
                return Err(bad());
            };
            if owner.is_empty() {
                return Err(bad());
            }
            lines.push(SubidLine {
                line_no: i + 1,
                owner: owner.to_string(),
                start,
                count,
            });
        }
        Ok(SubidFile {
            name: file_name.to_string(),
            lines,
        })
    }

    /// All lines, in the file's order.
    pub fn lines(&self) -> &[SubidLine] {
        &self.lines
    }

    /// The lines of a user, by name or by uid.
    pub fn lines_for(&self, name: &str, uid: Option<u32>) -> Vec<SubidLine> {
        let is_owner = |line: &&SubidLine| {
            line.owner == name || (uid.is_some() && decimal(&line.owner) == uid)
        };
        self.lines.iter().filter(is_owner).cloned().collect()
    }

    /// The user's lines as one map: container ids count up from 0 over the lines.
    ///
    /// Engines differ in the order they take lines in (Docker as they stand; containers/storage
    /// sorts). Lines that stand in ascending order mean the same to all of them; others are not
    /// guessed at.
    fn map_for(
        &self,
        user: &str,
        uid: Option<u32>,
        kind: &'static str,
        reader: SubidReader,
    ) -> Result<RangeMap, SubidError> {
        let lines = self.lines_for(user, uid);
        if lines.is_empty() {
            return Err(SubidError::NoLine {
                file: self.name.clone(),
                user: user.to_string(),
                kind,
            });
        }
        let is_named = |line: &&SubidLine| line.owner == user;
        let numbered = lines.iter().find(|line| !is_named(line));
        if let (Some(named), Some(numbered)) = (lines.iter().find(is_named), numbered) {
            return Err(SubidError::Mixed {
                file: self.name.clone(),
                user: user.to_string(),
                named: named.line_no,
                numbered: numbered.line_no,
            });
        }
        let descends = lines.windows(2).find(|pair| pair[0].start > pair[1].start);
        if let (SubidReader::Any, Some([a, b])) = (reader, descends) {
            return Err(SubidError::Order {
                file: self.name.clone(),
                user: user.to_string(),
                first: a.line_no,
                second: b.line_no,
            });
        }
        let mut container = 0u32;
        let mut ranges = Vec::new();
        for line in lines {
            let range = Range::new(container, line.start, line.count);
            ranges.push(range.map_err(|error| SubidError::Range {
                file: self.name.clone(),
                line_no: line.line_no,
                error,
            })?);
            container += line.count;
        }
        RangeMap::new(ranges).map_err(|error| SubidError::Overlap {
            file: self.name.clone(),
            user: user.to_string(),
            error,
        })
    }
}

/// The map of a user's lines in both files.
///
/// # Errors
/// Names the file; where the user has no line, also both ways out.
pub fn map_from_subid(
    user: &str,
    uid: Option<u32>,
    subuid: &SubidFile,
    subgid: &SubidFile,
    reader: SubidReader,
) -> Result<IdMap, SubidError> {
    let uids = subuid.map_for(user, uid, "uid", reader)?;
    let gids = subgid.map_for(user, uid, "gid", reader)?;
    Ok(IdMap::new(uids, gids))
}

#[cfg(test)]
mod tests;
