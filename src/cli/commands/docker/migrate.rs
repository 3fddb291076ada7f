//! `idshift docker migrate`, `idshift docker revert`

use std::path::Path;

use super::refused;
use crate::cli::args::{Immutable, MigrateArgs, MigrationArgs};
use crate::cli::commands::shift::{open_manifest, print_report};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell;
use crate::cli::output::text::{bytes, inodes, path, printable};
use crate::docker::bind_mounts::Advice;
use crate::docker::conversion::plan::Conversion;
use crate::docker::conversion::staging::Staging;
use crate::docker::copy::{self, PlannedCopy};
use crate::docker::create_user::NewUser;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root;
use crate::docker::migrate::{
    MigrateRequest, Migration, is_surely_ended, shifted_before, unfinished_run,
};
use crate::docker::remap::Remap;
use crate::engine::{Ending, Outcome, Report, Stop};
use crate::host::subids;
use crate::idmap::Direction;
use crate::journal::{Journal, Store};

/// What only a migration can be told.
pub struct MigrationCommand {
    direction: Direction,
    copy: bool,
    allow_home: bool,
}

impl MigrationCommand {
    /// A revert: accounts get back what is theirs.
    pub const OUT: MigrationCommand = MigrationCommand {
        direction: Direction::OutOf,
        copy: false,
        allow_home: true,
    };

    /// A migration.
    pub fn into(args: &MigrateArgs) -> MigrationCommand {
        MigrationCommand {
            direction: Direction::Into,
            copy: args.copy,
            allow_home: args.allow_home,
        }
    }
}

/// Runs it.
pub fn run(
    args: &MigrationArgs,
    way: MigrationCommand,
    call: &mut Invocation,
) -> Result<Exit, Failure> {
    let MigrationCommand {
        direction,
        copy,
        allow_home,
    } = way;
    let stop = args.effort.apply().map_err(Failure::refused)?;
    let start = DaemonStart::of_host(args.daemon.daemon_json.as_deref());
    let daemon_json = start.settings().map_err(refused)?;
    let data_root = data_root::find(args.daemon.data_root.as_deref(), &daemon_json);
    call.is_of(std::slice::from_ref(&data_root));
    let remap_to = daemon_json.remap_to(args.daemon.userns_remap.as_deref());
    let to_stdout = args.manifest.as_deref() == Some(Path::new("-"));
    if to_stdout && args.output.json {
        return Err(Failure::usage(
            "--manifest - and --json both want stdout: give the manifest a file",
        ));
    }
    let into = direction == Direction::Into;
    if into && daemon_json.uses_containerd_store() && !args.write_daemon_json {
        return Err(Failure::refused(format!(
            "{}: sets features.containerd-snapshotter. With userns-remap, Docker 29 does not start then, and older ones \
             show nothing of what is there. Add --write-daemon-json, which takes it out in the same run",
            path(&start.config)
        )));
    }
    let new_user = match args.create_user && remap_to == "default" {
        true => Some(NewUser::plan().map_err(refused)?).filter(|new| !new.missing().is_empty()),
        false => None,
    };
    let remap = match &new_user {
        Some(new) => new.remap.clone(),
        None => Remap::resolve(&remap_to).map_err(refused)?,
    };
    if into && let Some(found) = subids::accounts_inside(&remap.user) {
        let help = found.remedy.unwrap_or_default();
        let file = found.what;
        return Err(Failure::refused(format!(
            "/etc/{file}: {}. Give {} {help}",
            found.found, remap.user
        )));
    }
    let writes = args.write_daemon_json
        && start
            .check_write(direction, &remap_to, &data_root)
            .map_err(refused)?;
    let store = Store::at(&args.store.journal_dir);
    let mut notes = Vec::new();
    let request = MigrateRequest {
        data_root: data_root.clone(),
        direction,
        copy: None,
        staging: None,
        jobs: args.effort.threads(),
        keep_going: args.keep_going,
        set_userns_host: args.set_userns_host,
        bind_mounts: args.bind_mounts,
        allow_home,
        shifted_before: match into {
            true => Vec::new(),
            false => shifted_before(&store, &data_root),
        },
        clear_flags: args.immutable == Immutable::Clear,
        allow_outside_links: args.allow_outside_links,
        daemon_json: writes.then(|| (start.config.clone(), remap_to.clone())),
    };
    let migration = Migration::prepare(&request, &remap).map_err(|error| {
        unfinished_run(&store, &data_root).map_or_else(|| refused(error), Failure::refused)
    })?;
    let monitor = Terminal::new(args.output.quiet);
    let mounted = migration.inventory.still_mounted();
    if let (Some(mounted), false) = (&mounted, args.dry_run) {
        // Whoever uses it is told first.
        migration.plan().lock(&store, &monitor)?;
        return Err(Failure::refused(mounted));
    }
    notes.extend(told(&migration, &remap, args.dry_run));
    let copy = copy.then(|| PlannedCopy::of(&data_root, &remap.dir_name()));
    let copy = copy.transpose().map_err(refused)?;
    if let (Some(_), Some(conversion)) = (&copy, &migration.conversion) {
        return Err(Failure::refused(format!(
            "{}: images and containers in the containerd image store are renamed, and --copy leaves them where they are. \
             Migrate without --copy: `idshift rollback` undoes it",
            path(&conversion.containerd.path)
        )));
    }
    notes.extend(copy.iter().map(|copy| told_copy(copy, args.dry_run)));
    if let Some(new) = &new_user {
        if !args.dry_run {
            // Only when nothing else stands in the way.
            let held = migration.plan().lock(&store, &monitor)?;
            make_user(new)?;
            drop(held);
        }
        let made = if args.dry_run { "Would make" } else { "Made" };
        let missing = new.missing().into_iter();
        notes.extend(missing.map(|what| format!("{made} {what}.")));
    }
    // A run that could not read its journal any more has begun, and is to be undone with what was made for it.
    let is_unused = |done: &Result<Report, Failure>| match done {
        Ok(report) => report.journal.is_none(),
        Err(_) => is_surely_ended(&store, &data_root),
    };
    let report = match (args.dry_run, &copy) {
        (true, _) => {
            migration.check_conversion(&stop).map_err(refused)?;
            let manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
            let plan = migration.plan();
            let mut report = plan.dry_run(&store, manifest, &monitor, &stop)?;
            report.would_refuse.extend(mounted);
            notes.extend(plan.untold_renames()?.iter().map(ToString::to_string));
            report
        }
        (false, None) if migration.conversion.is_some() => {
            let held = migration.plan().lock(&store, &monitor)?;
            let staging = migration.make_staging(&stop);
            if stop.is_asked() {
                staging.iter().flatten().for_each(Staging::remove);
                monitor.clear();
                call.print("interrupted", serde_json::json!({}));
                tell!("Interrupted. Nothing was changed.");
                return Ok(Exit::Interrupted);
            }
            let staging = staging.map_err(refused)?;
            drop(held);
            let done = carry_staging(request, staging.clone(), &remap, &store, &monitor, &stop);
            if is_unused(&done) {
                staging.iter().for_each(Staging::remove);
            }
            done?
        }
        (false, None) => migration.plan().execute(&store, &monitor, &stop)?,
        (false, Some(copy)) => {
            let held = migration.plan().lock(&store, &monitor)?;
            let made = copy.make(&monitor, &stop);
            if stop.is_asked() {
                monitor.clear();
                call.print("interrupted", serde_json::json!({}));
                tell!("Interrupted. Nothing was changed, and the copy is removed.");
                return Ok(Exit::Interrupted);
            }
            made.map_err(refused)?;
            drop(held);
            let done = carry_copy(request, copy, &remap, &store, &monitor, &stop);
            if is_unused(&done) {
                copy.remove();
            }
            done?
        }
    };
    monitor.clear();
    let of = match args.dry_run {
        true => SummaryKind::DryRun,
        false => SummaryKind::Shift,
    };
    print_report(
        call,
        &report,
        of,
        &args.output,
        to_stdout,
        args.manifest.as_deref(),
    );
    if !args.output.quiet {
        let done = matches!(report.outcome(), Outcome::Done | Outcome::SomeLeft);
        if done && !args.dry_run {
            notes.push(start.next(direction, writes, &remap_to, &data_root));
        }
        let is_undone = matches!(report.ending, Ending::RolledBack { .. });
        let journal = report.journal.as_deref().filter(|_| is_undone);
        let journal = journal.and_then(|path| Journal::open(path).ok());
        notes.extend(journal.as_ref().and_then(copy::left));
        for note in notes {
            // What programs read is on stdout.
            tell!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}

/// Makes the user, and sees that it has become what the plan is for.
fn make_user(new: &NewUser) -> Result<(), Failure> {
    new.make().map_err(refused)?;
    let remap = Remap::resolve("default").map_err(refused)?;
    match remap == new.remap {
        true => Ok(()),
        false => Err(Failure::refused(format!(
            "{} was made, and got {} instead of {}; nothing else was changed. Run it again to use that",
            remap.user, remap.map, new.remap.map
        ))),
    }
}

/// Carries the data-root into the range, with what was made for a conversion.
fn carry_staging(
    request: MigrateRequest,
    staging: Option<Staging>,
    remap: &Remap,
    store: &Store,
    monitor: &Terminal,
    stop: &Stop,
) -> Result<Report, Failure> {
    let with_staging = MigrateRequest { staging, ..request };
    let migration = Migration::prepare(&with_staging, remap).map_err(refused)?;
    Ok(migration.plan().execute(store, monitor, stop)?)
}

/// Carries a copy that was made into the range.
fn carry_copy(
    request: MigrateRequest,
    copy: &PlannedCopy,
    remap: &Remap,
    store: &Store,
    monitor: &Terminal,
    stop: &Stop,
) -> Result<Report, Failure> {
    let of_copy = MigrateRequest {
        copy: Some(copy.name.clone()),
        ..request
    };
    let migration = Migration::prepare(&of_copy, remap).map_err(refused)?;
    Ok(migration.plan().execute(store, monitor, stop)?)
}

/// What a copy takes.
fn told_copy(copy: &PlannedCopy, dry_run: bool) -> String {
    format!(
        "The plain root {} as it is: {} {} copied{}.",
        if dry_run { "would stay" } else { "stays" },
        inodes(copy.amount.inodes),
        if dry_run { "would be" } else { "were" },
        match copy.shares_content {
            true => ", which share their content with it".to_string(),
            false => format!(" ({})", bytes(copy.amount.bytes)),
        }
    )
}

/// What becomes of the containerd image store.
fn told_conversion(conversion: &Conversion, dry_run: bool) -> String {
    let left = match conversion.left_manifests {
        0 => String::new(),
        n => format!(" {n} manifests for other platforms and attestations are left.",),
    };
    format!(
        "{} images and {} containers of the containerd image store {} overlay2 layers. Images get other ids (of their \
         configuration), and the build cache is left.{left} What the store has besides stays in {}.",
        conversion.images.len(),
        conversion.containers.len(),
        if dry_run { "would become" } else { "are now" },
        path(&conversion.containerd.path),
    )
}

/// What a person should know of a plan.
fn told(migration: &Migration, remap: &Remap, dry_run: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(aside) = &migration.set_aside {
        notes.push(format!(
            "An unused docker root was in the way; it is kept as {aside}."
        ));
    }
    if let Some(aside) = &migration.drivers_set_aside {
        notes.push(format!(
            "The remapped daemon's storage driver holds nothing; its empty directories are kept as {aside}, so that \
             the daemon finds its containerd image store. Remove them when all is there."
        ));
    }
    notes.extend(
        migration
            .conversion
            .iter()
            .map(|it| told_conversion(it, dry_run)),
    );
    let inventory = &migration.inventory;
    for volume in &inventory.volumes {
        notes.push(format!("Volume {volume}."));
    }
    let carried = inventory.bind_mounts.iter();
    for mount in carried.filter(|mount| mount.kind == Advice::Carried) {
        notes.push(format!(
            "Bind mount {} of {} goes along with the data-root, shifted.",
            path(&mount.source),
            mount.container
        ));
    }
    let carried = inventory.bind_mounts.iter();
    for mount in carried.filter(|mount| mount.kind == Advice::Idmapped) {
        notes.push(format!(
            "Bind mount {} of {} stays as it is: {}.",
            path(&mount.source),
            mount.container,
            mount.advice
        ));
    }
    for bind in &inventory.in_place {
        notes.push(format!("Bind mount {} goes along.", path(bind)));
    }
    for (bind, claim) in inventory.claimed() {
        notes.push(format!(
            "Bind mount {} stays as it is: it {claim}. --allow-home takes it along.",
            path(bind)
        ));
    }
    for (dir, command) in inventory.left_shifted(remap) {
        let (stays, too) = match dry_run {
            true => ("would stay", ", and so does --bind-mounts"),
            false => ("stays", ""),
        };
        notes.push(format!(
            "{} {stays} shifted, and containers are not remapped any more: {command} shifts it back{too}.",
            path(dir)
        ));
    }
    for name in &migration.marked {
        notes.push(format!("Container {name} is marked --userns=host."));
    }
    for (name, why) in &migration.will_not_start {
        notes.push(format!(
            "Container {name} {why}: it does not start remapped. --set-userns-host marks such containers."
        ));
    }
    notes
}
