//! The run that converted the containerd image store of a data-root.

use std::path::Path;

use super::DockerError;
use super::data_root::canonical;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Step, Store};

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
