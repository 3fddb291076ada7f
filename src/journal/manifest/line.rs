//! The lines of a manifest. `docs/formats.md` describes them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::fs::Identity;
use crate::idmap::{Direction, IdMap};
use crate::journal::name::Name;
use crate::journal::record::WalkOptions;
use crate::journal::root_line::RootLine;
use crate::journal::step::Step;
use crate::ownership::{FileType, Flags, Ownership};

/// First line: what the dry run was asked to do.
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
    /// Direction of the mapping.
    pub direction: Direction,
    /// The map.
    pub map: IdMap,
    /// The trees.
    pub roots: Vec<RootLine>,
    /// Options of the walk.
    pub walk: WalkOptions,
}

/// An inode that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeLine {
    /// Absolute path.
    pub path: Name,
    /// Kind of inode.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Inode.
    #[serde(flatten)]
    pub identity: Identity,
    /// Its hard links, where it has more than one; the others are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<u32>,
    /// What it has.
    pub before: Ownership,
    /// What it would get.
    pub after: Ownership,
    /// Flags that are cleared while it is changed, and set again after.
    #[serde(default, skip_serializing_if = "Flags::is_empty")]
    pub flags: Flags,
}

/// An inode that cannot be shifted, and why; or one that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteLine {
    /// Absolute path.
    pub path: Name,
    /// Its hard links, where it has more than one; the others are not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub links: Option<u32>,
    /// What kind of trouble: `unmapped`, `failed`, `mount`.
    pub note: String,
    /// Why, for people.
    pub reason: String,
}

/// Last line: a manifest without it was cut off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryLine {
    /// Inodes seen.
    pub seen: u64,
    /// Inodes that would change.
    pub changed: u64,
    /// Inodes that are on the target side.
    pub already_shifted: u64,
    /// Inodes with an id outside the map.
    pub unmapped: u64,
    /// Inodes that cannot be shifted for another reason.
    pub failed: u64,
    /// Why a real run would have been refused when the dry run was made, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would_refuse: Vec<String>,
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
