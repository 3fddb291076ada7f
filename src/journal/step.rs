//! What a run does besides changing owners: directories made and removed, entries renamed, small
//! files rewritten.

mod content;
mod describe;
mod path;
mod places;

use serde::{Deserialize, Serialize};

use super::name::Name;
use crate::fs::Identity;
use crate::ownership::{Mode, Ownership};

pub use self::content::{Content, sha256};
pub use self::path::{Move, MovedPath, StepPath, path_after_move};

/// What the name of a copy begins with that is made for a run.
pub const COPY: &str = "idshift-copy-";

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
        /// Owner and group before and after; left out where they stay.
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
        content: Content,
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
    /// A directory that only root enters is renamed into a directory of a user's, then gets its owner: that user, who
    /// comes to what is in it from then on. Undone, it is root's again first, so that nobody comes to it any more, and
    /// then renamed back.
    HandOver {
        /// Where it was.
        from: StepPath,
        /// Where it goes.
        to: StepPath,
        /// An entry of it, by which it is known.
        entry: Name,
        /// That entry's inode.
        #[serde(flatten)]
        identity: Identity,
        /// What it is like where it was.
        closed: NewDirectory,
        /// What it is like where it goes.
        open: NewDirectory,
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
    /// Makes sure that a file holds what the steps were planned with. Undo: nothing.
    Expect {
        /// Where.
        at: StepPath,
        /// SHA-256 of its content, hexadecimal.
        sha256: String,
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
    /// Owner and group; left out where they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
}

impl Step {
    /// What was made before the run and is removed when the step is undone, and whether with
    /// everything in it.
    pub fn staged(&self) -> Option<(&StepPath, bool)> {
        match self {
            Step::Staged { at, whole, .. } => Some((at, *whole)),
            _ => None,
        }
    }

    /// The content of the file that it creates or removes.
    pub fn file_content(&self) -> Option<&[u8]> {
        match self {
            Step::Create { content, .. } => Some(&content.0),
            Step::Remove { content, .. }
            | Step::Block { content, .. }
            | Step::Unblock { content, .. } => Some(content.as_bytes()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
