//! `idshift resume`

use super::args::ResumeArgs;
use super::exit::{Exit, Failure};
use super::json::Invocation;
use super::shift::print_report;
use super::summary::Of;
use super::terminal::Terminal;
use crate::engine;
use crate::record::{Journal, Store};

/// Runs it.
pub fn run(args: &ResumeArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let stop = args.effort.begin();
    let store = Store::at(&args.store.journal_dir);
    let path = match args.journal.as_str() {
        "latest" => store.latest("resumed", |journal| journal.state.is_open())?,
        name => store.find(name)?,
    };
    let journal = Journal::open(&path)?;
    call.is_of_journal(&journal.header);
    let monitor = Terminal::new(args.output.quiet);
    let report = engine::resume(&journal, args.effort.threads(), &monitor, &stop);
    monitor.clear();
    let report = report?;
    print_report(call, &report, Of::Shift, &args.output, false, None);
    Ok(Exit::from(&report))
}
