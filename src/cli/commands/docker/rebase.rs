//! `idshift docker rebase`

use std::path::Path;

use nix::unistd::User;

use super::{daemon_target, refused, shared_range};
use crate::cli::announce::rollback_latest;
use crate::cli::args::{Immutable, RebaseArgs};
use crate::cli::confirm::ask_before;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::{path, shell_word};
use crate::cli::run_output::RunOutput;
use crate::docker::guidance::kept_root;
use crate::docker::known_roots::known_roots;
use crate::docker::migrate::DaemonTarget;
use crate::docker::rebase::{Rebase, RebaseRequest};
use crate::docker::remap::Remap;
use crate::engine::Refusal;
use crate::idmap::{IdMap, SubidReader};
use crate::journal::Store;

/// Runs it.
pub fn run(args: &RebaseArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.execution.limits.apply().map_err(Failure::refused)?;
    let target = daemon_target(&args.daemon, invocation)?;
    let manifest = args.preview.manifest.as_deref();
    let output = RunOutput::with_manifest(&args.execution.output, manifest)?;
    let store = Store::at(&args.execution.store.journal_dir);
    let request = request(args, &target, &store)?;
    let monitor = Terminal::new(args.execution.output.quiet);
    let control = limits.control(&monitor);
    let mut rebase = Rebase::prepare(&request, control).map_err(refused)?;
    let (report, kind) = match args.preview.dry_run {
        true => {
            let mut report = rebase
                .plan
                .dry_run(&store, output.open_manifest()?, control)?;
            report.would_refuse.extend(rebase.mounted.take());
            (report, SummaryKind::DryRun)
        }
        false => {
            if let Some(mounted) = rebase.mounted.take() {
                // Whoever uses it is told first.
                rebase.plan.lock(&store, control)?;
                return Err(Refusal::from(mounted).into());
            }
            let lines = || {
                drop(rebase.plan.lock(&store, control)?);
                Ok(effects(&request, &args.execution.store.journal_dir))
            };
            let asked = ask_before(&args.execution, &limits, &monitor, invocation, lines);
            if let Some(exit) = asked? {
                return Ok(exit);
            }
            (rebase.plan.execute(&store, control)?, SummaryKind::Shift)
        }
    };
    monitor.clear();
    output.print(invocation, &report, kind);
    if report.is_done() {
        output.tell(notes(&request, &rebase, Tense::of(args.preview.dry_run)));
        let next = (!args.preview.dry_run).then(|| next_step(&request.to, &target));
        output.tell(next);
    }
    Ok(Exit::from(&report))
}

/// What is asked, with the ranges that the command line and the daemon name.
fn request(
    args: &RebaseArgs,
    target: &DaemonTarget,
    store: &Store,
) -> Result<RebaseRequest, Failure> {
    let now = Remap::resolve(&target.remap_to);
    let user = now.as_ref().map_or("", |remap| &remap.user).to_string();
    let uid = User::from_name(&user).ok().flatten();
    let uid = uid.map(|user| user.uid.to_string());
    let (to, owners) = match &args.to {
        Some(to) => {
            let to = to.named(SubidReader::Docker)?;
            (to.map, to.owners)
        }
        None => (now.map_err(refused)?.map, Vec::new()),
    };
    Ok(RebaseRequest {
        data_root: target.data_root.clone(),
        from: args.from.named(SubidReader::Docker)?.map,
        to,
        jobs: args.execution.limits.threads(),
        clear_flags: args.guarded.immutable == Immutable::Clear,
        allow_outside_links: args.guarded.allow_outside_links,
        user: user.clone(),
        owners: owners.into_iter().chain([user]).chain(uid).collect(),
        known_roots: known_roots(store, &target.data_root),
    })
}

/// What a run does, in a few lines, for the question before it.
fn effects(request: &RebaseRequest, journal_dir: &Path) -> Vec<String> {
    vec![
        format!(
            "Will move the root of the daemon in {}",
            path(&request.data_root)
        ),
        format!("  Owners change from {} to {}.", request.from, request.to),
        "  Directories are renamed, and the daemon's metadata is rewritten.".into(),
        format!(
            "  {} undoes it until Docker is started.",
            rollback_latest(journal_dir)
        ),
    ]
}

/// What a person should know of a run.
fn notes(request: &RebaseRequest, rebase: &Rebase, tense: Tense) -> Vec<String> {
    let shared = rebase.shared.iter();
    let mut notes: Vec<String> = shared
        .map(|line| shared_range(line, "the new range"))
        .collect();
    notes.extend(rebase.set_aside.as_ref().map(|aside| {
        let (was, is) = (tense.was_before(), tense.is());
        format!("An unused root {was} in the way. It {is} kept as {aside} in the data-root.")
    }));
    notes.extend(rebase.left_root.as_deref().map(kept_root));
    notes.extend(rebase.left_behind.iter().map(|dir| {
        format!(
            "{} is bound by containers and {} in the old range. `idshift shift --from {} --to {} {}` moves it.",
            path(dir),
            tense.stays(),
            words(&request.from),
            words(&request.to),
            shell_word(dir)
        )
    }));
    notes.extend(rebase.services.clone());
    notes
}

/// What is to be done next.
fn next_step(to: &IdMap, target: &DaemonTarget) -> String {
    let now = Remap::resolve(&target.remap_to);
    match now.is_ok_and(|remap| remap.map == *to) {
        true => "Now start the daemon.".into(),
        false => format!(
            "Before the daemon is started, /etc/subuid and /etc/subgid must give {to} to the user that it remaps to."
        ),
    }
}

/// A map as one word of a command line.
fn words(map: &IdMap) -> String {
    map.to_string().replace(' ', ",")
}
