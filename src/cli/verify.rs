//! `idshift verify`

use super::args::VerifyArgs;
use super::exit::{Exit, Failure};
use super::shift::{direction, print_report};
use super::summary::Of;
use super::terminal::Terminal;
use crate::engine::{self, ShiftRequest};
use crate::record::line::WalkOptions;
use crate::record::{Journal, Store};

/// Runs it.
pub fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let stop = args.effort.begin();
    let monitor = Terminal::new(args.output.quiet);
    let report = match args.map.is_given() {
        true => engine::verify_map(&request(args)?, &monitor, &stop),
        false => engine::verify_journal(&journal(args)?, args.effort.threads(), &monitor, &stop),
    };
    monitor.clear();
    let report = report?;
    print_report(&report, Of::Verify, &args.output, false, None);
    Ok(Exit::from(&report))
}

fn request(args: &VerifyArgs) -> Result<ShiftRequest, Failure> {
    Ok(ShiftRequest {
        paths: args.what.clone(),
        map: args.map.resolve()?,
        direction: direction(args.reverse),
        jobs: args.effort.threads(),
        walk: WalkOptions {
            exclude: args.exclude.clone(),
            cross_mounts: args.cross_mounts,
            outside_links: true,
            ..WalkOptions::default()
        },
        allow_in_use: true,
        allow_system_path: true,
        service: false,
        command: "verify".into(),
    })
}

fn journal(args: &VerifyArgs) -> Result<Journal, Failure> {
    let [name] = &args.what[..] else {
        return Err(Failure::usage(
            "verify takes one journal, or --map or --subid and trees",
        ));
    };
    let store = Store::at(&args.store.journal_dir);
    let name = name.to_string_lossy();
    let path = match &*name {
        "latest" => store.latest("verified", |_| true)?,
        name => store.find(name)?,
    };
    if path.is_dir() {
        return Err(Failure::usage(format!(
            "{name}: is a tree; name its map too, with --map or --subid"
        )));
    }
    Ok(Journal::open(&path)?)
}
