//! What a run does besides changing owners: directories made and removed, entries renamed, small
//! files rewritten.

mod describe;
mod format;
mod path;

use serde::{Deserialize, Serialize};

use super::line_error::LineError;
use super::name::Name;
use crate::fs::Identity;
use crate::ownership::{Mode, Ownership};

pub use self::format::steps_format;
pub use self::path::{Move, MovedPath, StepPath, path_after_move};

/// Owner and mode of a directory or file that a step makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDirectory {
    /// Owner, a host id.
    pub uid: u32,
    /// Group, a host id.
    pub gid: u32,
    /// Permission bits.
    pub mode: Mode,
}

/// One step. Steps are taken in the journal's order and undone in the opposite order. Owners are changed after
/// the first [`Header::steps_before`](super::record::Header::steps_before) of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Step {
    /// A directory comes into being; undone, an empty one goes.
    MakeDir {
        /// Where.
        at: StepPath,
        /// What it is made like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// An empty directory goes; undone, it is made anew.
    RemoveDir {
        /// Where.
        at: StepPath,
        /// What it was like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// An entry gets another place on the same filesystem; nobody's place is taken.
    Rename {
        /// Where it was.
        from: StepPath,
        /// Where it goes.
        to: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
    },
    /// A file gets other content. Its mode and extended attributes stay, its inode does not.
    Rewrite {
        /// Where.
        at: StepPath,
        /// What it held.
        before: FileContent,
        /// What it holds.
        after: FileContent,
    },
    /// A symlink gets another target. Its inode does not stay.
    Relink {
        /// Where.
        at: StepPath,
        /// Where it led, as it said.
        before: Name,
        /// Where it leads, as it says.
        after: Name,
        /// Time of its last modification, nanoseconds since 1970.
        mtime_ns: i64,
        /// Owner and group before and after; left out where they stay (format 5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owners: Option<[(u32, u32); 2]>,
    },
    /// One inode gets another ownership, and nothing below it does.
    SetOwnership {
        /// Where.
        at: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// Before.
        before: Ownership,
        /// After.
        after: Ownership,
    },
    /// A file comes into being; undone, it goes if nobody wrote to it.
    Create {
        /// Where.
        at: StepPath,
        /// What it holds.
        content: String,
        /// What it is made like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// A file goes; undone, it is made anew.
    Remove {
        /// Where.
        at: StepPath,
        /// What it holds.
        content: String,
        /// What it is like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// An entry gets another place, and in the same moment a file takes the place it had: a guard, which
    /// keeps a daemon that needs a directory there from starting.
    Block {
        /// Where it was, and the guard is.
        from: StepPath,
        /// Where it goes.
        to: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// What the guard holds.
        content: String,
    },
    /// An entry takes the place of a guard: the opposite of [`Step::Block`].
    Unblock {
        /// Where it was.
        from: StepPath,
        /// Where the guard was, and it goes.
        to: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// What the guard holds.
        content: String,
    },
    /// Nothing is done: it was made before the run, in a directory that was made for what the run puts into
    /// place. Undone, it goes: a file, a symlink, or a directory that is empty by then.
    Staged {
        /// Where.
        at: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// A directory that goes with all in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole: bool,
    },
    /// A directory comes into being that nobody can put anything into (`chattr +i`); undone, it goes.
    MakeMountPoint {
        /// Where.
        at: StepPath,
        /// What it is made like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Such a directory goes; undone, it is made anew.
    RemoveMountPoint {
        /// Where.
        at: StepPath,
        /// What it was like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// A directory is mounted on another one with exchanged owners: container ids of the run's map on disk are seen as
    /// host ids, and host ids as container ids. Undone, it is unmounted.
    MountExchanged {
        /// Which directory.
        source: StepPath,
        /// Where it is mounted.
        at: StepPath,
        /// What its time of last modification is set to before, nanoseconds since 1970: another one tells that
        /// somebody worked in it.
        mtime_ns: i64,
    },
    /// The same is unmounted; undone, it is mounted.
    UnmountExchanged {
        /// Which directory.
        source: StepPath,
        /// Where it is mounted.
        at: StepPath,
    },
    /// Nothing is done; undone, a directory gets back the time of its last modification.
    Times {
        /// Which directory. No names: the root itself.
        at: StepPath,
        /// Nanoseconds since 1970.
        mtime_ns: i64,
    },
}

/// What a rewritten file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// All of it.
    pub text: String,
    /// Time of its last modification, nanoseconds since 1970; left out where the time of writing
    /// will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime_ns: Option<i64>,
    /// Owner and group; left out where they stay (format 5).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
}

impl Step {
    /// The places it is about.
    pub fn places(&self) -> Vec<&StepPath> {
        match self {
            Step::MakeDir { at, .. }
            | Step::RemoveDir { at, .. }
            | Step::Rewrite { at, .. }
            | Step::Relink { at, .. }
            | Step::SetOwnership { at, .. }
            | Step::Create { at, .. }
            | Step::Remove { at, .. }
            | Step::Staged { at, .. }
            | Step::MakeMountPoint { at, .. }
            | Step::RemoveMountPoint { at, .. }
            | Step::Times { at, .. } => vec![at],
            Step::MountExchanged { at, source, .. } | Step::UnmountExchanged { at, source } => {
                vec![at, source]
            }
            Step::Rename { from, to, .. }
            | Step::Block { from, to, .. }
            | Step::Unblock { from, to, .. } => vec![from, to],
        }
    }

    /// The entry that it gives another place.
    pub fn moved(&self) -> Option<MovedPath<'_>> {
        match self {
            Step::Rename { from, to, identity }
            | Step::Block {
                from, to, identity, ..
            }
            | Step::Unblock {
                from, to, identity, ..
            } => Some(MovedPath {
                from,
                to,
                identity: *identity,
            }),
            _ => None,
        }
    }

    /// What was made before the run and goes when the step is undone, and whether with all in it.
    pub fn staged(&self) -> Option<(&StepPath, bool)> {
        match self {
            Step::Staged { at, whole, .. } => Some((at, *whole)),
            _ => None,
        }
    }

    /// Where it renames an entry from.
    pub fn renamed_from(&self) -> Option<&StepPath> {
        match self {
            Step::Rename { from, .. } => Some(from),
            _ => None,
        }
    }

    /// What the file holds that it puts into a place or takes away from one.
    pub fn file_content(&self) -> Option<&str> {
        match self {
            Step::Create { content, .. }
            | Step::Remove { content, .. }
            | Step::Block { content, .. }
            | Step::Unblock { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Whether its places are plain ways below the `roots` that there are.
    ///
    /// # Errors
    /// Which is not.
    pub fn check(&self, roots: usize) -> Result<(), LineError> {
        let may_be_root = matches!(self, Step::SetOwnership { .. } | Step::Times { .. });
        self.places().into_iter().try_for_each(|place| {
            if place.path.is_empty() && !may_be_root {
                return Err(LineError::NoName);
            }
            place.check(roots)
        })
    }
}

#[cfg(test)]
mod tests;
