//! `idshift podman migrate`

use std::time::Instant;

use super::{bind_note, refused};
use crate::cli::args::{Immutable, PodmanMigrateArgs};
use crate::cli::commands::copied;
use crate::cli::commands::shift::{is_manifest_to_stdout, open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell;
use crate::cli::output::text::{path, printable};
use crate::docker::data_root_copy::PlannedCopy;
use crate::docker::rootless::copied_move::{CopiedError, unfinished_copy};
use crate::docker::rootless::user::RootlessUser;
use crate::docker::unfinished_run::unfinished_run;
use crate::engine::{Ending, Outcome, Refusal, Report, RunControl, Stats};
use crate::journal::Store;
use crate::podman::PodmanError;
use crate::podman::config::{StorageConf, rootless_store};
use crate::podman::plan::{ENGINE, MoveRequest, StoreMove};

/// Runs it.
pub fn run(args: &PodmanMigrateArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.effort.apply().map_err(Failure::refused)?;
    let request = request(args).map_err(refused)?;
    call.is_of(std::slice::from_ref(&request.storage));
    let to_stdout = is_manifest_to_stdout(args.manifest.as_deref(), &args.output)?;
    let store = Store::at(&args.store.journal_dir);
    let refused_first = |error| unfinished(&store, &request).unwrap_or_else(|| refused(error));
    let mut plan = StoreMove::prepare(&request).map_err(refused_first)?;
    let monitor = Terminal::new(args.output.quiet);
    let control = limits.control(&monitor);
    if !args.dry_run {
        plan.blockers.splice(..0, plan.mounted.take());
        if !plan.blockers.is_empty() {
            // Whose run is in the way is told first; of who uses the store, Podman's own words say more.
            let first = || Refusal::from(plan.blockers.swap_remove(0)).into();
            return Err(unfinished(&store, &request).unwrap_or_else(first));
        }
    }
    let copy = plan.copy(&request).map_err(refused_first)?;
    let (report, of) = match args.dry_run {
        true => (
            dry_run(&mut plan, args, &store, control)?,
            SummaryKind::DryRun,
        ),
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
        let mut told = notes(&plan, (&request, copy.as_ref()), &report, args.dry_run);
        let of_copy = |it| copied::notes(it, &report, args.dry_run);
        told.extend(copy.iter().flat_map(of_copy));
        for note in told {
            tell!("{}", printable(&note));
        }
    }
    Ok(Exit::from(&report))
}

fn dry_run(
    plan: &mut StoreMove,
    args: &PodmanMigrateArgs,
    store: &Store,
    control: RunControl<'_>,
) -> Result<Report, Failure> {
    let mut report = match plan.mounted.take() {
        Some(mounted) if args.manifest.is_some() => return Err(Refusal::from(mounted).into()),
        Some(mounted) => {
            let why = "the store is in use, and what would change cannot be told".into();
            let mut report = Report::new(Instant::now(), Ending::Nothing { why }, Stats::default());
            report.would_refuse.push(mounted);
            report
        }
        None => {
            let manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
            plan.plan().dry_run(store, manifest, control)?
        }
    };
    report.would_refuse.append(&mut plan.blockers);
    Ok(report)
}

/// What a run left that was cut short.
fn unfinished(store: &Store, request: &MoveRequest) -> Option<Failure> {
    let of_copy = || unfinished_copy(store, &request.target, ENGINE, &request.user.name);
    let run = unfinished_run(store, &request.storage).map(Refusal::from);
    run.or_else(of_copy).map(Failure::from)
}

fn request(args: &PodmanMigrateArgs) -> Result<MoveRequest, PodmanError> {
    let system = StorageConf::of_system()?;
    let user = RootlessUser::resolve(&args.to_user)?;
    let stores = &args.stores;
    Ok(MoveRequest {
        storage: stores
            .storage
            .clone()
            .unwrap_or_else(|| system.rootful_store()),
        target: match &stores.target {
            Some(target) => target.clone(),
            None => rootless_store(&user, &system)?,
        },
        user,
        copy: args.copy,
        jobs: args.effort.threads(),
        clear_flags: args.immutable == Immutable::Clear,
        allow_outside_links: args.allow_outside_links,
    })
}

/// What is about to be done.
fn question(plan: &StoreMove, request: &MoveRequest, copy: Option<&PlannedCopy>) -> Vec<String> {
    let of_copy = copy.map_or("", |_| "a copy of ");
    let mut lines = vec![
        format!("Moving {of_copy}{} to {}", path(&plan.from), path(&plan.to)),
        format!("  It has {}.", plan.holds),
        format!(
            "  It is for the rootless Podman of {}: container root becomes uid {}.",
            request.user.name, request.user.root.0
        ),
        format!(
            "  {} renames and rewrites of files.",
            plan.plan().steps.len()
        ),
        format!(
            "  `idshift rollback latest` undoes it until {} works with it.",
            request.user.name
        ),
    ];
    lines.splice(1..1, copy.map(copied::effect));
    lines
}

/// What a person should know of a run.
fn notes(
    plan: &StoreMove,
    (request, copy): (&MoveRequest, Option<&PlannedCopy>),
    report: &Report,
    dry_run: bool,
) -> Vec<String> {
    let is_done = matches!(report.outcome(), Outcome::Done | Outcome::SomeLeft);
    if !is_done {
        return Vec::new();
    }
    let user = &request.user.name;
    let (goes, stays) = match dry_run {
        true => ("would go", "would stay"),
        false => ("went", "stays"),
    };
    let what = match copy {
        Some(_) => format!("A copy of {}", path(&plan.from)),
        None => path(&plan.from),
    };
    let mut notes = vec![format!(
        "{what} {goes} to {}: {}.",
        path(&plan.to),
        plan.holds
    )];
    // That of a copy is in the directory that a rollback needs.
    let old = plan.old_database.as_ref().filter(|_| copy.is_none());
    notes.extend(old.map(|name| {
        format!(
            "The old database {stays} as {}, for a rollback. Remove it when nothing is missing.",
            path(&plan.from.join(name))
        )
    }));
    notes.extend(
        plan.set_aside
            .as_ref()
            .map(|aside| format!("What an unused Podman had made there is kept in it as {aside}.")),
    );
    for name in &plan.left {
        notes.push(format!(
            "{} is not Podman's, and {stays} where it is.",
            path(&plan.from.join(name))
        ));
    }
    if !plan.networks.is_empty() {
        let gets = if dry_run { "would get" } else { "got" };
        notes.push(format!(
            "{user} {gets} a copy of these networks: {}.",
            plan.networks.join(", ")
        ));
    }
    notes.extend(plan.notes.iter().map(|note| format!("{note}.")));
    let map = request.user.map.to_string();
    for (container, source) in &plan.binds {
        notes.push(bind_note(container, source, (user, &map)));
    }
    for (container, it) in &plan.troubled {
        let there = match it.is_fatal {
            true => "It does not start there as it is:",
            false => "There,",
        };
        notes.push(format!(
            "Container {container} {}. {there} {}.",
            it.what, it.help
        ));
    }
    if !dry_run {
        notes.push(format!(
            "Now {user} works with it: `podman ps --all`, run as {user} in a session of its own (not through su or sudo). What \
             started containers at boot (units in /etc/systemd/system, /etc/containers/systemd) is to be moved to {user}'s \
             ~/.config. {}.",
            match copy {
                Some(_) => "Root's Podman still has its own: do not let both run the same containers",
                None => "Root's Podman does not have this data any more",
            }
        ));
    }
    notes
}
