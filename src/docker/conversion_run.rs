//! The run that converted the containerd image store of a data-root.

use std::path::Path;

use super::DockerError;
use super::data_root::canonical;
use crate::journal::id::argument;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Step, Store};

/// The newest run that converted the containerd image store of this data-root and was not undone.
///
/// # Errors
/// There is none, or a revert has undone it.
pub fn conversion_run(store: &Store, data_root: &Path) -> Result<Journal, DockerError> {
    let top = canonical(data_root)?;
    let none = |why: &str| DockerError::in_the_way(&top, why.to_string());
    let mut reverted = None;
    for file in store.files().unwrap_or_default().into_iter().rev() {
        let Ok(outline) = Journal::outline(&file) else {
            continue;
        };
        let first = outline.header.roots.first();
        if first.is_none_or(|line| line.path.as_path() != top) {
            continue;
        }
        match outline.header.command {
            RunKind::DockerRevert if outline.state != JournalState::Undone => {
                reverted.get_or_insert(file);
                continue;
            }
            RunKind::DockerMigrate => {}
            _ => continue,
        }
        let journal = Journal::open(&file).map_err(|error| none(&error.to_string()))?;
        let is_conversion = |step: &Step| matches!(step, Step::Staged { .. });
        if journal.state != JournalState::Undone && journal.steps.iter().any(is_conversion) {
            return match reverted {
                None => Ok(journal),
                Some(revert) => Err(none(&format!(
                    "`idshift docker revert` made it a plain root with overlay2 since: `idshift rollback {}` undoes that \
                     first, if no daemon has run on it. Then run this again",
                    argument(&revert)
                ))),
            };
        }
    }
    Err(none(
        "there is no journal of a migration that converted its containerd image store and is not undone. \
        `idshift journal list` lists the journals; `idshift docker revert` makes a plain root with overlay2",
    ))
}
