//! `docker migrate` and `docker revert`, from what the host says to the end of the run.
//!
//! - `options`: what the operator asks for
//! - `checks`: what refuses it on this host; the dry run

mod checks;
mod options;

use std::path::{Path, PathBuf};

use nix::unistd::User;

use super::create_user::NewUser;
use super::daemon_json::{DaemonJson, StoreFeature};
use super::daemon_start::DaemonStart;
use super::data_root;
use super::findings::check_is_reached;
use super::idmapped;
use super::idmapped::unit::{self, reload};
use super::migration_plan::{MigrateRequest, Migration};
use super::remap::Remap;
use super::rootless::recognise;
pub use super::staged_run::MigrateError;
use super::staged_run::execute;
use super::stamps::stamps_of;
use super::{DockerError, Reason};
use crate::engine::dry_run::ManifestOutput;
use crate::engine::{Refusal, Report, RunControl};
use crate::host::range_users::{self, SharedRange};
use crate::idmap::Direction;
use crate::journal::{Journal, Store};
use crate::preflight::rename_flags::UntestedRename;
use crate::store_move::copy::{PlannedCopy, earlier};
use checks::{check_range_is_free, check_unmounted, dry_run, exchanged};
pub use options::MigrateOptions;

/// A daemon of this host, what it is told, and its data-root.
pub struct DaemonTarget {
    start: DaemonStart,
    daemon_json: DaemonJson,
    /// Whom it remaps to.
    pub remap_to: String,
    /// The data-root, as the daemon has it.
    pub data_root: PathBuf,
}

/// A plan that passed all checks, for the confirmation.
pub struct Planned<'a> {
    /// What is to be done.
    pub migration: &'a Migration,
    /// The range.
    pub remap: &'a Remap,
    /// The copy that is made.
    pub copy: Option<&'a PlannedCopy>,
    /// What is made of the user and its ranges.
    pub made: Vec<String>,
    /// What is taken out of `daemon.json` where that is written.
    pub store_feature: Option<StoreFeature>,
}

/// Asks for confirmation before the first change. An error ends the command without a change.
pub type Confirm<'a> = &'a dyn Fn(&Planned<'_>) -> Result<(), MigrateError>;

/// A finished run, and what to tell the operator.
pub struct Migrated {
    /// What it did.
    pub report: Report,
    /// What was planned.
    pub migration: Migration,
    /// The range.
    pub remap: Remap,
    /// The copy that was, or would be, made.
    pub copy: Option<PlannedCopy>,
    /// What was, or would be, made of the user and its ranges.
    pub made: Vec<String>,
    /// Lines of `/etc/subuid` and `/etc/subgid` that give ids of the range to somebody else.
    pub shared_ranges: Vec<SharedRange>,
    /// Of a dry run: the filesystems of which only a run can tell whether they rename as it needs it.
    pub untested_renames: Vec<UntestedRename>,
    /// Of an idmapped root: where the daemon finds it, and where it is on disk.
    pub shown: Option<(PathBuf, PathBuf)>,
    /// Of an idmapped root that no unit mounts: what has to be run at boot.
    pub at_boot: Option<String>,
    /// systemd did not read its units again.
    pub reload: bool,
    /// What to do next, after a run.
    pub next: Option<String>,
    /// A message about the copy that is left, if the migration was undone.
    pub copy_left: Option<String>,
}

impl DaemonTarget {
    /// The daemon that this host starts; each option instead of what the host says.
    ///
    /// # Errors
    /// What the daemon is told cannot be read.
    pub fn of_host(
        daemon_json: Option<&Path>,
        data_root: Option<&Path>,
        userns_remap: Option<&str>,
    ) -> Result<DaemonTarget, DockerError> {
        let start = DaemonStart::of_host(daemon_json);
        let daemon_json = start.settings()?;
        Ok(DaemonTarget {
            data_root: data_root::find(data_root, &daemon_json),
            remap_to: daemon_json.remap_to(userns_remap),
            start,
            daemon_json,
        })
    }

    /// Migrates the data-root into the range or out of it. `manifest` is opened for a dry run that
    /// nothing stands in the way of. A run is put to `confirm` when all checks are done.
    ///
    /// # Errors
    /// [`MigrateError`]: nothing was changed.
    pub fn migrate<'m>(
        &self,
        options: &MigrateOptions,
        store: &Store,
        manifest: impl FnOnce() -> Result<ManifestOutput<'m>, Refusal>,
        confirm: Option<Confirm<'_>>,
        control: RunControl<'_>,
    ) -> Result<Migrated, MigrateError> {
        recognise::check_is_none(&self.data_root)?;
        self.check_image_store(options)?;
        let (new_user, remap) = self.resolve(options)?;
        let request = self.request(options, self.writes_daemon_json(options)?, store);
        let stamps = stamps_of(&self.data_root)?;
        let mut migration = self.prepare(&request, &remap, store, control)?;
        if options.plan.direction == Direction::Into {
            check_is_reached(&migration.data_root, remap.root)?;
        }
        migration.exchanged = exchanged(options, &remap, &migration.data_root, control)?;
        let mounted = check_unmounted(options, &migration, store, control)?;
        let copy = self.copy_with_space(options, &remap, &migration, control)?;
        let made = new_user.as_ref().map(NewUser::missing).unwrap_or_default();
        let (mut report, changed_files, untested_renames) = match options.dry_run {
            true => dry_run(&request, &remap, &migration, manifest, store, control)?,
            false => {
                if let Some(confirm) = confirm {
                    // Whoever is asked is not refused afterwards.
                    drop(migration.plan.lock(store, control)?);
                    confirm(&Planned {
                        migration: &migration,
                        remap: &remap,
                        copy: copy.as_ref(),
                        made: made.clone(),
                        store_feature: self.daemon_json.store_feature(),
                    })?;
                }
                if let Some(new) = &new_user {
                    // Only when nothing else stands in the way.
                    let held = migration.plan.lock(store, control)?;
                    make_user(new)?;
                    drop(held);
                }
                let carried = (copy.as_ref(), &migration, stamps);
                let (report, changed) = execute(&request, carried, &remap, store, control)?;
                (report, changed, Vec::new())
            }
        };
        report.would_refuse.extend(mounted);
        if let Some(summary) = &mut migration.store_summary {
            summary.changed_files = changed_files;
        }
        let run = Migrated {
            migration,
            shared_ranges: match options.plan.direction {
                Direction::Into => shared_ranges(&remap),
                Direction::OutOf => Vec::new(),
            },
            remap,
            copy,
            made,
            untested_renames,
            shown: None,
            at_boot: None,
            reload: false,
            next: None,
            copy_left: earlier::left_by(&report),
            report,
        };
        Ok(self.conclude(options, &request, run))
    }

    /// The user that is to be created, if one is, and the range, which is free.
    fn resolve(&self, options: &MigrateOptions) -> Result<(Option<NewUser>, Remap), DockerError> {
        let new_user = match options.create_user && self.remap_to == "default" {
            true => Some(NewUser::plan()?).filter(|new| !new.missing().is_empty()),
            false => None,
        };
        let remap = match &new_user {
            Some(new) => new.remap.clone(),
            None => Remap::resolve_for(&self.remap_to, &self.data_root, options.plan.direction)?,
        };
        check_range_is_free(options.plan.direction, &remap)?;
        Ok((new_user, remap))
    }

    /// Adds what a person should know of the run.
    fn conclude(
        &self,
        options: &MigrateOptions,
        request: &MigrateRequest,
        mut run: Migrated,
    ) -> Migrated {
        let done = run.report.is_done();
        let top = &self.data_root;
        if options.plan.idmapped && (done || options.dry_run) {
            let range = run.remap.dir_name();
            let [holder, content] = idmapped::place(&range);
            run.shown = Some((top.join(&range), top.join(holder).join(content)));
        }
        if options.plan.idmapped && !request.units {
            run.at_boot = Some(unit::at_boot(top));
        }
        if done && !options.dry_run {
            let is_reloaded = |journal: &PathBuf| {
                Journal::outline(journal).is_ok_and(|journal| reload(&journal.header))
            };
            let journal = run.report.journal.as_ref();
            run.reload = journal.is_some_and(|journal| !is_reloaded(journal));
            let writes = request.daemon_json.is_some();
            let next = self
                .start
                .next(options.plan.direction, writes, &self.remap_to, top);
            run.next = Some(next);
        }
        run
    }
}

impl DaemonTarget {
    /// What to do next once the migration of this journal is rolled back. `writes`: `daemon.json` is to be as it was, too.
    ///
    /// # Errors
    /// The migration did not change it, so that nothing puts it back.
    pub fn after_rollback(&self, journal: &Journal, writes: bool) -> Result<String, DockerError> {
        let config = self.start.config.canonicalize();
        let config = config.unwrap_or_else(|_| self.start.config.clone());
        let written = journal.steps.iter().any(|step| {
            let mut places = step.places().into_iter();
            places.any(|place| place.to_path(&journal.header.roots) == config)
        });
        let top = &self.data_root;
        match writes && !written {
            true => Err(DockerError::in_the_way(
                &self.start.config,
                Reason::NotWrittenByMigration,
            )),
            false => Ok(self
                .start
                .next(Direction::OutOf, written, &self.remap_to, top)),
        }
    }
}

/// Creates the user, and checks that it got the planned ranges.
fn make_user(new: &NewUser) -> Result<(), DockerError> {
    new.make()?;
    let remap = Remap::resolve("default")?;
    match remap == new.remap {
        true => Ok(()),
        false => Err(DockerError::OtherRange {
            user: remap.user,
            got: remap.map,
            planned: new.remap.map.clone(),
        }),
    }
}

/// Lines of others than the user that give ids of its range.
fn shared_ranges(remap: &Remap) -> Vec<SharedRange> {
    let user = User::from_name(&remap.user).ok().flatten();
    let uid = user.map(|user| user.uid.to_string());
    let owners: Vec<String> = [remap.user.clone()].into_iter().chain(uid).collect();
    range_users::of_map(&remap.map, &owners).shared_ranges
}
