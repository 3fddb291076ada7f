//! `idshift docker migrate`, `idshift docker revert`

use super::effects::effects;
use super::migrate_notes::notes;
use super::migration_command::MigrationCommand;
use super::{daemon_target, refused};
use crate::cli::args::{Immutable, RevertArgs, RollbackArgs};
use crate::cli::commands::rollback;
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell_sentences;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::printable;
use crate::cli::run_output::RunOutput;
use crate::cli::store_move::not_executed;
use crate::docker::conversion_run::conversion_run;
use crate::docker::migrate::{Confirm, MigrateError, MigrateOptions, Planned};
use crate::docker::migration_plan::PlanOptions;
use crate::journal::Store;

/// Runs it.
pub fn run(command: &MigrationCommand<'_>, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let args = command.args;
    let limits = args.execution.limits.apply().map_err(Failure::refused)?;
    let target = daemon_target(&args.daemon, invocation)?;
    let manifest = args.preview.manifest.as_deref();
    let output = RunOutput::with_manifest(&args.execution.output, manifest)?;
    let store = Store::at(&args.execution.store.journal_dir);
    let monitor = Terminal::new(args.execution.output.quiet);
    let manifest = || output.open_manifest();
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
        Err(error) => return not_executed(error, invocation),
    };
    let kind = match args.preview.dry_run {
        true => SummaryKind::DryRun,
        false => SummaryKind::Shift,
    };
    if let Some(summary) = &migrated.migration.store_summary {
        invocation.add_member("containerd_store", summary);
    }
    if !migrated.shared_ranges.is_empty() {
        invocation.add_member("shared_ranges", &migrated.shared_ranges);
    }
    if command.idmapped {
        invocation.add_member("exchanged", &migrated.migration.exchanged);
    }
    output.print(invocation, &migrated.report, kind);
    output.tell(notes(&migrated, Tense::of(args.preview.dry_run)));
    Ok(Exit::from(&migrated.report))
}

/// `idshift docker revert --to-containerd`: the rollback of the run that converted the store.
pub fn to_containerd(args: &RevertArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let writes = args.write_daemon_json;
    let args = &args.both;
    let target = daemon_target(&args.daemon, invocation)?;
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
    let exit = rollback::run(&rollback, invocation)?;
    if exit == Exit::Done && !args.preview.dry_run && !args.execution.output.quiet {
        tell_sentences!("{}", printable(&next));
    }
    Ok(exit)
}

fn options(command: &MigrationCommand<'_>) -> MigrateOptions {
    let args = command.args;
    MigrateOptions {
        dry_run: args.preview.dry_run,
        create_user: args.create_user,
        write_daemon_json: command.write_daemon_json,
        plan: PlanOptions {
            direction: command.direction,
            idmapped: command.idmapped,
            copy: command.copy,
            jobs: args.execution.limits.threads(),
            keep_going: args.obstacles.keep_going,
            set_userns_host: command.set_userns_host,
            bind_mounts: command.bind_mounts,
            allow_home: command.allow_home,
            undated: command.undated,
            clear_flags: args.obstacles.guarded.immutable == Immutable::Clear,
            allow_outside_links: args.obstacles.guarded.allow_outside_links,
        },
    }
}
