//! `docker migrate` and `docker revert`, from what the host says to the end of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::conversion::requirements::check_storage_driver;
use super::copy::{self, PlannedCopy};
use super::create_user::NewUser;
use super::daemon_json::DaemonJson;
use super::daemon_start::DaemonStart;
use super::data_root;
use super::idmapped;
use super::idmapped::unit::{self, reload};
use super::migration::{MigrateRequest, Migration, shifted_before};
use super::remap::Remap;
pub use super::staged_run::MigrateError;
use super::staged_run::execute;
use super::stamps::Stamps;
use super::unfinished_run::unfinished_run;
use super::{DockerError, Reason};
use crate::engine::dry_run::ManifestOutput;
use crate::engine::{Ending, Outcome, Refusal, Report, RunControl};
use crate::fs::space::Amount;
use crate::host::subids;
use crate::idmap::Direction;
use crate::journal::{Journal, Store};
use crate::preflight::rename_flags::Untold;

/// The options of the operator.
#[derive(Clone, Debug)]
pub struct MigrateOptions {
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Create the user that `default` stands for, and its ranges, if they are missing.
    pub create_user: bool,
    /// Into the range by a mount: no owner of what containers own is changed.
    pub idmapped: bool,
    /// The plain root stays, and a copy of it is migrated.
    pub copy: bool,
    /// Set it in `daemon.json` too.
    pub write_daemon_json: bool,
    /// Threads.
    pub jobs: usize,
    /// What cannot be shifted is left.
    pub keep_going: bool,
    /// Containers that cannot run remapped are marked to run with the host's user namespace.
    pub set_userns_host: bool,
    /// Also shift host directories that containers bind, where that is safe.
    pub bind_mounts: bool,
    /// Also those of login accounts of this host.
    pub allow_home: bool,
    /// Clear immutable and append-only flags for a change, and set them again.
    pub clear_flags: bool,
    /// Also change files with hard links outside the data-root.
    pub allow_outside_links: bool,
}

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
    /// Of a dry run: the filesystems of which only a run can tell whether they rename as it needs it.
    pub untold_renames: Vec<Untold>,
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
        let direction = options.direction;
        self.check_image_store(options)?;
        let new_user = match options.create_user && self.remap_to == "default" {
            true => Some(NewUser::plan()?).filter(|new| !new.missing().is_empty()),
            false => None,
        };
        let remap = match &new_user {
            Some(new) => new.remap.clone(),
            None => Remap::resolve(&self.remap_to)?,
        };
        check_range_is_free(direction, &remap)?;
        let writes = options.write_daemon_json
            && self
                .start
                .check_write(direction, &self.remap_to, &self.data_root)?;
        let request = self.request(options, writes, store);
        let stamps = Stamps::of(&self.data_root)?;
        let mut migration = Migration::prepare(&request, &remap).map_err(|error| {
            match unfinished_run(store, &self.data_root) {
                Some(run) => MigrateError::from(Refusal::from(run)),
                None => error.into(),
            }
        })?;
        if migration.conversion.is_some() {
            let said = self.daemon_json.storage_driver.as_deref();
            check_storage_driver(said, &self.start.config)?;
        }
        let mut mounted = migration.inventory.still_mounted();
        if let Some(mounted) = mounted.take_if(|_| !options.dry_run) {
            // Whoever uses it is told first.
            migration.plan().lock(store, control)?;
            return Err(Refusal::from(mounted).into());
        }
        let copy = self.copy_with_room(options, &remap, &migration, control)?;
        if let Some(confirm) = confirm.filter(|_| !options.dry_run) {
            // Whoever is asked is not refused afterwards.
            drop(migration.plan().lock(store, control)?);
            confirm(&Planned {
                migration: &migration,
                remap: &remap,
                copy: copy.as_ref(),
                made: new_user
                    .as_ref()
                    .map(|new| new.missing())
                    .unwrap_or_default(),
            })?;
        }
        if let Some(new) = new_user.as_ref().filter(|_| !options.dry_run) {
            // Only when nothing else stands in the way.
            let held = migration.plan().lock(store, control)?;
            make_user(new)?;
            drop(held);
        }
        let mut untold_renames = Vec::new();
        let changed_files;
        let report = match options.dry_run {
            true => {
                let (exact, changed) = with_checked_store(&request, &remap, &migration, control)?;
                changed_files = changed;
                let plan = exact.as_ref().unwrap_or(&migration).plan();
                let mut report = plan.dry_run(store, manifest()?, control)?;
                report.would_refuse.extend(mounted);
                untold_renames = plan.untold_renames()?;
                report
            }
            false => {
                let carried = (copy.as_ref(), &migration, stamps);
                let report;
                (report, changed_files) =
                    execute(request.clone(), carried, &remap, store, control)?;
                report
            }
        };
        let done = matches!(report.outcome(), Outcome::Done | Outcome::SomeLeft);
        let next = (done && !options.dry_run).then(|| {
            self.start
                .next(direction, writes, &self.remap_to, &self.data_root)
        });
        let reloaded = match &report.journal {
            Some(journal) if done && !options.dry_run => {
                Journal::outline(journal).is_ok_and(|journal| reload(&journal.header))
            }
            _ => true,
        };
        if let Some(summary) = &mut migration.store_summary {
            summary.changed_files = changed_files;
        }
        let by_hand = options.idmapped && !request.units;
        Ok(Migrated {
            shown: (options.idmapped && (done || options.dry_run)).then(|| {
                let [holder, content] = idmapped::place(&remap.dir_name());
                let top = &self.data_root;
                (top.join(remap.dir_name()), top.join(holder).join(content))
            }),
            at_boot: by_hand.then(|| unit::at_boot(&self.data_root)),
            reload: !reloaded,
            copy_left: copy_left(&report),
            report,
            migration,
            remap,
            copy,
            made: new_user.map(|new| new.missing()).unwrap_or_default(),
            untold_renames,
            next,
        })
    }

    /// A remapped daemon does not start with the containerd image store.
    fn check_image_store(&self, options: &MigrateOptions) -> Result<(), DockerError> {
        let into = options.direction == Direction::Into;
        let stays = self.daemon_json.uses_containerd_store() && !options.write_daemon_json;
        match into && stays {
            true => Err(DockerError::in_the_way(
                &self.start.config,
                Reason::StoreSwitchedOn,
            )),
            false => Ok(()),
        }
    }

    /// The copy that is asked for. There is room for all that is copied and unpacked; what is unpacked without a copy, a
    /// dry run counts when it reads it.
    fn copy_with_room(
        &self,
        options: &MigrateOptions,
        remap: &Remap,
        migration: &Migration,
        control: RunControl<'_>,
    ) -> Result<Option<PlannedCopy>, DockerError> {
        // What is plainly too much is told before anything is read.
        if !options.copy {
            migration.check_room(Amount::default())?;
        }
        let unpacked = match options.dry_run && !options.copy {
            true => Amount::default(),
            false => migration.unpacked(control)?,
        };
        match options.copy {
            true => planned_copy(&self.data_root, remap, migration, unpacked).map(Some),
            false => migration.check_room(unpacked).map(|()| None),
        }
    }

    fn request(&self, options: &MigrateOptions, writes: bool, store: &Store) -> MigrateRequest {
        MigrateRequest {
            data_root: self.data_root.clone(),
            direction: options.direction,
            idmapped: options.idmapped,
            copies: options.copy,
            units: unit::is_made(&self.start, &self.data_root),
            copy: None,
            staging: None,
            keeps_store: options.copy,
            gone_images: BTreeMap::new(),
            jobs: options.jobs,
            keep_going: options.keep_going,
            set_userns_host: options.set_userns_host,
            bind_mounts: options.bind_mounts,
            allow_home: options.allow_home,
            shifted_before: match options.direction {
                Direction::Into => Vec::new(),
                Direction::OutOf => shifted_before(store, &self.data_root),
            },
            clear_flags: options.clear_flags,
            allow_outside_links: options.allow_outside_links,
            daemon_json: writes.then(|| (self.start.config.clone(), self.remap_to.clone())),
        }
    }
}

/// Refuses a range that accounts of this host are in.
fn check_range_is_free(direction: Direction, remap: &Remap) -> Result<(), DockerError> {
    if direction == Direction::OutOf {
        return Ok(());
    }
    let Some(found) = subids::accounts_inside(&remap.user) else {
        return Ok(());
    };
    let help = found.remedy.unwrap_or_default();
    let reason = format!("{}. Give {} {help}", found.found, remap.user);
    Err(DockerError::in_the_way(
        format!("/etc/{}", found.what),
        reason,
    ))
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

fn planned_copy(
    data_root: &Path,
    remap: &Remap,
    migration: &Migration,
    unpacked: Amount,
) -> Result<PlannedCopy, DockerError> {
    let conversion = migration.conversion.as_ref();
    let path = conversion.map(|it| it.containerd.path.as_path());
    let room = conversion.map_or(Ok(Amount::default()), |it| it.room(&migration.data_root));
    let room = room?;
    let layers = Amount {
        bytes: room.bytes.saturating_add(unpacked.bytes),
        inodes: room.inodes + unpacked.inodes,
    };
    PlannedCopy::of(data_root, &remap.dir_name(), (path, layers))
}

/// The plan of a dry run, which says what it can only say once all that a conversion reads was read; and the files of
/// layers that were changed.
fn with_checked_store(
    request: &MigrateRequest,
    remap: &Remap,
    migration: &Migration,
    control: RunControl<'_>,
) -> Result<(Option<Migration>, Vec<PathBuf>), DockerError> {
    let checked = migration.check_conversion(control)?;
    if !request.keeps_store {
        migration.check_room(checked.unpacked)?;
    }
    if checked.images.is_empty() {
        return Ok((None, checked.changed));
    }
    let request = MigrateRequest {
        gone_images: checked.images,
        ..request.clone()
    };
    let exact = Migration::prepare(&request, remap)?;
    Ok((Some(exact), checked.changed))
}

/// A message about the copy that is left, if its migration was undone.
fn copy_left(report: &Report) -> Option<String> {
    let is_undone = matches!(report.ending, Ending::RolledBack { .. });
    let journal = report.journal.as_deref().filter(|_| is_undone)?;
    copy::left(&Journal::open(journal).ok()?)
}
