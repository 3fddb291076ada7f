//! `idshift docker migrate --rootless`, `idshift docker revert --rootless`

use std::path::{Path, PathBuf};

use super::refused;
use super::rootless_notes::{driver_note, notes, question};
use crate::cli::args::{Immutable, MigrateArgs, MigrationArgs, RevertArgs};
use crate::cli::commands::shift::{is_manifest_to_stdout, open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::effort::Limits;
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
use crate::engine::{Refusal, Report, RunControl};
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

/// The plan, and all that it is made of.
struct PlannedMove<'a> {
    args: &'a MigrationArgs,
    store: Store,
    request: RootlessRequest,
    plan: RootlessMove,
}

fn run(
    (user, rootless_root, direction): (&str, Option<&Path>, Direction),
    args: &MigrationArgs,
    call: &mut Invocation,
) -> Result<Exit, Failure> {
    let limits = args.effort.apply().map_err(Failure::refused)?;
    let user = RootlessUser::resolve(user).map_err(refused)?;
    let config = UserConfig::read(&user).map_err(refused)?;
    let looks_in = config.data_root(&user);
    let rootless_root = rootless_root.map_or(looks_in, Path::to_path_buf);
    let request = request(args, user, rootless_root, direction)?;
    let now = data_root_now(&request);
    call.is_of(std::slice::from_ref(now));
    let to_stdout = is_manifest_to_stdout(args.manifest.as_deref(), &args.output)?;
    let store = Store::at(&args.store.journal_dir);
    let plan = prepare(&request, &store)?;
    let drivers = DockerRoot::at(now).drivers().map_err(refused)?;
    let mut planned = PlannedMove {
        args,
        store,
        request,
        plan,
    };
    let monitor = Terminal::new(args.output.quiet);
    let (report, of) = match args.dry_run {
        true => (
            planned.dry_run(limits.control(&monitor))?,
            SummaryKind::DryRun,
        ),
        false => match planned.execute(&limits, &monitor)? {
            Some(report) => (report, SummaryKind::Shift),
            None => return Ok(confirm::interrupted()),
        },
    };
    monitor.clear();
    let manifest = args.manifest.as_deref();
    print_report(call, &report, of, &args.output, to_stdout, manifest);
    if !args.output.quiet {
        let PlannedMove { plan, request, .. } = &planned;
        let mut notes = notes(plan, (request, &config), &report, args.dry_run);
        notes.extend(driver_note(request, &config, &drivers));
        for note in notes {
            tell!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}

fn request(
    args: &MigrationArgs,
    user: RootlessUser,
    rootless_root: PathBuf,
    direction: Direction,
) -> Result<RootlessRequest, Failure> {
    let daemon = &args.daemon;
    let target = DaemonTarget::of_host(
        daemon.daemon_json.as_deref(),
        daemon.data_root.as_deref(),
        None,
    );
    Ok(RootlessRequest {
        data_root: target.map_err(refused)?.data_root,
        rootless_root,
        direction,
        user,
        jobs: args.effort.threads(),
        clear_flags: args.obstacles.immutable == Immutable::Clear,
        allow_outside_links: args.obstacles.allow_outside_links,
    })
}

/// The data-root that is read.
fn data_root_now(request: &RootlessRequest) -> &PathBuf {
    match request.direction {
        Direction::Into => &request.data_root,
        Direction::OutOf => &request.rootless_root,
    }
}

/// The plan; where a run that was cut short stands in its way, that is told.
fn prepare(request: &RootlessRequest, store: &Store) -> Result<RootlessMove, Failure> {
    let plan = match request.direction {
        Direction::Into => RootlessMove::prepare(request),
        Direction::OutOf => RootlessMove::prepare_revert(request),
    };
    plan.map_err(
        |error| match unfinished_run(store, data_root_now(request)) {
            Some(run) => Failure::from(Refusal::from(run)),
            None => refused(error),
        },
    )
}

impl PlannedMove<'_> {
    fn dry_run(&mut self, control: RunControl<'_>) -> Result<Report, Failure> {
        let manifest = self
            .args
            .manifest
            .as_deref()
            .map(open_manifest)
            .transpose()?;
        let mut report = self.plan.plan().dry_run(&self.store, manifest, control)?;
        report.would_refuse.append(&mut self.plan.blockers);
        Ok(report)
    }

    /// `None`: interrupted when it asked.
    fn execute(&mut self, limits: &Limits, monitor: &Terminal) -> Result<Option<Report>, Failure> {
        let control = limits.control(monitor);
        if !self.plan.blockers.is_empty() {
            let first = self.plan.blockers.swap_remove(0);
            // Whoever uses what is carried is told first.
            self.plan.plan().lock(&self.store, control)?;
            return Err(Refusal::from(first).into());
        }
        if confirm::is_asked(&self.args.confirm, &self.args.output) {
            // Whoever is asked is not refused afterwards.
            drop(self.plan.plan().lock(&self.store, control)?);
            let question = question(&self.plan, &self.request);
            match monitor.suspend(|| confirm::ask(&question, &limits.cancel)) {
                Answer::Yes => {}
                Answer::No => return Err(confirm::declined()),
                Answer::Interrupted => return Ok(None),
            }
        }
        Ok(Some(self.plan.plan().execute(&self.store, control)?))
    }
}
