//! `idshift docker migrate --rootless`, `idshift docker revert --rootless`

use std::path::Path;

use super::refused;
use crate::cli::args::{Immutable, MigrateArgs};
use crate::cli::commands::shift::{open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell;
use crate::cli::output::text::{path, printable, shell_word};
use crate::docker::data_root::DockerRoot;
use crate::docker::migrate::DaemonTarget;
use crate::docker::rootless::plan::{RootlessMove, RootlessRequest};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::rootless::user_config::UserConfig;
use crate::docker::unfinished_run::unfinished_run;
use crate::engine::{Outcome, Refusal, Report};
use crate::journal::Store;
use crate::preflight::check_system_path;

/// The way back is not there yet.
///
/// # Errors
/// Always.
pub fn revert(user: &str) -> Result<Exit, Failure> {
    Err(Failure::usage(format!(
        "there is no way back from the rootless Docker of {user} yet: what a user made would be root's. `idshift rollback` \
         undoes a migration as long as nothing was changed since. Afterwards, `docker save`, run as the user, saves images, \
         and `docker load` loads them in a plain daemon"
    )))
}

/// From the plain data-root to the user's.
pub fn migrate(user: &str, args: &MigrateArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let (rootless, args) = (&args.rootless, &args.both);
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
        rootless_root: rootless.to.clone().unwrap_or(looks_in),
        user,
        jobs: args.effort.threads(),
        clear_flags: args.obstacles.immutable == Immutable::Clear,
        allow_outside_links: args.obstacles.allow_outside_links,
    };
    let now = &request.data_root;
    call.is_of(std::slice::from_ref(now));
    let to_stdout = args.manifest.as_deref() == Some(Path::new("-"));
    if to_stdout && args.output.json {
        return Err(Failure::usage(
            "--manifest - and --json both want stdout: give the manifest a file",
        ));
    }
    let store = Store::at(&args.store.journal_dir);
    let mut plan = RootlessMove::prepare(&request).map_err(|error| {
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
        if let Some(note) = driver_note(&config, &drivers) {
            tell!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}

/// What is about to be done.
fn question(plan: &RootlessMove, request: &RootlessRequest) -> [String; 4] {
    [
        format!("Moving {} to {}", path(&plan.from), path(&plan.to)),
        format!(
            "  It is for the rootless Docker of {}: container root becomes uid {}.",
            request.user.name, request.user.root.0
        ),
        format!(
            "  {} renames and rewrites of files.",
            plan.plan().steps.len()
        ),
        "  `idshift rollback latest` undoes it until Docker is started.".into(),
    ]
}

/// What a person should know of a run.
fn notes(
    plan: &RootlessMove,
    (request, config): (&RootlessRequest, &UserConfig),
    report: &Report,
    dry_run: bool,
) -> Vec<String> {
    let is_done = matches!(report.outcome(), Outcome::Done | Outcome::SomeLeft);
    if !is_done {
        return Vec::new();
    }
    let mut notes = Vec::new();
    let (goes, stays) = match dry_run {
        true => ("would go", "would stay"),
        false => ("went", "stays"),
    };
    notes.push(format!(
        "{} {goes} to {}.",
        path(&plan.from),
        path(&plan.to)
    ));
    if let Some(aside) = &plan.set_aside {
        notes.push(format!(
            "What an unused daemon had made there is kept in it as {aside}."
        ));
    }
    for name in &plan.left_data {
        notes.push(format!(
            "{} is not Docker's, and {stays} where it is.",
            path(&plan.from.join(name))
        ));
    }
    for volume in &plan.inventory.volumes {
        notes.push(format!("Volume {volume}."));
    }
    for (container, source) in &plan.left_binds {
        notes.push(bind_note(container, source, request));
    }
    for (container, it) in &plan.troubled {
        let there = match it.is_fatal {
            true => "It does not start in a rootless daemon:",
            false => "In a rootless daemon,",
        };
        notes.push(format!(
            "Container {container} {}. {there} {}.",
            it.what, it.help
        ));
    }
    notes.extend(config.unread.as_ref().map(|why| {
        format!(
            "{} was not read: {why}. If it sets a data-root, name that with --to.",
            path(&config.path)
        )
    }));
    if !dry_run {
        notes.push(next(plan, (request, config)));
    }
    notes
}

/// What containers bind keeps its owners.
fn bind_note(container: &str, source: &Path, request: &RootlessRequest) -> String {
    let stays = format!(
        "Bind mount {} of {container} keeps its owners, and root in the container is {} there now.",
        path(source),
        request.user.name
    );
    let real = source.canonicalize();
    if !real.is_ok_and(|real| check_system_path(&real).is_ok()) {
        return stays;
    }
    let map: Vec<String> = (request.user.map.to_string().split(' '))
        .map(|range| format!("--map {range}"))
        .collect();
    format!(
        "{stays} Where it holds ids of containers, `idshift shift --assume-unshifted {} {}` shifts them.",
        map.join(" "),
        shell_word(source)
    )
}

/// A storage driver that does not show what is carried.
fn driver_note(config: &UserConfig, drivers: &[String]) -> Option<String> {
    let set = config.storage_driver.as_ref()?;
    (!drivers.is_empty() && !drivers.contains(set)).then(|| {
        format!(
            "{} sets the storage driver {set}, which does not show the images and containers of {}. Take that line out before \
             the daemon starts.",
            path(&config.path),
            drivers.join(", ")
        )
    })
}

/// What is to be done next.
fn next(plan: &RootlessMove, (request, config): (&RootlessRequest, &UserConfig)) -> String {
    let user = &request.user.name;
    let looks_in = config.data_root(&request.user);
    let is_found = looks_in == plan.to || looks_in.canonicalize().is_ok_and(|it| it == plan.to);
    let first = match is_found {
        true => String::new(),
        false => format!(
            "The daemon of {user} looks in {}. First set \"data-root\": {} in {}. ",
            path(&looks_in),
            serde_json::Value::from(plan.to.to_string_lossy()),
            path(&config.path)
        ),
    };
    format!(
        "{first}Now {user} starts the rootless daemon: `systemctl --user start docker` (`dockerd-rootless-setuptool.sh install`, run \
         as {user}, makes that unit). A plain daemon that is started here does not have this data any more."
    )
}
