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
    /// Creates a directory. Undo: removes it if it is empty.
    MakeDir {
        /// Where.
        at: StepPath,
        /// Its owner and mode.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Removes an empty directory. Undo: creates it again.
    RemoveDir {
        /// Where.
        at: StepPath,
        /// What it was like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Renames an entry within a filesystem. Never replaces an entry that exists.
    Rename {
        /// Where it was.
        from: StepPath,
        /// Where it goes.
        to: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
    },
    /// Replaces the content of a file. Its mode and extended attributes stay, its inode does not.
    Rewrite {
        /// Where.
        at: StepPath,
        /// What it held.
        before: FileContent,
        /// What it holds.
        after: FileContent,
    },
    /// Replaces the target of a symlink. Its inode does not stay.
    Relink {
        /// Where.
        at: StepPath,
        /// Its target before.
        before: Name,
        /// Its target after.
        after: Name,
        /// Time of its last modification, nanoseconds since 1970.
        mtime_ns: i64,
        /// Owner and group before and after; left out where they stay (format 5).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        owners: Option<[(u32, u32); 2]>,
    },
    /// Changes the ownership of one inode, and of nothing below it.
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
    /// Creates a file. Undo: removes it if nobody wrote to it.
    Create {
        /// Where.
        at: StepPath,
        /// What it holds.
        content: String,
        /// Its owner and mode.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Removes a file. Undo: creates it again.
    Remove {
        /// Where.
        at: StepPath,
        /// What it holds.
        content: String,
        /// What it is like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Renames an entry, and at the same moment puts a file in its old place: the guard, which
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
    /// Renames an entry to the place of the guard, and removes the guard: the opposite of
    /// [`Step::Block`].
    Unblock {
        /// Where it was.
        from: StepPath,
        /// Where the guard was: the new path of the entry.
        to: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// What the guard holds.
        content: String,
    },
    /// Does nothing: the entry was made before the run, in a staging directory. Undo: removes it: a
    /// file, a symlink, or a directory that is empty by then.
    Staged {
        /// Where.
        at: StepPath,
        /// Its inode.
        #[serde(flatten)]
        identity: Identity,
        /// Undo removes the directory with everything in it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        whole: bool,
    },
    /// Creates an empty, immutable directory (`chattr +i`). Undo: removes it.
    MakeMountPoint {
        /// Where.
        at: StepPath,
        /// Its owner and mode.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Removes such a directory. Undo: creates it again.
    RemoveMountPoint {
        /// Where.
        at: StepPath,
        /// What it was like.
        #[serde(flatten)]
        made: NewDirectory,
    },
    /// Mounts a directory on another one with exchanged owners: container ids of the run's map on
    /// disk are seen as host ids, and host ids as container ids. Undo: unmounts it.
    MountExchanged {
        /// Which directory.
        source: StepPath,
        /// Where it is mounted.
        at: StepPath,
        /// The mtime that it gets before the mount, nanoseconds since 1970. If it has another one
        /// later, somebody worked in it.
        mtime_ns: i64,
    },
    /// Unmounts such a mount. Undo: mounts it.
    UnmountExchanged {
        /// Which directory.
        source: StepPath,
        /// Where it is mounted.
        at: StepPath,
    },
    /// Does nothing. Undo: restores the mtime of a directory.
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
    /// The paths that it names.
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

    /// The entry that it renames.
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

    /// What was made before the run and is removed when the step is undone, and whether with
    /// everything in it.
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

    /// The content of the file that it creates or removes.
    pub fn file_content(&self) -> Option<&str> {
        match self {
            Step::Create { content, .. }
            | Step::Remove { content, .. }
            | Step::Block { content, .. }
            | Step::Unblock { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Checks that its paths are plain names below one of `roots` roots.
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
