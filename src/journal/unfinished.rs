//! Unfinished runs on the same trees.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use super::error::{JournalError, StoreError};
use super::file::Journal;
use super::store::Store;
use crate::fs::source_path::SourcePath;
use crate::fs::{PinnedFile, Root, mountinfo, root};

impl Store {
    /// Refuses when a run on one of these trees was begun and not ended.
    pub fn check_no_unfinished(&self, roots: &[Root]) -> Result<(), StoreError> {
        for path in self.files()? {
            let journal = match Journal::outline(&path) {
                Ok(journal) => journal,
                Err(JournalError::Empty { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let Some(how_to_end) = journal.how_to_end(&path) else {
                continue;
            };
            let trees = journal.header.roots.iter().filter(|root| !root.steps_only);
            for theirs in trees {
                if let Some(ours) = roots
                    .iter()
                    .find(|ours| covers(ours, theirs.path.as_path()))
                {
                    return Err(StoreError::Unfinished {
                        tree: ours.path.clone(),
                        id: journal.header.id,
                        state: journal.state,
                        how_to_end,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Whether one of the two shows a part of the other by a bind mount.
fn is_bind_mount(ours: &Root, theirs: &Path) -> io::Result<bool> {
    let mounts = mountinfo::of_this_thread()?;
    let ours = SourcePath::of(ours.pin.as_fd(), &ours.path, &mounts)?;
    let theirs = SourcePath::of(PinnedFile::exactly(theirs)?.as_fd(), theirs, &mounts)?;
    Ok(ours
        .zip(theirs)
        .is_some_and(|(ours, theirs)| ours.meets(&theirs)))
}

/// Whether a tree of a journal and a tree that is asked for now hold one another.
fn covers(ours: &Root, theirs: &Path) -> bool {
    match root::ancestor_ids_of(theirs) {
        Ok(ancestor_ids) => {
            ours.overlaps(&ancestor_ids) || is_bind_mount(ours, theirs).unwrap_or(false)
        }
        // It is gone, or cannot be reached: only its path is left to go by.
        Err(_) => ours.path.starts_with(theirs) || theirs.starts_with(&ours.path),
    }
}
