//! `idshift verify`

use crate::cli::announce;
use crate::cli::args::{VerifyArgs, direction};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::run_output::RunOutput;
use crate::engine::{self, Monitor, Phase, ShiftRequest};
use crate::fs::escape::escaped;
use crate::journal::record::{RunKind, WalkOptions};
use crate::journal::{Journal, Store};

/// Runs it.
pub fn run(args: &VerifyArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.limits.apply().map_err(Failure::refused)?;
    let monitor = Terminal::new(args.output.quiet);
    let control = limits.control(&monitor);
    let report = match args.map.is_given() {
        true => engine::verify_map(&request(args)?, args.assume_shifted, control),
        false => {
            monitor.phase(Phase::Reading, None);
            let journal = journal(args)?;
            invocation.set_journal(&journal);
            monitor.suspend(|| announce::announce("Verifying", &journal, &args.output));
            engine::verify_journal(&journal, args.limits.threads(), control)
        }
    };
    monitor.clear();
    let report = report?;
    RunOutput::new(&args.output).print(invocation, &report, SummaryKind::Verify);
    Ok(Exit::from(&report))
}

fn request(args: &VerifyArgs) -> Result<ShiftRequest, Failure> {
    Ok(ShiftRequest {
        paths: args.what.clone(),
        map: args.map.resolve(args.output.quiet)?,
        direction: direction(args.reverse),
        jobs: args.limits.threads(),
        walk: WalkOptions {
            exclude: args.scope.globs(),
            cross_mounts: args.scope.cross_mounts,
            outside_links: true,
            ..WalkOptions::default()
        },
        allow_in_use: true,
        allow_system_path: true,
        allow_home: true,
        kind: RunKind::Shift,
    })
}

fn journal(args: &VerifyArgs) -> Result<Journal, Failure> {
    let [name] = &args.what[..] else {
        return Err(Failure::usage(
            "verify takes one journal, or --map, --map-from or --subid and trees",
        ));
    };
    let store = Store::at(&args.store.journal_dir);
    let path = store.find(name).map_err(|error| match name.is_dir() {
        true => Failure::usage(format!(
            "{}: is a tree; name its map too, with --map, --map-from or --subid",
            escaped(name)
        )),
        false => error.into(),
    })?;
    Ok(Journal::open(&path)?)
}
