//! Runs on a data-root: those that have not ended, and the one that converted a containerd image store.

use std::path::Path;

use super::DockerError;
use super::data_root::canonical;
use crate::fs::Root;
use crate::journal::error::StoreError;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Step, Store};

/// The run on this data-root that has not ended, if its journal is in this store. The remains of
/// such a run can make a plan fail, so report it first.
pub fn unfinished_run(store: &Store, data_root: &Path) -> Option<StoreError> {
    let root = Root::open(&canonical(data_root).ok()?).ok()?;
    let found = store.check_no_unfinished(&[root]).err();
    found.filter(|error| matches!(error, StoreError::Unfinished { .. }))
}

/// Whether it is sure that no run on this data-root is unfinished: then nothing needs what was made for one. A journal
/// that cannot be read may be of such a run.
pub fn is_surely_ended(store: &Store, data_root: &Path) -> bool {
    let root = canonical(data_root)
        .ok()
        .and_then(|top| Root::open(&top).ok());
    root.is_some_and(|root| store.check_no_unfinished(&[root]).is_ok())
}

/// The newest run that converted the containerd image store of this data-root and was not undone.
///
/// # Errors
/// There is none.
pub fn conversion_run(store: &Store, data_root: &Path) -> Result<Journal, DockerError> {
    let top = canonical(data_root)?;
    let none = |why: &str| DockerError::in_the_way(&top, why.to_string());
    let files = store.files().unwrap_or_default();
    let migrations = files.into_iter().rev().filter(|file| {
        let outline = Journal::outline(file).ok();
        outline.is_some_and(|it| {
            let root = it
                .header
                .roots
                .first()
                .map(|line| line.path.as_path() == top);
            it.header.command == RunKind::DockerMigrate && root == Some(true)
        })
    });
    for file in migrations {
        let journal = Journal::open(&file).map_err(|error| none(&error.to_string()))?;
        let is_conversion = |step: &Step| matches!(step, Step::Staged { .. });
        if journal.state != JournalState::Undone && journal.steps.iter().any(is_conversion) {
            return Ok(journal);
        }
    }
    Err(none(
        "there is no journal of a migration that converted its containerd image store and is not undone. \
        `idshift journal list` lists the journals; `idshift docker revert` makes a plain root with overlay2",
    ))
}
