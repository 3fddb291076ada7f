//! The run of a migration, and what is made for it before: a copy of the root, or what a conversion puts into place.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::DockerError;
use super::conversion::plan::Conversion;
use super::conversion::staging::Staging;
use super::migration_plan::{MigrateRequest, Migration};
use super::remap::Remap;
use crate::engine::{Refusal, Report, RunControl};
use crate::journal::Store;
use crate::store_move::MoveError;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::stamps::Stamps;
use crate::store_move::unfinished_run::is_surely_ended;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum MigrateError {
    /// The data-root or the daemon stands in the way. Nothing was changed.
    #[error(transparent)]
    Docker(#[from] DockerError),
    /// The engine refuses. Nothing was changed.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// The operator did not confirm. Nothing was changed.
    #[error("not confirmed")]
    Declined,
    /// Interrupted before the run began. What was made for it, such as a copy, is removed.
    #[error("interrupted")]
    Interrupted {
        /// A copy was being made.
        copy: bool,
    },
}

/// Carries out the plan, after a copy is made and the containerd image store is converted.
/// `stamps`: from before the plan.
pub(super) fn execute(
    request: MigrateRequest,
    (copy, migration, mut stamps): (Option<&PlannedCopy>, &Migration, Stamps),
    remap: &Remap,
    store: &Store,
    control: RunControl<'_>,
) -> Result<(Report, Vec<PathBuf>), MigrateError> {
    if copy.is_none() && migration.conversion.is_none() {
        return Ok((migration.plan.execute(store, control)?, Vec::new()));
    }
    let held = migration.plan.lock(store, control)?;
    stamps.check("this run was planned")?;
    migration.remove_unfinished()?;
    add_trees(&mut stamps, copy, migration)?;
    let made = Made::make(copy, migration, &mut stamps, control)?;
    drop(held);
    let staging = made.staging.clone();
    let changed = staging.iter().flat_map(|it| it.changed.clone()).collect();
    let request = MigrateRequest {
        copy_name: copy.map(|copy| copy.name.clone()),
        gone_images: staging
            .as_ref()
            .map_or(BTreeMap::new(), |it| it.images.clone()),
        staging,
        ..request
    };
    let is_as_planned = || {
        let what = match copy {
            Some(_) => "it was copied",
            None => "the layers of the containerd image store were read",
        };
        stamps.check(what)
    };
    let report = execute_made(&request, remap, store, control, (is_as_planned, &made))?;
    Ok((report, changed))
}

/// Adds the trees that must not change while they are copied.
fn add_trees(
    stamps: &mut Stamps,
    copy: Option<&PlannedCopy>,
    migration: &Migration,
) -> Result<(), MoveError> {
    let conversion = migration.conversion.as_ref();
    let mut trees = copy.map(PlannedCopy::trees).unwrap_or_default();
    trees.extend(conversion.map(Conversion::copied).unwrap_or_default());
    stamps.add_trees(conversion.map(|it| it.containerd.path.as_path()), trees)
}

/// What was made for a run before it began.
struct Made<'c> {
    copy: Option<&'c PlannedCopy>,
    staging: Option<Staging>,
}

impl<'c> Made<'c> {
    /// Makes it. If that fails or is interrupted, nothing is left.
    fn make(
        copy: Option<&'c PlannedCopy>,
        migration: &Migration,
        stamps: &mut Stamps,
        control: RunControl<'_>,
    ) -> Result<Made<'c>, MigrateError> {
        let interrupted = MigrateError::Interrupted {
            copy: copy.is_some(),
        };
        let copied = copy.map_or(Ok(()), |copy| copy.make(control, || stamps.take_top()));
        if control.is_cancelled() {
            // Asked after it was whole. One that was in the way is not this run's.
            if copied.is_ok() {
                copy.iter().for_each(|copy| copy.remove());
            }
            return Err(interrupted);
        }
        copied?;
        let staging = migration.make_staging(control);
        let (staging, error) = match staging {
            Ok(staging) => (staging, None),
            Err(error) => (None, Some(error)),
        };
        let made = Made { copy, staging };
        match error {
            None if !control.is_cancelled() => Ok(made),
            error => {
                made.remove();
                Err(match control.is_cancelled() {
                    true => interrupted,
                    false => error.map_or(interrupted, MigrateError::from),
                })
            }
        }
    }

    /// From now on it may be used.
    fn begin(&self) -> io::Result<()> {
        self.copy.map_or(Ok(()), PlannedCopy::begin)?;
        self.staging.as_ref().map_or(Ok(()), Staging::begin)
    }

    fn remove(&self) {
        self.staging.iter().for_each(Staging::remove);
        self.copy.iter().for_each(|copy| copy.remove());
    }
}

/// Carries out the plan with what was made for it. Removes that if it was not used.
fn execute_made(
    request: &MigrateRequest,
    remap: &Remap,
    store: &Store,
    control: RunControl<'_>,
    (is_as_planned, made): (impl FnOnce() -> Result<(), MoveError>, &Made<'_>),
) -> Result<Report, MigrateError> {
    let run = || {
        let migration = Migration::prepare(request, remap, control)?;
        // Last, as what comes next refuses when Docker runs.
        is_as_planned()?;
        let begin = || made.begin();
        let done = migration.plan.execute_made(&begin, store, control);
        done.map_err(MigrateError::from)
    };
    let done = run();
    // A refusal comes before the first change; a run that is not surely over would need what was made for it.
    let is_unused = match &done {
        Ok(report) => report.journal.is_none(),
        Err(_) => is_surely_ended(store, &request.data_root),
    };
    if is_unused {
        made.remove();
    }
    done
}

impl From<MoveError> for MigrateError {
    fn from(error: MoveError) -> MigrateError {
        MigrateError::Docker(error.into())
    }
}
