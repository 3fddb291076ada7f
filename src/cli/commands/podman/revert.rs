//! `idshift podman revert`

use super::refused;
use crate::cli::args::PodmanRevertArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::tense::Tense;
use crate::cli::output::text::{path, shell_word};
use crate::cli::store_move::trust_note::trust;
use crate::cli::store_move::{CutShort, MoveArgs, MoveCommand};
use crate::engine::Report;
use crate::podman::config::{StorageConf, rootless_store};
use crate::podman::revert::plan::{StoreTake, TakeRequest};
use crate::store_move::MoveError;
use crate::store_move::user::RootlessUser;

/// Runs it.
pub fn run(args: &PodmanRevertArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args
        .both
        .execution
        .limits
        .apply()
        .map_err(Failure::refused)?;
    let request = request(args).map_err(refused)?;
    let cut_short = CutShort {
        now: &request.target,
        of_copy: &|_| None,
    };
    let args = MoveArgs::from(&args.both);
    let mut plan = cut_short.prepared(&args, invocation, || StoreTake::prepare(&request))?;
    let blockers = std::mem::take(&mut plan.moved.blockers);
    let move_of = MoveCommand::<MoveError> {
        plan: &plan.moved.plan,
        blockers,
        copy: &|| Ok(None),
        question: &|_| question(&plan, &request, &args.undo()),
        execute: &|_, store, control| Ok(plan.moved.plan.execute(store, control)?),
        notes: &|report| notes(&plan, &request, report, args.tense()),
        last_note: None,
    };
    move_of.carry_out((&args, &cut_short), &limits, invocation)
}

fn request(args: &PodmanRevertArgs) -> Result<TakeRequest, MoveError> {
    let system = StorageConf::of_system()?;
    let user = RootlessUser::resolve(&args.from_user)?;
    let stores = &args.both.stores;
    Ok(TakeRequest {
        storage: (stores.storage.clone()).unwrap_or_else(|| system.rootful_store()),
        usual_storage: system.rootful_store(),
        target: match &stores.target {
            Some(target) => target.clone(),
            None => rootless_store(&user, &system)?,
        },
        user,
        jobs: args.both.execution.limits.threads(),
    })
}

/// What is about to be done.
fn question(plan: &StoreTake, request: &TakeRequest, undo: &str) -> Vec<String> {
    let user = &request.user;
    vec![
        format!(
            "Will move {} to {}",
            path(&plan.moved.from),
            path(&plan.moved.to)
        ),
        format!("  It has {}.", plan.holds),
        format!(
            "  What belongs to uid {} becomes root's. {}",
            user.root.0,
            trust("images, containers and volumes", &user.name)
        ),
        format!(
            "  {} renames and rewrites of files.",
            plan.moved.plan.steps.list.len()
        ),
        format!("  {undo} undoes it until root's Podman works with it."),
    ]
}

/// What a person should know of a run.
fn notes(plan: &StoreTake, request: &TakeRequest, report: &Report, tense: Tense) -> Vec<String> {
    if !report.is_done() {
        return Vec::new();
    }
    let (uid, gid) = request.user.root;
    let user = &request.user.name;
    let (goes, stays, is) = (tense.goes(), tense.stays(), tense.is());
    let mut notes = vec![format!(
        "{} {goes} to {}: {}.",
        path(&plan.moved.from),
        path(&plan.moved.to),
        plan.holds
    )];
    notes.extend(plan.moved.set_aside.as_ref().map(|aside| {
        format!("What an unused Podman of root's had made there {is} kept in it as {aside}.")
    }));
    if !plan.moved.left.is_empty() {
        let top = shell_word(&plan.moved.from);
        notes.push(format!(
            "{}: {stays} in {}, where only root can enter. Networks are not taken over: `podman network create` makes them again. \
             `chown {uid}:{gid} {top}` gives the rest back to {user}, with names of volumes that are empty then: `podman volume rm \
             --all`, run as {user}, removes those.",
            plan.moved.left.join(", "),
            path(&plan.moved.from)
        ));
    }
    if !plan.restarted.is_empty() {
        notes.push(format!(
            "Started at each boot, if podman-restart.service is enabled: {}. `podman update --restart no NAME`, run as root, changes \
             that.",
            plan.restarted.join(", ")
        ));
    }
    if !plan.logged.is_empty() {
        notes.push(format!(
            "`podman logs` begins anew for {}: older lines are in the journal of {user}.",
            plan.logged.join(", ")
        ));
    }
    notes.push(trust("images, containers and volumes", user));
    if tense == Tense::Done {
        notes.push(
            "Now root works with it: `podman ps --all`, `podman images` and `podman volume ls`, run as root.".into(),
        );
    }
    notes
}
