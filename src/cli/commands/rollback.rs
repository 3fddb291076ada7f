//! `idshift rollback`

use crate::cli::announce;
use crate::cli::args::RollbackArgs;
use crate::cli::confirm::{ask_before, is_asked};
use crate::cli::exit::{Exit, Failure};
use crate::cli::limits::Limits;
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::run_words::RunWords;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell_sentences;
use crate::cli::output::text::{inodes, printable};
use crate::cli::run_output::RunOutput;
use crate::docker::conversion::leftover;
use crate::docker::idmapped::unit;
use crate::engine::{self, Ending, Monitor, Phase, Report, RollbackOptions};
use crate::fs::escape::escaped;
use crate::journal::kept_whole;
use crate::journal::{Journal, JournalState, Store};
use crate::store_move::copy::earlier;

/// Runs it.
pub fn run(args: &RollbackArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.execution.limits.apply().map_err(Failure::refused)?;
    let store = Store::at(&args.execution.store.journal_dir);
    let path = store.find(&args.journal)?;
    let monitor = Terminal::new(args.execution.output.quiet);
    monitor.phase(Phase::Reading, None);
    let journal = match args.up_to {
        Some(frames) => Journal::open_up_to(&path, frames)?,
        None => Journal::open(&path)?,
    };
    invocation.set_journal(&journal);
    let is_over = journal.state == JournalState::Undone && journal.left() == 0;
    if is_over && !args.execution.output.quiet {
        tell_left(&journal);
    }
    announce::check_not_over(&args.journal, &journal, is_over, &store)?;
    if let Some(exit) = announce_and_ask(args, &journal, &limits, &monitor, invocation)? {
        return Ok(exit);
    }
    let options = RollbackOptions {
        dry_run: args.dry_run,
        force: args.force,
        jobs: args.execution.limits.threads(),
    };
    let report = engine::rollback(&journal, options, limits.control(&monitor));
    monitor.clear();
    let report = report?;
    let kind = match args.dry_run {
        true => SummaryKind::RollbackDryRun,
        false => SummaryKind::Rollback,
    };
    RunOutput::new(&args.execution.output).print(invocation, &report, kind);
    if !args.dry_run {
        tell_afterwards(args, &journal, &report);
    }
    Ok(Exit::from(&report))
}

/// Says which run is meant, and asks where somebody can answer.
fn announce_and_ask(
    args: &RollbackArgs,
    journal: &Journal,
    limits: &Limits,
    monitor: &Terminal,
    invocation: &Invocation,
) -> Result<Option<Exit>, Failure> {
    let execution = &args.execution;
    let is_asked = is_asked(&execution.confirm, &execution.output);
    let doing = match (args.dry_run, is_asked) {
        (true, _) => "Would roll back",
        (false, true) => "Will roll back",
        (false, false) => "Rolling back",
    };
    monitor.suspend(|| announce::announce(doing, journal, &execution.output));
    match args.dry_run {
        true => Ok(None),
        false => ask_before(execution, limits, monitor, invocation, || {
            Ok(effects(journal, args.force))
        }),
    }
}

/// What a person should know of a rollback that was made.
fn tell_afterwards(args: &RollbackArgs, journal: &Journal, report: &Report) {
    if !unit::reload(&journal.header) {
        tell_sentences!("{}", unit::NOT_RELOADED);
    }
    if let Some(whole) = kept_whole(&journal.path).filter(|_| args.up_to.is_some()) {
        tell_sentences!(
            "The complete journal, with the frames after these, is kept: {}",
            escaped(&whole)
        );
    }
    let is_undone = matches!(report.ending, Ending::Done | Ending::Nothing { .. });
    if is_undone && !args.execution.output.quiet {
        tell_left(journal);
    }
}

/// What had been made for the run, and is no longer needed.
fn tell_left(journal: &Journal) {
    let left = [earlier::left(journal), leftover::left(journal)];
    for left in left.into_iter().flatten() {
        tell_sentences!("{}", printable(&left));
    }
}

/// What a rollback does, for the confirmation.
fn effects(journal: &Journal, force: bool) -> Vec<String> {
    let named = journal.named();
    let mut lines = vec![format!(
        "  Restores owner, mode, ACLs and capability of {}, as they were before the run.",
        inodes(named.inodes)
    )];
    if named.steps > 0 {
        let words = RunWords::of_journal(&journal.header);
        lines.push(format!("  Undoes {}.", words.steps(named.steps)));
    }
    lines.push(match force {
        true => {
            "  Inodes that were changed after the run get their owner back too (--force).".into()
        }
        false => {
            "  Inodes that were changed after the run stay as they are, and are reported.".into()
        }
    });
    lines
}
