//! `idshift docker migrate --rootless`, `idshift docker revert --rootless`

use std::path::{Path, PathBuf};

use super::refused;
use super::rootless_notes::{driver_note, notes, question};
use crate::cli::args::{Immutable, MigrateArgs, MigrationArgs, RevertArgs};
use crate::cli::commands::copied;
use crate::cli::commands::shift::{is_manifest_to_stdout, open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell_sentences;
use crate::cli::output::text::printable;
use crate::docker::DockerError;
use crate::docker::data_root::DockerRoot;
use crate::docker::migrate::DaemonTarget;
use crate::docker::rootless::copied_move::{CopiedError, unfinished_copy};
use crate::docker::rootless::plan::{ENGINE, RootlessMove, RootlessRequest};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::rootless::user_config::UserConfig;
use crate::docker::unfinished_run::unfinished_run;
use crate::engine::Refusal;
use crate::idmap::Direction;
use crate::journal::Store;

/// From the plain data-root to the user's.
pub fn migrate(user: &str, args: &MigrateArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let asked = Asked {
        user,
        rootless_root: args.rootless.to.as_deref(),
        direction: Direction::Into,
        copy: args.copy,
    };
    run(&asked, &args.both, call)
}

/// From the user's data-root to the plain one.
pub fn revert(user: &str, args: &RevertArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    if args.both.obstacles.guarded.immutable == Immutable::Clear {
        let why = "--immutable=clear is not for what a user may have made immutable: `chattr -i` it as root, if it is right";
        return Err(Failure::usage(why));
    }
    let asked = Asked {
        user,
        rootless_root: args.rootless.from.as_deref(),
        direction: Direction::OutOf,
        copy: false,
    };
    run(&asked, &args.both, call)
}

/// What is asked, beside what both ways have in common.
struct Asked<'a> {
    user: &'a str,
    rootless_root: Option<&'a Path>,
    direction: Direction,
    copy: bool,
}

fn run(asked: &Asked<'_>, args: &MigrationArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.effort.apply().map_err(Failure::refused)?;
    let (request, config) = request(asked, args)?;
    let now = now(&request);
    call.is_of(std::slice::from_ref(now));
    let to_stdout = is_manifest_to_stdout(args.manifest.as_deref(), &args.output)?;
    let store = Store::at(&args.store.journal_dir);
    let plan = match request.direction {
        Direction::Into => RootlessMove::prepare(&request),
        Direction::OutOf => RootlessMove::prepare_revert(&request),
    };
    let refused_first = |error| unfinished_or(error, &store, &request);
    let mut plan = plan.map_err(refused_first)?;
    let drivers = DockerRoot::at(now).drivers().map_err(refused)?;
    let monitor = Terminal::new(args.output.quiet);
    let control = limits.control(&monitor);
    if !args.dry_run && !plan.blockers.is_empty() {
        let first = plan.blockers.swap_remove(0);
        // Whoever uses what is carried is told first.
        plan.plan().lock(&store, control)?;
        return Err(Refusal::from(first).into());
    }
    let copy = plan.copy(&request).map_err(refused_first)?;
    let (report, of) = match args.dry_run {
        true => {
            let manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
            let mut report = plan.plan().dry_run(&store, manifest, control)?;
            report.would_refuse.append(&mut plan.blockers);
            (report, SummaryKind::DryRun)
        }
        false => {
            if confirm::is_asked(&args.confirm, &args.output) {
                // Whoever is asked is not refused afterwards.
                drop(plan.plan().lock(&store, control)?);
                let lines = question(&plan, &request, copy.as_ref());
                match monitor.suspend(|| confirm::ask(&lines, &limits.cancel)) {
                    Answer::Yes => {}
                    Answer::No => return Err(confirm::declined()),
                    Answer::Interrupted => return Ok(confirm::interrupted()),
                }
            }
            let report = plan.execute(&request, copy.as_ref(), &store, control);
            monitor.clear();
            match report {
                Ok(report) => (report, SummaryKind::Shift),
                Err(CopiedError::InTheWay(error)) => return Err(refused(error)),
                Err(CopiedError::Refusal(refusal)) => return Err(refusal.into()),
                Err(CopiedError::Interrupted) => return Ok(copied::interrupted(call)),
            }
        }
    };
    monitor.clear();
    let manifest = args.manifest.as_deref();
    print_report(call, &report, of, &args.output, to_stdout, manifest);
    if !args.output.quiet {
        let mut told = notes(&plan, (&request, &config), &report, args.dry_run);
        told.extend(
            copy.iter()
                .flat_map(|it| copied::notes(it, &report, args.dry_run)),
        );
        told.extend(driver_note(&request, &config, &drivers));
        for note in told {
            tell_sentences!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}

/// The request, and what the user's daemon is told.
fn request(
    asked: &Asked<'_>,
    args: &MigrationArgs,
) -> Result<(RootlessRequest, UserConfig), Failure> {
    let daemon = &args.daemon;
    let target = DaemonTarget::of_host(
        daemon.daemon_json.as_deref(),
        daemon.data_root.as_deref(),
        None,
    );
    let user = RootlessUser::resolve(asked.user).map_err(refused)?;
    let config = UserConfig::read(&user).map_err(refused)?;
    let looks_in = config.data_root(&user);
    let request = RootlessRequest {
        data_root: target.map_err(refused)?.data_root,
        rootless_root: asked.rootless_root.map_or(looks_in, Path::to_path_buf),
        direction: asked.direction,
        copy: asked.copy,
        user,
        jobs: args.effort.threads(),
        clear_flags: args.obstacles.guarded.immutable == Immutable::Clear,
        allow_outside_links: args.obstacles.guarded.allow_outside_links,
    };
    Ok((request, config))
}

/// Where the data is now.
fn now(request: &RootlessRequest) -> &PathBuf {
    match request.direction {
        Direction::Into => &request.data_root,
        Direction::OutOf => &request.rootless_root,
    }
}

/// What a run left that was cut short is told first.
fn unfinished_or(error: DockerError, store: &Store, request: &RootlessRequest) -> Failure {
    let of_copy = || unfinished_copy(store, &request.rootless_root, ENGINE, &request.user.name);
    let run = unfinished_run(store, now(request)).map(Refusal::from);
    match run.or_else(of_copy) {
        Some(run) => Failure::from(run),
        None => refused(error),
    }
}
