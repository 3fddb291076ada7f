//! The run of a migration, and what is made for it before: a copy of the root, or what a conversion puts into place.

use std::io;
use std::path::PathBuf;

use super::DockerError;
use super::conversion::plan::Conversion;
use super::conversion::staging::Staging;
use super::migration_plan::{MigrateRequest, Migration};
use super::remap::Remap;
use crate::engine::{Plan, Report, RunControl};
use crate::journal::Store;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::execute::{ExecuteError, Staged, execute_staged};
use crate::store_move::stamps::Stamps;

/// Why there is no report.
pub type MigrateError = ExecuteError<DockerError>;

impl From<DockerError> for MigrateError {
    fn from(error: DockerError) -> MigrateError {
        ExecuteError::InTheWay(error)
    }
}

/// Carries out the plan, after a copy is made and the containerd image store is converted. Gives also the files of layers that
/// were changed. `stamps`: from before the plan.
pub(super) fn execute(
    request: &MigrateRequest,
    (copy, migration, stamps): (Option<&PlannedCopy>, &Migration, Stamps),
    remap: &Remap,
    store: &Store,
    control: RunControl<'_>,
) -> Result<(Report, Vec<PathBuf>), MigrateError> {
    if copy.is_none() && migration.conversion.is_none() {
        return Ok((migration.plan.execute(store, control)?, Vec::new()));
    }
    let mut staged = StagedMigration {
        request,
        remap,
        migration,
        copy,
        staging: None,
    };
    let report = execute_staged(&migration.plan, &mut staged, stamps, store, control)?;
    let changed = staged.staging.map(|it| it.changed).unwrap_or_default();
    Ok((report, changed))
}

/// What is made for a migration: at least one of the two.
struct StagedMigration<'a> {
    request: &'a MigrateRequest,
    remap: &'a Remap,
    /// As it was planned before.
    migration: &'a Migration,
    copy: Option<&'a PlannedCopy>,
    /// What the conversion of the containerd image store made.
    staging: Option<Staging>,
}

impl Staged for StagedMigration<'_> {
    type Error = DockerError;

    fn watch(&self, stamps: &mut Stamps) -> Result<(), DockerError> {
        // What an earlier conversion left is in the way of this one.
        self.migration.remove_unfinished()?;
        let conversion = self.migration.conversion.as_ref();
        let mut trees = self.copy.map(PlannedCopy::trees).unwrap_or_default();
        trees.extend(conversion.map(Conversion::copied).unwrap_or_default());
        stamps.add_trees(conversion.map(|it| it.containerd.path.as_path()), trees)?;
        Ok(())
    }

    fn make(&mut self, stamps: &mut Stamps, control: RunControl<'_>) -> Result<(), DockerError> {
        if let Some(copy) = self.copy {
            // Its directory is made in the data-root.
            copy.make(control, || stamps.take_top())?;
        }
        if control.is_cancelled() {
            return Ok(());
        }
        let made = self.migration.make_staging(control);
        if made.is_err() {
            self.remove();
        }
        self.staging = made?;
        Ok(())
    }

    fn made_when(&self) -> &'static str {
        match self.copy {
            Some(_) => "it was copied",
            None => "the layers of the containerd image store were read",
        }
    }

    fn replan(&self, control: RunControl<'_>) -> Result<Plan, MigrateError> {
        let images = self.staging.as_ref().map(|it| it.images.clone());
        let request = MigrateRequest {
            copy_name: self.copy.map(|copy| copy.name.clone()),
            gone_images: images.unwrap_or_default(),
            staging: self.staging.clone(),
            ..self.request.clone()
        };
        Ok(Migration::prepare(&request, self.remap, control)?.plan)
    }

    fn begin(&self) -> io::Result<()> {
        self.copy.map_or(Ok(()), PlannedCopy::begin)?;
        self.staging.as_ref().map_or(Ok(()), Staging::begin)
    }

    fn remove(&self) {
        self.staging.iter().for_each(Staging::remove);
        self.copy.iter().for_each(|copy| copy.remove());
    }

    fn tree(&self) -> PathBuf {
        self.request.data_root.clone()
    }

    fn is_copy(&self) -> bool {
        self.copy.is_some()
    }
}
