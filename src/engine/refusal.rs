//! Why a run does not start.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::hardlinks::describe_outside_names;
use super::missing_tree::NotTheTree;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::root::RootError;
use crate::guidance::{CommandOptions, Guidance};
use crate::idmap::{IdMap, Overlap};
use crate::journal::JournalError;
use crate::journal::error::StoreError;
use crate::journal::manifest::ManifestError;
use crate::journal::manifest::error::ManifestOutputError;
use crate::journal::run_lock::LockError;
use crate::preflight::mount_views::MountViewError;
use crate::preflight::user_namespace::NoSuchId;
use crate::preflight::{PermanentBlocker, TransientBlocker};

/// Why a run does not start. Nothing was changed.
#[derive(Debug, Error)]
pub enum Refusal {
    /// A path cannot be a root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A check before the first change found something that time does not cure.
    #[error(transparent)]
    Permanent(#[from] PermanentBlocker),
    /// A check before the first change found something that is in the way now.
    #[error(transparent)]
    Transient(#[from] TransientBlocker),
    /// The trees are seen through idmapped mounts, or some files are seen twice.
    #[error(transparent)]
    MountView(#[from] MountViewError),
    /// Two of the paths are names of one file.
    #[error(
        "{second}: is the same file as {first}, which is named too. Name one of them{also}",
        second = escaped(second), first = escaped(first), also = and_allow_outside(*.needs_leave)
    )]
    SameFile {
        /// One of its names.
        first: PathBuf,
        /// Another one.
        second: PathBuf,
        /// Of a file with one more name, the run asks for leave then.
        needs_leave: bool,
    },
    /// One of the paths is inside another.
    #[error("{inner}: lies in {outer}, which is named too. Name only the outer one", inner = escaped(inner), outer = escaped(outer))]
    Nested {
        /// The one inside.
        inner: PathBuf,
        /// The one around it.
        outer: PathBuf,
    },
    /// The two sides of the map overlap.
    #[error(
        "the map {map}: {overlap}, so an id does not tell whether a file is already shifted. {}",
        if_known(*.is_verified, path)
    )]
    Undecidable {
        /// The first tree.
        path: PathBuf,
        /// The map.
        map: IdMap,
        /// Where its sides overlap.
        overlap: Overlap,
        /// The trees are only looked at.
        is_verified: bool,
    },
    /// The namespace lacks an id.
    #[error(transparent)]
    NoSuchId(#[from] NoSuchId),
    /// An exclude glob is invalid.
    #[error("{glob}: {reason}. A glob is relative to the path: `cache/**`, `*.tmp`")]
    Glob {
        /// As given.
        glob: String,
        /// What is wrong.
        reason: String,
    },
    /// Files of the tree have names elsewhere.
    #[error(
        "{path}: {}{more}. {}",
        describe_outside_names(*.names), Guidance::FindOutsideLinks(&shell_word(path), *.command), path = escaped(path)
    )]
    OutsideLinks {
        /// One of them.
        path: PathBuf,
        /// How many names of it are in the trees, and how many it has.
        names: (u32, u32),
        /// How many more there are, in words.
        more: String,
        /// Which options the command has.
        command: CommandOptions,
    },
    /// Another run works on it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Something about the journals.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something about one journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something about the manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A manifest cannot be written.
    #[error("{path}: {source}; the manifest cannot be written there", path = escaped(path))]
    ManifestOutput {
        /// Where.
        path: PathBuf,
        /// Why.
        source: ManifestOutputError,
    },
    /// A tree of a journal is not there, or is another one.
    #[error(
        "{path}: {reason}. Is its filesystem not mounted? `findmnt --target {above}` shows what is mounted \
         there. Nothing was done, and the journal is as it was. If the tree is gone for good, \
         {} undoes what is still there",
        Guidance::ForcedRollback(journal), path = escaped(path), above = shell_word(above)
    )]
    TreeMissing {
        /// The tree.
        path: PathBuf,
        /// What is wrong.
        reason: NotTheTree,
        /// It, or the directory above it that is there.
        above: PathBuf,
        /// The journal, as a command line names it.
        journal: String,
    },
    /// The request does not fit the record.
    #[error("{path}: {reason}", path = escaped(path))]
    NotThisOne {
        /// The journal, manifest or tree.
        path: PathBuf,
        /// Why not, and what helps.
        reason: String,
    },
}

impl Refusal {
    /// A journal cannot be written.
    pub(super) fn journal(path: &Path, source: std::io::Error) -> Refusal {
        Refusal::Journal(JournalError::Io {
            path: path.to_path_buf(),
            source,
        })
    }
}

/// What else a run of one name of a file asks for.
fn and_allow_outside(needs_leave: bool) -> String {
    match needs_leave {
        true => format!(", and {}", Guidance::AllowOutsideLinks),
        false => String::new(),
    }
}

/// What helps where the ids do not tell.
fn if_known(is_verified: bool, path: &Path) -> String {
    let path = escaped(path).to_string();
    match is_verified {
        true => Guidance::AssumeShifted(&path).to_string(),
        false => Guidance::AssumeUnshifted(&path).to_string(),
    }
}
