//! `idshift docker migrate --rootless`, `idshift docker revert --rootless`

use std::path::Path;

use super::refused;
use super::rootless_notes::{driver_note, notes, question};
use crate::cli::args::{Immutable, MigrateArgs, MigrationArgs, RevertArgs};
use crate::cli::commands::shift::{open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell;
use crate::cli::output::text::printable;
use crate::docker::data_root::DockerRoot;
use crate::docker::migrate::DaemonTarget;
use crate::docker::rootless::plan::{RootlessMove, RootlessRequest};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::rootless::user_config::UserConfig;
use crate::docker::unfinished_run::unfinished_run;
use crate::engine::Refusal;
use crate::idmap::Direction;
use crate::journal::Store;

/// From the plain data-root to the user's.
pub fn migrate(user: &str, args: &MigrateArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let to = args.rootless.to.as_deref();
    run((user, to, Direction::Into), &args.both, call)
}

/// From the user's data-root to the plain one.
pub fn revert(user: &str, args: &RevertArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    if args.both.obstacles.immutable == Immutable::Clear {
        let why = "--immutable=clear is not for what a user may have made immutable: `chattr -i` it as root, if it is right";
        return Err(Failure::usage(why));
    }
    let from = args.rootless.from.as_deref();
    run((user, from, Direction::OutOf), &args.both, call)
}

fn run(
    (user, rootless_root, direction): (&str, Option<&Path>, Direction),
    args: &MigrationArgs,
    call: &mut Invocation,
) -> Result<Exit, Failure> {
    let limits = args.effort.apply().map_err(Failure::refused)?;
    let daemon = &args.daemon;
    let target = DaemonTarget::of_host(
        daemon.daemon_json.as_deref(),
        daemon.data_root.as_deref(),
        None,
    );
    let user = RootlessUser::resolve(user).map_err(refused)?;
    let config = UserConfig::read(&user).map_err(refused)?;
    let looks_in = config.data_root(&user);
    let request = RootlessRequest {
        data_root: target.map_err(refused)?.data_root,
        rootless_root: rootless_root.map_or(looks_in, Path::to_path_buf),
        direction,
        user,
        jobs: args.effort.threads(),
        clear_flags: args.obstacles.immutable == Immutable::Clear,
        allow_outside_links: args.obstacles.allow_outside_links,
    };
    let now = match direction {
        Direction::Into => &request.data_root,
        Direction::OutOf => &request.rootless_root,
    };
    call.is_of(std::slice::from_ref(now));
    let to_stdout = args.manifest.as_deref() == Some(Path::new("-"));
    if to_stdout && args.output.json {
        return Err(Failure::usage(
            "--manifest - and --json both want stdout: give the manifest a file",
        ));
    }
    let store = Store::at(&args.store.journal_dir);
    let plan = match direction {
        Direction::Into => RootlessMove::prepare(&request),
        Direction::OutOf => RootlessMove::prepare_revert(&request),
    };
    let mut plan = plan.map_err(|error| {
        // What a run left that was cut short is told first.
        match unfinished_run(&store, now) {
            Some(run) => Failure::from(Refusal::from(run)),
            None => refused(error),
        }
    })?;
    let drivers = DockerRoot::at(now).drivers().map_err(refused)?;
    let monitor = Terminal::new(args.output.quiet);
    let control = limits.control(&monitor);
    let (report, of) = match args.dry_run {
        true => {
            let manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
            let mut report = plan.plan().dry_run(&store, manifest, control)?;
            report.would_refuse.append(&mut plan.blockers);
            (report, SummaryKind::DryRun)
        }
        false => {
            if !plan.blockers.is_empty() {
                let first = plan.blockers.swap_remove(0);
                // Whoever uses what is carried is told first.
                plan.plan().lock(&store, control)?;
                return Err(Refusal::from(first).into());
            }
            if confirm::is_asked(&args.confirm, &args.output) {
                // Whoever is asked is not refused afterwards.
                drop(plan.plan().lock(&store, control)?);
                match monitor.suspend(|| confirm::ask(&question(&plan, &request), &limits.cancel)) {
                    Answer::Yes => {}
                    Answer::No => return Err(confirm::declined()),
                    Answer::Interrupted => return Ok(confirm::interrupted()),
                }
            }
            (plan.plan().execute(&store, control)?, SummaryKind::Shift)
        }
    };
    monitor.clear();
    let manifest = args.manifest.as_deref();
    print_report(call, &report, of, &args.output, to_stdout, manifest);
    if !args.output.quiet {
        for note in notes(&plan, (&request, &config), &report, args.dry_run) {
            tell!("{}", printable(&note));
        }
        if let Some(note) = driver_note(&request, &config, &drivers) {
            tell!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}
