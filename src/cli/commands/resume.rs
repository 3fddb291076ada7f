//! `idshift resume`

use crate::cli::announce;
use crate::cli::args::ResumeArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell_sentences;
use crate::cli::run_output::RunOutput;
use crate::docker::idmapped::unit;
use crate::engine::{self, Monitor, Phase, ResumeOptions};
use crate::journal::{Journal, Store};

/// Runs it.
pub fn run(args: &ResumeArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.limits.apply().map_err(Failure::refused)?;
    let store = Store::at(&args.store.journal_dir);
    let monitor = Terminal::new(args.output.quiet);
    monitor.phase(Phase::Reading, None);
    let journal = Journal::open(&store.find(&args.journal)?)?;
    invocation.set_journal(&journal);
    announce::check_not_over(&args.journal, &journal, !journal.state.is_open(), &store)?;
    monitor.suspend(|| announce::announce("Resuming", &journal, &args.output));
    let options = ResumeOptions {
        jobs: args.limits.threads(),
        allow_in_use: args.allow_in_use,
    };
    let report = engine::resume(&journal, options, limits.control(&monitor));
    monitor.clear();
    let report = report?;
    RunOutput::new(&args.output).print(invocation, &report, SummaryKind::Shift);
    if !unit::reload(&journal.header) {
        tell_sentences!("{}", unit::NOT_RELOADED);
    }
    Ok(Exit::from(&report))
}
