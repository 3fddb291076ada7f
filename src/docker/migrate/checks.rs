//! What refuses a migration on this host, and the plan where nothing does.

use std::path::{Path, PathBuf};

use super::{DaemonTarget, MigrateError, MigrateOptions};
use crate::docker::conversion::check::Checked;
use crate::docker::conversion::requirements::{check_namespace, check_storage_driver};
use crate::docker::data_root::DockerRoot;
use crate::docker::data_root_copy::plan_copy;
use crate::docker::idmapped::exchanged_data::{ExchangedData, Reach, exchanged_data};
use crate::docker::migration_plan::{MigrateRequest, Migration};
use crate::docker::remap::Remap;
use crate::docker::{DockerError, Reason, image_store};
use crate::engine::dry_run::ManifestOutput;
use crate::engine::{Refusal, Report, RunControl};
use crate::fs::space::Amount;
use crate::host::subids;
use crate::idmap::Direction;
use crate::journal::Store;
use crate::preflight::TransientBlocker;
use crate::preflight::rename_flags::UntestedRename;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::unfinished_run::unfinished_run;

impl DaemonTarget {
    /// A remapped daemon does not start with the containerd image store.
    pub(super) fn check_image_store(&self, options: &MigrateOptions) -> Result<(), DockerError> {
        let into = options.plan.direction == Direction::Into;
        let told = self.start.image_options()?.feature;
        if let Some(told) = told.filter(|_| into) {
            return Err(DockerError::in_the_way(
                &told.place,
                Reason::StoreSwitchedOnThere(told.text),
            ));
        }
        match self.daemon_json.store_feature() {
            Some(feature) if into && !options.write_daemon_json => Err(DockerError::in_the_way(
                &self.start.config,
                Reason::StoreSwitchedOn(feature),
            )),
            _ => Ok(()),
        }
    }

    /// Whether `daemon.json` is to be written, which then can be.
    pub(super) fn writes_daemon_json(&self, options: &MigrateOptions) -> Result<bool, DockerError> {
        Ok(options.write_daemon_json
            && self
                .start
                .check_write(options.plan.direction, &self.remap_to, &self.data_root)?)
    }

    /// The plan; where an unfinished run stands in its way, that is told.
    pub(super) fn prepare(
        &self,
        request: &MigrateRequest,
        remap: &Remap,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Migration, MigrateError> {
        let into = request.options.direction == Direction::Into;
        let told = self.start.image_options()?;
        let planned = || {
            if into && image_store::is_alone(&DockerRoot::at(&self.data_root))? {
                check_namespace(&told)?;
            }
            Migration::prepare(request, remap, control)
        };
        let migration =
            planned().map_err(|error| match unfinished_run(store, &self.data_root) {
                Some(run) => MigrateError::from(Refusal::from(run)),
                None => error.into(),
            })?;
        if into && migration.conversion.is_some() {
            check_namespace(&told)?;
            check_storage_driver(&told)?;
        }
        Ok(migration)
    }

    /// The copy that is asked for. There is room for all that is copied and unpacked; what is unpacked without a copy, a
    /// dry run counts when it reads it.
    pub(super) fn copy_with_space(
        &self,
        options: &MigrateOptions,
        remap: &Remap,
        migration: &Migration,
        control: RunControl<'_>,
    ) -> Result<Option<PlannedCopy>, DockerError> {
        // What is plainly too much is told before anything is read.
        if !options.plan.copy {
            migration.check_space(Amount::default())?;
        }
        let unpacked = match options.dry_run && !options.plan.copy {
            true => Amount::default(),
            false => migration.unpacked(control)?,
        };
        match options.plan.copy {
            true => planned_copy(&self.data_root, remap, migration, unpacked).map(Some),
            false => migration.check_space(unpacked).map(|()| None),
        }
    }
}

/// Refuses a range that accounts of this host are in.
pub(super) fn check_range_is_free(direction: Direction, remap: &Remap) -> Result<(), DockerError> {
    if direction == Direction::OutOf {
        return Ok(());
    }
    let Some(found) = subids::accounts_inside(&remap.user) else {
        return Ok(());
    };
    let help = found.remedy.unwrap_or_default();
    let reason = format!("{}. For {}, {help}", found.found, remap.user);
    Err(DockerError::in_the_way(
        format!("/etc/{}", found.what),
        reason,
    ))
}

fn planned_copy(
    data_root: &Path,
    remap: &Remap,
    migration: &Migration,
    unpacked: Amount,
) -> Result<PlannedCopy, DockerError> {
    let conversion = migration.conversion.as_ref();
    let path = conversion.map(|it| it.containerd.path.as_path());
    let copied = conversion.map_or(Ok(Amount::default()), |it| {
        it.copied_size(&migration.data_root)
    });
    let copied = copied?;
    let layers = Amount {
        bytes: copied.bytes.saturating_add(unpacked.bytes),
        inodes: copied.inodes + unpacked.inodes,
    };
    plan_copy(data_root, &remap.dir_name(), (path, layers))
}

/// A mount in the data-root refuses a run. A dry run says so.
pub(super) fn check_unmounted(
    options: &MigrateOptions,
    migration: &Migration,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Option<TransientBlocker>, Refusal> {
    match migration.inventory.still_mounted() {
        Some(mounted) if !options.dry_run => {
            // Whoever uses it is told first.
            migration.plan.lock(store, control)?;
            Err(Refusal::from(mounted))
        }
        mounted => Ok(mounted),
    }
}

/// What the mount shows with other owners than expected, where one is to be made. A run, for which the daemon is stopped,
/// looks at the tops only.
pub(super) fn exchanged(
    options: &MigrateOptions,
    remap: &Remap,
    data_root: &Path,
    control: RunControl<'_>,
) -> Result<Vec<ExchangedData>, DockerError> {
    if !options.plan.idmapped {
        return Ok(Vec::new());
    }
    let reach = match options.dry_run {
        true => Reach::All,
        false => Reach::Tops,
    };
    exchanged_data(data_root, &remap.map, reach, options.plan.jobs, control)
}

/// A dry run of the plan; the files of layers that were changed; and the filesystems of which only a run can tell whether
/// they rename as it needs it.
pub(super) fn dry_run<'m>(
    request: &MigrateRequest,
    remap: &Remap,
    migration: &Migration,
    manifest: impl FnOnce() -> Result<ManifestOutput<'m>, Refusal>,
    store: &Store,
    control: RunControl<'_>,
) -> Result<(Report, Vec<PathBuf>, Vec<UntestedRename>), MigrateError> {
    let checked = check_store(request, remap, migration, control)?;
    let exact = exact_plan(request, remap, &checked, control)?;
    let plan = &exact.as_ref().unwrap_or(migration).plan;
    let mut report = plan.dry_run(store, manifest()?, control)?;
    report.stats.add(checked.left);
    Ok((report, checked.changed, plan.untested_renames()?))
}

/// Reads all that a conversion reads. What a mount shows keeps its owners.
fn check_store(
    request: &MigrateRequest,
    remap: &Remap,
    migration: &Migration,
    control: RunControl<'_>,
) -> Result<Checked, DockerError> {
    let map = (!request.options.idmapped).then_some(&remap.map);
    let checked = migration.check_conversion(map, control)?;
    if !request.options.copy {
        migration.check_space(checked.unpacked)?;
    }
    Ok(checked)
}

/// The plan of a dry run, where all that a conversion reads has to be read first.
fn exact_plan(
    request: &MigrateRequest,
    remap: &Remap,
    checked: &Checked,
    control: RunControl<'_>,
) -> Result<Option<Migration>, DockerError> {
    if checked.images.is_empty() {
        return Ok(None);
    }
    let request = MigrateRequest {
        gone_images: checked.images.clone(),
        ..request.clone()
    };
    Migration::prepare(&request, remap, control).map(Some)
}
