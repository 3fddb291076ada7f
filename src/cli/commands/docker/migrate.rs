//! `idshift docker migrate`, `idshift docker revert`

use super::effects::{describe_exchanged, effects};
use super::migration_command::MigrationCommand;
use super::{daemon_target, refused, shared_range};
use crate::cli::args::{Immutable, RevertArgs, RollbackArgs};
use crate::cli::commands::rollback;
use crate::cli::commands::shift::{is_manifest_to_stdout, open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::text::{bytes, inodes, path, printable};
use crate::cli::output::{tell, tell_sentences};
use crate::docker::bind_mounts::Advice;
use crate::docker::conversion::summary::{ConversionSummary, When, changed_files};
use crate::docker::conversion_run::conversion_run;
use crate::docker::guidance as help;
use crate::docker::idmapped::{describe_copied, place, unit};
use crate::docker::migrate::{Confirm, MigrateError, MigrateOptions, Migrated, Planned};
use crate::engine::Outcome;
use crate::journal::Store;
use crate::journal::id::argument;
use crate::store_move::copy::PlannedCopy;

/// Runs it.
pub fn run(command: &MigrationCommand<'_>, call: &mut Invocation) -> Result<Exit, Failure> {
    let args = command.args;
    let limits = args.execution.limits.apply().map_err(Failure::refused)?;
    let target = daemon_target(&args.daemon, call)?;
    let to_stdout =
        is_manifest_to_stdout(args.preview.manifest.as_deref(), &args.execution.output)?;
    let store = Store::at(&args.execution.store.journal_dir);
    let monitor = Terminal::new(args.execution.output.quiet);
    let manifest = || {
        args.preview
            .manifest
            .as_deref()
            .map(open_manifest)
            .transpose()
    };
    let control = limits.control(&monitor);
    let ask = |planned: &Planned<'_>| {
        let lines = effects(command, planned);
        match monitor.suspend(|| confirm::ask(&lines, &limits.cancel)) {
            Answer::Yes => Ok(()),
            Answer::No => Err(MigrateError::Declined),
            Answer::Interrupted => Err(MigrateError::Interrupted { copy: false }),
        }
    };
    let is_asked = confirm::is_asked(&args.execution.confirm, &args.execution.output);
    let ask: Option<Confirm<'_>> = if is_asked { Some(&ask) } else { None };
    let migrated = target.migrate(&options(command), &store, manifest, ask, control);
    monitor.clear();
    let migrated = match migrated {
        Ok(migrated) => migrated,
        Err(MigrateError::Docker(error)) => return Err(refused(error)),
        Err(MigrateError::Refusal(refusal)) => return Err(refusal.into()),
        Err(MigrateError::Declined) => return Err(confirm::declined()),
        Err(MigrateError::Interrupted { copy }) => {
            call.print("interrupted", serde_json::json!({}));
            match copy {
                true => tell!("Interrupted. Nothing was changed, and the copy is removed."),
                false => tell!("Interrupted. Nothing was changed."),
            }
            return Ok(Exit::Interrupted);
        }
    };
    let of = match args.preview.dry_run {
        true => SummaryKind::DryRun,
        false => SummaryKind::Shift,
    };
    if let Some(summary) = &migrated.migration.store_summary {
        call.add("containerd_store", summary);
    }
    if !migrated.shared_ranges.is_empty() {
        call.add("shared_ranges", &migrated.shared_ranges);
    }
    if command.idmapped {
        call.add("exchanged", &migrated.migration.exchanged);
    }
    print_report(
        call,
        &migrated.report,
        of,
        &args.execution.output,
        to_stdout,
        args.preview.manifest.as_deref(),
    );
    if !args.execution.output.quiet {
        for note in notes(&migrated, args.preview.dry_run) {
            // What programs read is on stdout.
            tell_sentences!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&migrated.report))
}

/// `idshift docker revert --to-containerd`: the rollback of the run that converted the store.
pub fn to_containerd(args: &RevertArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let writes = args.write_daemon_json;
    let args = &args.both;
    let target = daemon_target(&args.daemon, call)?;
    let store = Store::at(&args.execution.store.journal_dir);
    let journal = conversion_run(&store, &target.data_root).map_err(refused)?;
    let next = target.after_rollback(&journal, writes).map_err(refused)?;
    let rollback = RollbackArgs {
        journal: journal.path.clone(),
        force: false,
        up_to: None,
        dry_run: args.preview.dry_run,
        execution: args.execution.clone(),
    };
    drop(journal);
    let exit = rollback::run(&rollback, call)?;
    if exit == Exit::Done && !args.preview.dry_run && !args.execution.output.quiet {
        tell_sentences!("{}", printable(&next));
    }
    Ok(exit)
}

fn options(command: &MigrationCommand<'_>) -> MigrateOptions {
    let args = command.args;
    MigrateOptions {
        direction: command.direction,
        dry_run: args.preview.dry_run,
        create_user: args.create_user,
        idmapped: command.idmapped,
        copy: command.copy,
        write_daemon_json: command.write_daemon_json,
        jobs: args.execution.limits.threads(),
        keep_going: args.obstacles.keep_going,
        set_userns_host: command.set_userns_host,
        bind_mounts: command.bind_mounts,
        allow_home: command.allow_home,
        undated: command.undated,
        clear_flags: args.obstacles.guarded.immutable == Immutable::Clear,
        allow_outside_links: args.obstacles.guarded.allow_outside_links,
    }
}

/// Notes about a run, for people.
fn notes(migrated: &Migrated, dry_run: bool) -> Vec<String> {
    let is_done = matches!(migrated.report.outcome(), Outcome::Done | Outcome::SomeLeft);
    let mut notes = match is_done || dry_run {
        true => notes_of_plan(migrated, dry_run),
        // Nothing of the plan is true then.
        false => Vec::new(),
    };
    let migration = &migrated.migration;
    notes.extend(migration.is_copied.then(|| {
        let [holder, content] = place(&migrated.remap.dir_name());
        let content = migration.data_root.join(holder).join(content);
        format!("{}.", describe_copied(&content))
    }));
    let made = if dry_run { "Would create" } else { "Created" };
    let missing = migrated.made.iter();
    notes.extend(missing.map(|what| format!("{made} {what}.")));
    let shared = migrated.shared_ranges.iter().filter(|_| is_done || dry_run);
    notes.extend(shared.map(|line| shared_range(line, "the range")));
    notes.extend(migrated.untested_renames.iter().map(|it| it.to_string()));
    notes.extend(migrated.at_boot.clone().filter(|_| is_done || dry_run));
    notes.extend(migrated.reload.then(|| unit::NOT_RELOADED.to_string()));
    notes.extend(migrated.next.clone());
    notes.extend(migrated.copy_left.clone());
    notes
}

/// What was done, or would be.
fn notes_of_plan(migrated: &Migrated, dry_run: bool) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(migrated.shown.as_ref().map(|(point, content)| {
        format!(
            "Files of containers {} their owners on disk. An idmapped mount of {} on {} {} them with the range's ids.",
            if dry_run { "would keep" } else { "keep" },
            path(content),
            path(point),
            if dry_run { "would show" } else { "shows" },
        )
    }));
    let migration = &migrated.migration;
    let exchanged = describe_exchanged(migration, &migrated.remap);
    notes.extend(exchanged.map(|told| format!("{told}.")));
    notes.extend(describe(migrated, dry_run));
    let store = migrated.migration.store_summary.iter();
    notes.extend(store.filter_map(|it| changed_files(&it.changed_files)));
    let copy = migrated.copy.iter();
    notes.extend(copy.map(|copy| describe_copy(copy, dry_run)));
    notes
}

/// What a copy takes.
fn describe_copy(copy: &PlannedCopy, dry_run: bool) -> String {
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

/// What happens to the containerd image store.
fn describe_conversion(conversion: &ConversionSummary, dry_run: bool) -> Vec<String> {
    let (when, is) = match dry_run {
        true => (When::WouldBe, "would be"),
        false => (When::Done, "is"),
    };
    let mut told = conversion.sentences(when, bytes);
    told.extend(dry_run.then(|| conversion.not_counted()));
    told.extend(conversion.leftover.as_ref().map(|dir| {
        format!(
            "{} {is} removed: a conversion had made it that was cut short before it changed anything.",
            path(dir)
        )
    }));
    told
}

/// Notes about a plan, for people.
fn describe(migrated: &Migrated, dry_run: bool) -> Vec<String> {
    let (migration, remap) = (&migrated.migration, &migrated.remap);
    let [is, are, was, stays] = match dry_run {
        true => ["would be", "would be", "is", "would stay"],
        false => ["is", "are", "was", "stays"],
    };
    let mut notes = Vec::new();
    if let Some(aside) = &migration.set_aside.unused_root {
        notes.push(format!(
            "An unused root {was} in the way. It {is} kept as {aside}."
        ));
    }
    if let Some(aside) = &migration.set_aside.drivers {
        notes.push(format!(
            "The remapped daemon's storage driver holds nothing; its empty directories {are} kept as {aside}, so that \
             the daemon finds its containerd image store. Remove them when nothing is missing."
        ));
    }
    notes.extend(
        migration
            .set_aside
            .left_root
            .as_deref()
            .map(help::kept_root),
    );
    let store = migration.store_summary.iter();
    notes.extend(store.flat_map(|it| describe_conversion(it, dry_run)));
    let inventory = &migration.inventory;
    for volume in &inventory.volumes {
        notes.push(match dry_run && volume.shifted_with_bind_mounts {
            true => format!("Volume {volume}. {}.", help::SO_DOES_BIND_MOUNTS),
            false => format!("Volume {volume}."),
        });
    }
    let moved = inventory.bind_mounts.iter();
    for mount in moved.filter(|mount| mount.kind == Advice::Moved) {
        notes.push(format!(
            "Bind mount {} of {} moves with the data-root and is shifted.",
            path(&mount.source),
            mount.container
        ));
    }
    let moved = inventory.bind_mounts.iter();
    for mount in moved.filter(|mount| mount.kind == Advice::Idmapped) {
        notes.push(format!(
            "Bind mount {} of {} stays as it is: {}.",
            path(&mount.source),
            mount.container,
            mount.advice
        ));
    }
    for bind in &inventory.in_place {
        let bind = path(bind);
        notes.push(format!("Bind mount {bind} {is} shifted in place."));
    }
    for (bind, claim, command) in inventory.claimed(remap) {
        let help = match dry_run {
            true => "--allow-home shifts it too.".to_string(),
            // This migration cannot be run a second time.
            false => format!("To shift it anyway: `{command}`"),
        };
        let bind = path(bind);
        notes.push(format!(
            "Bind mount {bind} {stays} as it is: it {claim}. {help}"
        ));
    }
    for (dir, command) in inventory.left_shifted(remap) {
        let too = match dry_run {
            true => format!(" {}.", help::SO_DOES_BIND_MOUNTS),
            false => String::new(),
        };
        notes.push(format!(
            "{} {stays} shifted, and containers are not remapped any more: {command} shifts it back.{too}",
            path(dir)
        ));
    }
    notes.extend(migration.services_note());
    for (dir, command) in inventory.in_other_range() {
        notes.push(format!(
            "{} {stays} in a range that the daemon had before: {command} shifts it back.",
            path(dir)
        ));
    }
    for name in &migration.marked {
        notes.push(format!("Container {name} {is} marked --userns=host."));
    }
    notes.extend(blocked_notes(migrated, dry_run));
    notes
}

/// Which containers do not start remapped, and what helps.
fn blocked_notes(migrated: &Migrated, dry_run: bool) -> Vec<String> {
    let blocked = &migrated.migration.will_not_start;
    let names = blocked.iter();
    let mut notes: Vec<String> = names
        .map(|(name, why)| format!("Container {name} {why}: it does not start remapped."))
        .collect();
    if !blocked.is_empty() {
        let journal = migrated.report.journal.as_deref();
        notes.extend(match dry_run {
            true => Some("--set-userns-host marks such containers.".to_string()),
            false => journal.map(|journal| help::mark_later(&argument(journal))),
        });
    }
    notes
}
