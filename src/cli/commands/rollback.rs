//! `idshift rollback`

use crate::cli::announce;
use crate::cli::args::RollbackArgs;
use crate::cli::commands::shift::print_report;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell;
use crate::cli::output::text::printable;
use crate::docker::copy;
use crate::docker::idmapped::unit;
use crate::engine::{self, Ending, Monitor, Phase, RollbackOptions};
use crate::fs::escape::escaped;
use crate::journal::kept_whole;
use crate::journal::{Journal, JournalState, Store};

/// Runs it.
pub fn run(args: &RollbackArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.effort.apply().map_err(Failure::refused)?;
    let store = Store::at(&args.store.journal_dir);
    let path = store.find(&args.journal)?;
    let monitor = Terminal::new(args.output.quiet);
    monitor.phase(Phase::Reading, None);
    let journal = match args.up_to {
        Some(frames) => Journal::open_up_to(&path, frames)?,
        None => Journal::open(&path)?,
    };
    call.is_of_journal(&journal);
    let is_over = journal.state == JournalState::Undone && journal.left() == 0;
    announce::check_not_over(&args.journal, &journal, is_over, &store)?;
    let doing = match args.dry_run {
        true => "Would roll back",
        false => "Rolling back",
    };
    monitor.suspend(|| announce::announce(doing, &journal, &args.output));
    let options = RollbackOptions {
        dry_run: args.dry_run,
        force: args.force,
        jobs: args.effort.threads(),
    };
    let report = engine::rollback(&journal, options, limits.control(&monitor));
    monitor.clear();
    let report = report?;
    let of = match args.dry_run {
        true => SummaryKind::RollbackDryRun,
        false => SummaryKind::Rollback,
    };
    print_report(call, &report, of, &args.output, false, None);
    if !args.dry_run && !unit::reload(&journal.header) {
        tell!("{}", unit::NOT_RELOADED);
    }
    let acted = args.up_to.is_some() && !args.dry_run;
    if let Some(whole) = kept_whole(&path).filter(|_| acted) {
        tell!(
            "The journal as it was, with what comes behind, is kept: {}",
            escaped(&whole)
        );
    }
    let is_over = matches!(report.ending, Ending::Done | Ending::Nothing { .. });
    let is_told = is_over && !args.dry_run && !args.output.quiet;
    if let Some(left) = copy::left(&journal).filter(|_| is_told) {
        tell!("{}", printable(&left));
    }
    Ok(Exit::from(&report))
}
