//! The JSON lines of a journal. `docs/formats.md` describes them for people.

mod dir_line;
mod format;
mod header;
mod run_kind;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::dir_line::{DirLine, Entry};
pub use self::format::{FORMAT, NewerFormat, check_format};
pub use self::header::{Allowed, CrossedMount, Header, WalkOptions};
pub use self::run_kind::RunKind;
use super::line_error::LineError;
use super::step::Step;
use super::transition::Transition;
use crate::ownership::{Change, FileType, Flags, Ownership};

/// A kind of change, defined once in a frame. Later lines refer to it by its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLine {
    /// Its number. A later line with the same number replaces it.
    pub n: u32,
    /// Kind of inode.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Ownership before.
    pub before: Ownership,
    /// Ownership after.
    pub after: Ownership,
    /// Flags that are cleared while it is changed, and set again after.
    #[serde(default, skip_serializing_if = "Flags::is_empty")]
    pub flags: Flags,
}

impl OwnLine {
    /// The change it stands for.
    pub fn transition(self) -> Transition {
        Transition {
            file_type: self.file_type,
            change: Change {
                before: self.before,
                after: self.after,
            },
            held: self.flags,
        }
    }
}

/// A change of the state of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The journal is complete; nothing is changed yet.
    Listed,
    /// Every owner is changed and on the disk; the late steps begin.
    Stepping,
    /// The next step gives what was carried to a user, who may change it from then on.
    HandingOver,
    /// What a user had was taken away again, and is as the run left it.
    TakenBack,
    /// What a user had was taken away, and is as it was when it was read.
    TakenOver,
    /// The run stopped early, on request.
    Interrupted,
    /// A resume has begun.
    Resumed,
    /// Everything is done.
    Finished,
    /// A rollback has begun.
    Undoing,
    /// The rollback has ended.
    Undone,
}

/// The line of a [`Mark`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkLine {
    /// Which.
    pub mark: Mark,
    /// Inodes that were left as they were: failures and conflicts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left: u64,
    /// The part of `left` that was not what the journal says. It was not touched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflicts: u64,
    /// Inodes and steps that the journal names up to this line.
    #[serde(flatten)]
    pub named: NameCounts,
    /// When.
    pub time: Timestamp,
}

/// How many inodes and steps a journal, or a frame of it, names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCounts {
    /// Inodes whose ownership changes.
    pub inodes: u64,
    /// Steps beside that.
    pub steps: u64,
}

impl std::ops::AddAssign for NameCounts {
    fn add_assign(&mut self, more: NameCounts) {
        self.inodes += more.inodes;
        self.steps += more.steps;
    }
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Any line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// `{"kind":"header",…}`
    Header(Box<Header>),
    /// `{"kind":"own",…}`
    Own(Box<OwnLine>),
    /// `{"kind":"dir",…}`
    Dir(DirLine),
    /// `{"kind":"step",…}`
    Step(Box<Step>),
    /// `{"kind":"mark",…}`
    Mark(MarkLine),
}

#[derive(Deserialize)]
struct LineKind<'a> {
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
struct WithKind<'a, T> {
    kind: &'static str,
    #[serde(flatten)]
    line: &'a T,
}

impl Record {
    /// Reads one line, without its newline.
    ///
    /// # Errors
    /// What is wrong with it. A newer format is told from the header's number, by whoever reads the header.
    pub fn parse(text: &[u8]) -> Result<Record, LineError> {
        let kind: LineKind = serde_json::from_slice(text).map_err(LineError::NotARecord)?;
        let bad_fields = |source: serde_json::Error| LineError::Fields {
            kind: kind.kind.to_string(),
            source,
        };
        match kind.kind.as_ref() {
            "header" => serde_json::from_slice(text)
                .map(Record::Header)
                .map_err(bad_fields),
            "own" => serde_json::from_slice(text)
                .map(Record::Own)
                .map_err(bad_fields),
            "dir" => {
                let line: DirLine = serde_json::from_slice(text).map_err(bad_fields)?;
                line.check()?;
                Ok(Record::Dir(line))
            }
            "step" => serde_json::from_slice(text)
                .map(Record::Step)
                .map_err(bad_fields),
            "mark" => serde_json::from_slice(text)
                .map(Record::Mark)
                .map_err(bad_fields),
            other => Err(LineError::UnknownKind(other.to_string())),
        }
    }

    /// The line and its newline.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = match self {
            Record::Header(line) => with_kind("header", &**line),
            Record::Own(line) => with_kind("own", &**line),
            Record::Dir(line) => with_kind("dir", line),
            Record::Step(line) => with_kind("step", &**line),
            Record::Mark(line) => with_kind("mark", line),
        };
        bytes.push(b'\n');
        bytes
    }
}

fn with_kind<T: Serialize>(kind: &'static str, line: &T) -> Vec<u8> {
    // Every line type is plain data with string keys: there is nothing that could fail.
    serde_json::to_vec(&WithKind { kind, line }).unwrap_or_default()
}

/// The lines of some text, without their newlines.
pub(super) fn split_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
}
