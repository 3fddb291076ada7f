//! What time does not cure.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Preflight;
use super::homes::{self, Claim};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::{Root, process};
use crate::guidance::Guidance;
use crate::journal::error::StoreError;
use crate::ownership::{FileType, Flags};

/// Why the trees cannot be changed, now or later.
#[derive(Debug, Error)]
pub enum PermanentBlocker {
    /// A place that must not be changed, or that cannot keep what it is given.
    #[error(transparent)]
    Place(#[from] super::UnsuitableRoot),
    /// A login account works with it.
    #[error(
        "{path}: {claim}. Name a directory that only containers use, or {}",
        Guidance::AllowHome, path = escaped(path)
    )]
    Account {
        /// The tree.
        path: PathBuf,
        /// How it concerns a login account.
        claim: Claim,
    },
    /// An inode that is to be renamed or replaced, or whose entries are, cannot be.
    #[error(
        "{path}: is {what}, so it cannot be changed or renamed, nor what is in it. `chattr -{letter} {word}` clears the flag; \
         set the flag again when all is done",
        path = escaped(path), word = shell_word(path),
        what = if flags.immutable { "immutable" } else { "append-only" },
        letter = if flags.immutable { 'i' } else { 'a' }
    )]
    Flagged {
        /// The inode.
        path: PathBuf,
        /// Its flags.
        flags: Flags,
    },
    /// The kernel renames nothing over a mount point, and no mount point.
    #[error("{path}: is a mount point, which cannot be renamed or replaced. {help}", path = escaped(path), help = unmount_help(path, *by_hand))]
    MountPoint {
        /// The entry.
        path: PathBuf,
        /// It is a file that the operator can write instead.
        by_hand: bool,
    },
    /// The kernel renames nothing of another project into a directory whose project id is inherited.
    #[error(
        "{dir}: gives project id {project} to what is made in it (`lsattr -pd`), and {first} {more}another one, so that no \
         rename within it works (EXDEV). `chattr -p {project}{words}` gives the same id",
        dir = escaped(dir), first = escaped(&entries[0]), words = words(entries),
        more = match entries.len() { 1 => "has ".into(), n => format!("and {} more have ", n - 1) }
    )]
    OtherProject {
        /// The directory.
        dir: PathBuf,
        /// Its project id.
        project: u32,
        /// What is to be renamed out of it or into it; at least one.
        entries: Vec<PathBuf>,
    },
    /// Something has the place of a directory that is to be made.
    #[error("{}: is a {}, and a directory is to be made in its place. Move it away", escaped(path), kind.words())]
    PlaceTaken {
        /// The place.
        path: PathBuf,
        /// What is there.
        kind: FileType,
    },
    /// Journals cannot be kept where they are to be.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn unmount_help(path: &Path, by_hand: bool) -> String {
    match by_hand {
        true => Guidance::WriteDaemonJsonByHand.to_string(),
        false => format!("`umount {}` unmounts it", shell_word(path)),
    }
}

/// Paths for a command line.
fn words(paths: &[PathBuf]) -> String {
    let words = paths.iter().map(|path| format!(" {}", shell_word(path)));
    words.collect()
}

/// Where trees are.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// The trees whose inodes change owners.
    pub trees: &'a [Root],
    /// Whether a path is left out, given the number of its tree and its place in that.
    pub is_excluded: &'a dyn Fn(usize, &Path) -> bool,
    /// What is mounted below the trees is changed too.
    pub cross_mounts: bool,
    /// System directories are changed too.
    pub allow_system_path: bool,
}

impl Places<'_> {
    /// Checks that the trees are none of the system's, and that owners can be changed there.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), PermanentBlocker> {
        for (n, root) in self.trees.iter().enumerate() {
            if !self.allow_system_path {
                super::check_system_path(&root.path)?;
                super::check_no_data_root(root, self.cross_mounts, |below| {
                    below.ancestors().any(|it| (self.is_excluded)(n, it))
                })?;
            }
            super::check_filesystem(root.pin.as_fd(), &root.path)?;
            super::check_mounts(root, self.cross_mounts, |below| {
                (self.is_excluded)(n, below)
            })?;
        }
        Ok(())
    }
}

impl Preflight<'_> {
    /// Checks all that time does not cure. Changes nothing, so it can be asked again under the lock.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check_permanent(&self) -> Result<(), PermanentBlocker> {
        Places {
            trees: self.trees,
            is_excluded: self.is_excluded,
            cross_mounts: self.cross_mounts,
            allow_system_path: self.allow_system_path,
        }
        .check()?;
        for root in self.trees {
            let claim = self.accounts.and_then(|known| homes::claim(root, known));
            if let Some(claim) = claim {
                let path = root.path.clone();
                return Err(PermanentBlocker::Account { path, claim });
            }
        }
        // Who is not root cannot look into root's journal directory, and would have to run it as root.
        if process::lacks_to_change_owners().is_empty() {
            self.store.check_writable()?;
            self.store.check_outside(self.trees)?;
        }
        Ok(())
    }
}
