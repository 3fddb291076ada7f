//! `idshift podman migrate`

use super::refused;
use crate::cli::args::{Immutable, PodmanMigrateArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::path;
use crate::cli::store_move::bind_note::bind_note;
use crate::cli::store_move::copy_notes;
use crate::cli::store_move::{CutShort, MoveArgs, MoveCommand};
use crate::engine::Report;
use crate::podman::config::{StorageConf, looks_elsewhere, rootless_store};
use crate::podman::plan::{ENGINE, MoveRequest, PodmanMove};
use crate::store_move::MoveError;
use crate::store_move::copied_move::unfinished_copy;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::request::MoveOptions;
use crate::store_move::user::RootlessUser;

/// Runs it.
pub fn run(args: &PodmanMigrateArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args
        .both
        .execution
        .limits
        .apply()
        .map_err(Failure::refused)?;
    let request = request(args).map_err(refused)?;
    let cut_short = CutShort {
        now: &request.storage,
        of_copy: &|store| unfinished_copy(store, &request.target, ENGINE, &request.user.name),
    };
    let args = MoveArgs::from(&args.both);
    let mut plan = cut_short.prepared(&args, invocation, || PodmanMove::prepare(&request))?;
    let blockers = std::mem::take(&mut plan.moved.blockers);
    let move_of = MoveCommand {
        plan: &plan.moved.plan,
        blockers,
        copy: &|| plan.copy(&request),
        question: &|copy| question((&plan, &request), copy, &args.undo()),
        execute: &|copy, store, control| plan.execute(&request, copy, store, control),
        notes: &|report| notes(&plan, &request, report, args.tense()),
        last_note: None,
    };
    move_of.carry_out((&args, &cut_short), &limits, invocation)
}

fn request(args: &PodmanMigrateArgs) -> Result<MoveRequest, MoveError> {
    let system = StorageConf::of_system()?;
    let user = RootlessUser::resolve(&args.to_user)?;
    let stores = &args.both.stores;
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
        options: MoveOptions {
            copy: args.copy,
            jobs: args.both.execution.limits.threads(),
            clear_flags: args.guarded.immutable == Immutable::Clear,
            allow_outside_links: args.guarded.allow_outside_links,
        },
    })
}

/// What is about to be done.
fn question(
    (plan, request): (&PodmanMove, &MoveRequest),
    copy: Option<&PlannedCopy>,
    undo: &str,
) -> Vec<String> {
    let of_copy = copy.map_or("", |_| "a copy of ");
    let mut lines = vec![
        format!(
            "Will move {of_copy}{} to {}",
            path(&plan.moved.from),
            path(&plan.moved.to)
        ),
        format!("  It has {}.", plan.holds),
        format!(
            "  It is for the rootless Podman of {}: container root becomes uid {}.",
            request.user.name, request.user.root.0
        ),
        format!(
            "  {} renames and rewrites of files.",
            plan.moved.plan.steps.list.len()
        ),
        format!(
            "  {undo} undoes it until {} works with it.",
            request.user.name
        ),
    ];
    lines.splice(1..1, copy.map(copy_notes::effect));
    lines
}

/// What a person should know of a run.
fn notes(plan: &PodmanMove, request: &MoveRequest, report: &Report, tense: Tense) -> Vec<String> {
    if !report.is_done() {
        return Vec::new();
    }
    let user = &request.user.name;
    let (goes, stays, is) = (tense.goes(), tense.stays(), tense.is());
    let what = match request.options.copy {
        true => format!("A copy of {}", path(&plan.moved.from)),
        false => path(&plan.moved.from),
    };
    let mut notes = vec![format!(
        "{what} {goes} to {}: {}.",
        path(&plan.moved.to),
        plan.holds
    )];
    // That of a copy is in the directory that a rollback needs.
    let old = plan.old_database.as_ref().filter(|_| !request.options.copy);
    notes.extend(old.map(|name| {
        format!(
            "The old database {stays} as {}, for a rollback. Remove it when nothing is missing.",
            path(&plan.moved.from.join(name))
        )
    }));
    notes.extend(
        plan.moved.set_aside.as_ref().map(|aside| {
            format!("What an unused Podman had made there {is} kept in it as {aside}.")
        }),
    );
    for name in &plan.moved.left {
        notes.push(format!(
            "{} is not Podman's, and {stays} where it is.",
            path(&plan.moved.from.join(name))
        ));
    }
    if !plan.networks.is_empty() {
        let gets = tense.either("got", "would get");
        notes.push(format!(
            "{user} {gets} a copy of these networks: {}.",
            plan.networks.join(", ")
        ));
    }
    notes.extend(plan.notes.iter().map(|note| format!("{note}.")));
    for (container, source) in &plan.moved.binds {
        notes.push(bind_note(container, source, &request.user));
    }
    for (container, it) in &plan.moved.incompatible {
        let there = match it.is_fatal {
            true => "It does not start there as it is:",
            false => "There,",
        };
        notes.push(format!(
            "Container {container} {}. {there} {}.",
            it.what, it.help
        ));
    }
    notes.extend(looks_elsewhere(&request.user, &plan.moved.to).map(|it| it + "."));
    if tense == Tense::Done {
        notes.push(format!(
            "Now {user} works with it: `podman ps --all`, run as {user} in a session of its own (not through su or sudo). Move \
             units that start containers (in /etc/systemd/system, /etc/containers/systemd) to ~{user}/.config. {}.",
            match request.options.copy {
                true => "Root's Podman still has its own: do not let both run the same containers",
                false => "Root's Podman does not have this data any more",
            }
        ));
    }
    notes
}
