//! Whether what a run gave to a user may be root's again.

use super::unchanged::HandedOver;
use super::window::Window;
use crate::engine::control::RunControl;
use crate::engine::refusal::Refusal;
use crate::engine::reopen::check_service_stopped;
use crate::engine::steps::Steps;
use crate::engine::{Phase, Problem, ProblemKind};
use crate::fs::Root;
use crate::journal::step::StepPath;
use crate::journal::{Journal, Step};
use crate::preflight::transient::check_nobody_holds;

/// Refuses to undo a run of which a user had everything, where something of that may be the user's doing. Nothing is
/// taken away for it: it is asked again once that is done.
///
/// # Errors
/// What was changed, or who has it still.
pub(in crate::engine) fn refuse_changed(
    journal: &Journal,
    (jobs, force): (usize, bool),
    control: RunControl<'_>,
) -> Result<(), Refusal> {
    if journal.handed_over().is_none() {
        return Ok(());
    }
    let refused = |path, reason| Refusal::NotThisOne { path, reason };
    if force {
        let why = "a user has had the data since, so this cannot be forced";
        return Err(refused(
            journal.path.clone(),
            format!("{why}. {NOT_UNDONE}"),
        ));
    }
    check_nobody_holds(&journal.header.map, &journal.path)?;
    let changes = changes(journal, jobs, control);
    match changes.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(refused(
            first.path,
            format!("{}. {NOT_UNDONE}", first.reason),
        )),
    }
}

/// What can be done instead.
pub(in crate::engine) const NOT_UNDONE: &str = "What a user may have written does not become root's: it stays with the user. `docker save` and \
                          `docker cp`, or those of Podman, run as that user, take out what is needed";

/// Asks once more when only root comes to it: who holds something of it, and what was changed.
pub(in crate::engine) fn check_taken_back(
    journal: &Journal,
    jobs: usize,
    control: RunControl<'_>,
) -> Vec<Problem> {
    let path = || journal.header.roots[0].path.as_path().to_path_buf();
    let held = check_service_stopped(journal, control.monitor)
        .and_then(|()| Ok(check_nobody_holds(&journal.header.map, &journal.path)?));
    match held {
        Ok(()) => changes(journal, jobs, control),
        Err(refusal) => vec![Problem {
            path: path(),
            kind: ProblemKind::Conflict,
            reason: refusal.to_string(),
        }],
    }
}

fn changes(journal: &Journal, jobs: usize, control: RunControl<'_>) -> Vec<Problem> {
    control.monitor.phase(Phase::Comparing, None);
    let (Some(window), Some(place)) = (Window::of(journal), place_now(journal)) else {
        return Vec::new();
    };
    let path = place.to_path(&journal.header.roots);
    match Root::open(&path) {
        Ok(top) => HandedOver {
            shown: handed_to(journal).map_or_else(|| path, |to| to.to_path(&journal.header.roots)),
            window,
            users_own: users_own(journal),
            control,
            jobs,
        }
        .changes(&top),
        Err(error) => vec![Problem {
            path,
            kind: ProblemKind::Conflict,
            reason: error.to_string(),
        }],
    }
}

/// Where what was handed over is the user's.
fn handed_to(journal: &Journal) -> Option<&StepPath> {
    let mut steps = journal.steps.iter();
    let step = steps.find(|step| matches!(step, Step::HandOver { .. }))?;
    Some(step.moved()?.to)
}

/// Where what was handed over is now.
fn place_now(journal: &Journal) -> Option<StepPath> {
    let mut steps = journal.steps.iter();
    let step = steps.find(|step| matches!(step, Step::HandOver { .. }))?;
    let moved = step.moved()?;
    let is_there = Steps::of(journal)
        .moves()
        .iter()
        .any(|it| it.to == *moved.to);
    Some(if is_there { moved.to } else { moved.from }.clone())
}

/// The name, in what was handed over, of what had its place before.
fn users_own(journal: &Journal) -> Option<&[u8]> {
    let place = handed_to(journal)?;
    let mut steps = journal.steps.iter();
    let aside = steps.find(|step| step.renamed_from() == Some(place))?;
    aside.moved()?.to.path.last().map(|name| &name.0[..])
}
