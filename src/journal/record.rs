//! The JSON lines of a journal. `docs/formats.md` describes them for people.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::line_error::LineError;
use super::name::Name;
use super::root_line::RootLine;
use super::step::Step;
use super::transition::Transition;
use crate::fs::Identity;
use crate::idmap::{Direction, IdMap};
use crate::ownership::{Change, FileType, Flags, Ownership};

/// The latest format of journals and manifests. This program reads it and all before it, and writes
/// the earliest that says what is to be said.
pub const FORMAT: u32 = 5;

/// First line of a journal: what the run was asked to do, enough to go on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// The program and its version, for people.
    pub tool: String,
    /// The journal's id.
    pub id: String,
    /// When the run began.
    pub time: Timestamp,
    /// Where it ran.
    pub host: String,
    /// The subcommand that made it.
    pub command: RunKind,
    /// Which way ids go.
    pub direction: Direction,
    /// The map.
    pub map: IdMap,
    /// The trees.
    pub roots: Vec<RootLine>,
    /// How the walk was limited.
    pub walk: WalkOptions,
    /// All that is to be done is journalled before the first of it is done, and there is nothing
    /// to walk for: a reviewed manifest, or the plan of a migration.
    #[serde(
        default,
        alias = "from_manifest",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub listed_first: bool,
    /// So many of the first steps are taken before any owner is changed, and undone after all are (format 3).
    #[serde(default, skip_serializing_if = "is_none")]
    pub steps_before: usize,
}

impl Header {
    /// The paths of the trees whose owners are changed.
    pub fn tree_paths(&self) -> Vec<&std::path::Path> {
        let trees = self.roots.iter().filter(|root| !root.steps_only);
        trees.map(|root| root.path.as_path()).collect()
    }

    /// Whether its trees are plain absolute paths.
    ///
    /// # Errors
    /// [`LineError::NotAbsolute`]: one is not.
    pub fn check(&self) -> Result<(), LineError> {
        let is_plain = |path: &Name| match path.0.split_first() {
            Some((b'/', [])) => true,
            Some((b'/', rest)) => rest
                .split(|&byte| byte == b'/')
                .all(|name| Name(name.to_vec()).is_component() && name != b"."),
            _ => false,
        };
        match self.roots.iter().find(|root| !is_plain(&root.path)) {
            Some(root) => Err(LineError::NotAbsolute(root.path.clone().into())),
            None => Ok(()),
        }
    }

    /// The trees are a service's own, which must not run meanwhile.
    pub fn is_of_service(&self) -> bool {
        self.command.is_of_service()
    }
}

/// The subcommand that a run is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum RunKind {
    /// `idshift shift`
    Shift,
    /// `idshift prepare`
    Prepare,
    /// `idshift docker migrate`
    DockerMigrate,
    /// `idshift docker revert`
    DockerRevert,
    /// `idshift docker rebase`
    DockerRebase,
    /// One that this version does not have.
    Other {
        /// As the record has it.
        name: String,
        /// Its trees are a service's own.
        is_of_service: bool,
    },
}

impl RunKind {
    /// The trees are a service's own, which must not run meanwhile.
    pub fn is_of_service(&self) -> bool {
        match self {
            RunKind::Shift | RunKind::Prepare => false,
            RunKind::DockerMigrate | RunKind::DockerRevert | RunKind::DockerRebase => true,
            RunKind::Other { is_of_service, .. } => *is_of_service,
        }
    }

    /// As records, JSON and messages have it.
    pub fn name(&self) -> &str {
        match self {
            RunKind::Shift => "shift",
            RunKind::Prepare => "prepare",
            RunKind::DockerMigrate => "docker migrate",
            RunKind::DockerRevert => "docker revert",
            RunKind::DockerRebase => "docker rebase",
            RunKind::Other { name, .. } => name,
        }
    }
}

impl From<String> for RunKind {
    fn from(name: String) -> RunKind {
        let known = [
            RunKind::Shift,
            RunKind::Prepare,
            RunKind::DockerMigrate,
            RunKind::DockerRevert,
            RunKind::DockerRebase,
        ];
        let known = known.into_iter().find(|known| known.name() == name);
        known.unwrap_or_else(|| RunKind::Other {
            is_of_service: name.starts_with("docker "),
            name,
        })
    }
}

impl From<RunKind> for String {
    fn from(kind: RunKind) -> String {
        kind.name().to_string()
    }
}

/// What decides which inodes a walk meets, and what it does about trouble.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkOptions {
    /// Globs of what is left out, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Mount points are crossed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cross_mounts: bool,
    /// What cannot be shifted is reported and left.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_going: bool,
    /// No id is taken for already shifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assume_unshifted: bool,
    /// Inodes that have names outside of the trees are changed too. Older journals do not say.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outside_links: bool,
    /// What is immutable or append-only is changed all the same, and made so again (format 2).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_flags: bool,
}

impl WalkOptions {
    /// The format that a record of such a run is in: a program that knows no flags must not undo one
    /// that cleared some.
    pub fn format(&self) -> u32 {
        match self.clear_flags {
            true => 2,
            false => 1,
        }
    }
}

/// A kind of change, defined once in a frame and named by its number from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnLine {
    /// Its number. A later line with the same number takes its place.
    pub n: u32,
    /// Kind of inode.
    #[serde(rename = "type")]
    pub file_type: FileType,
    /// Ownership before.
    pub before: Ownership,
    /// Ownership after.
    pub after: Ownership,
    /// Flags that are cleared while it is changed, and put back after (format 2).
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

/// Inodes of one directory that are about to be changed, in columns: the i-th of each belong
/// together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirLine {
    /// Which root.
    pub root: usize,
    /// How many names of the previous directory's way, from the root, this one's begins with.
    pub keep: usize,
    /// The names that follow.
    pub path: Vec<Name>,
    /// Names; `.` is the directory itself and occurs only at the root.
    pub names: Vec<Name>,
    /// Inode numbers: the first, then differences to the one before.
    pub inos: Vec<i64>,
    /// Birth times in milliseconds, likewise; left out where none is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub borns: Vec<i64>,
    /// Numbers of [`OwnLine`]s.
    pub owns: Vec<u32>,
}

/// One inode of a [`DirLine`], its columns put together again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name in the directory.
    pub name: &'a Name,
    /// Its inode.
    pub identity: Identity,
    /// Number of its [`OwnLine`].
    pub own: u32,
}

impl DirLine {
    /// Whether the columns are of one length and the names are names: what [`Record::parse`] makes
    /// sure of.
    fn check(&self) -> Result<(), LineError> {
        let count = self.names.len();
        let of_one_length = self.inos.len() == count
            && self.owns.len() == count
            && (self.borns.len() == count || self.borns.is_empty());
        if !of_one_length {
            return Err(LineError::Columns);
        }
        let top = self.keep == 0 && self.path.is_empty();
        let plain = |name: &Name| name.is_component() && name.0 != b".";
        let bad_component = self.path.iter().find(|name| !plain(name));
        let bad_name = self
            .names
            .iter()
            .find(|name| !(plain(name) || top && name.0 == b"."));
        match bad_component.or(bad_name) {
            Some(name) => Err(LineError::NotAName {
                kind: "dir",
                name: name.clone().into(),
            }),
            None => Ok(()),
        }
    }

    /// Its inodes.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut ino = 0i64;
        let mut born = 0i64;
        self.names.iter().enumerate().map(move |(i, name)| {
            ino = ino.wrapping_add(self.inos[i]);
            born = born.wrapping_add(self.borns.get(i).copied().unwrap_or(0));
            Entry {
                name,
                identity: Identity {
                    ino: ino as u64,
                    born,
                },
                own: self.owns[i],
            }
        })
    }
}

/// A turn in the journal's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Everything that is to be done is in the journal; nothing of it is done yet.
    Listed,
    /// Every owner is changed and on the disk; from here on steps are taken.
    Stepping,
    /// The run stopped early, on request.
    Interrupted,
    /// The run goes on.
    Resumed,
    /// Everything is done.
    Finished,
    /// From here on things are being undone.
    Undoing,
    /// Everything is undone that could be.
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
    /// Of those, the ones that were not what the journal says, and were not touched.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub conflicts: u64,
    /// What the journal names up to here; none in those of older versions.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub named: Option<NameCounts>,
    /// When.
    pub time: Timestamp,
}

/// What a journal, or a frame of it, names.
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

fn is_none(count: &usize) -> bool {
    *count == 0
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
struct Kind<'a> {
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
        let kind: Kind = serde_json::from_slice(text).map_err(LineError::NotARecord)?;
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
