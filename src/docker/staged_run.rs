//! The run of a migration, and what is made for it before: a copy of the root, or what a conversion puts into place.

use thiserror::Error;

use super::DockerError;
use super::conversion::staging::Staging;
use super::copy::PlannedCopy;
use super::migration::{MigrateRequest, Migration};
use super::remap::Remap;
use super::unfinished_run::is_surely_ended;
use crate::engine::{Refusal, Report, RunControl};
use crate::journal::Store;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The data-root or the daemon stands in the way. Nothing was changed.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The engine refuses. Nothing was changed.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// Somebody asked to stop before the run began: what was made for it, a copy for one, is removed.
    #[error("interrupted")]
    Interrupted {
        /// A copy was being made.
        copy: bool,
    },
}

/// Carries it, after a copy is made, or what a conversion of the containerd image store puts into place.
pub(super) fn execute(
    request: MigrateRequest,
    (copy, migration): (Option<&PlannedCopy>, &Migration),
    remap: &Remap,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, MigrateError> {
    if copy.is_none() && migration.conversion.is_none() {
        return Ok(migration.plan().execute(store, control)?);
    }
    let held = migration.plan().lock(store, control)?;
    if let Some(copy) = copy {
        let made = copy.make(control);
        if control.is_cancelled() {
            // Asked after it was whole. One that was in the way is not this run's.
            if made.is_ok() {
                copy.remove();
            }
            return Err(MigrateError::Interrupted { copy: true });
        }
        made?;
        drop(held);
        let request = MigrateRequest {
            copy: Some(copy.name.clone()),
            ..request
        };
        return execute_made(&request, remap, store, control, || copy.remove());
    }
    let made = migration.make_staging(control.cancel);
    if control.is_cancelled() {
        made.iter().flatten().for_each(Staging::remove);
        return Err(MigrateError::Interrupted { copy: false });
    }
    let staging = made?;
    drop(held);
    let request = MigrateRequest {
        staging: staging.clone(),
        ..request
    };
    let remove = || staging.iter().for_each(Staging::remove);
    execute_made(&request, remap, store, control, remove)
}

/// Carries out what is planned with what was made for it; has that removed where nothing was done with it.
fn execute_made(
    request: &MigrateRequest,
    remap: &Remap,
    store: &Store,
    control: RunControl<'_>,
    remove: impl FnOnce(),
) -> Result<Report, MigrateError> {
    let run = || {
        let migration = Migration::prepare(request, remap)?;
        Ok::<_, MigrateError>(migration.plan().execute(store, control)?)
    };
    let done = run();
    // A refusal comes before the first change; a run that is not surely over would need what was made for it.
    let is_unused = match &done {
        Ok(report) => report.journal.is_none(),
        Err(_) => is_surely_ended(store, &request.data_root),
    };
    if is_unused {
        remove();
    }
    done
}
