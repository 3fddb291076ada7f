//! Whether what a run gave to a user, or took from one, may be taken back.

use super::tree::HandedTree;
use crate::engine::control::RunControl;
use crate::engine::refusal::Refusal;
use crate::engine::reopen::check_service_stopped;
use crate::engine::steps::Steps;
use crate::engine::{Problem, ProblemKind};
use crate::guidance::Guidance;
use crate::journal::Journal;
use crate::journal::id::argument;
use crate::preflight::transient::check_nobody_holds;

/// Refuses to undo a run of which a user had everything, where something of that may be the user's doing; or a run that
/// took everything from a user, where root's daemon may have written to it since. Nothing is taken away for it: it is
/// asked again once that is done.
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
    let refused = |path, reason: &str| Refusal::NotThisOne {
        path,
        reason: format!("{reason}. {}", not_undone(journal)),
    };
    if force {
        let why = match journal.takes_over() {
            true => "root's daemon may have changed the data since, and the user would get it",
            false => "the user has had the data since",
        };
        let why = format!("{why}: {}", Guidance::NotForced);
        return Err(refused(journal.path.clone(), &why));
    }
    if !journal.takes_over() {
        check_nobody_holds(&journal.header.map, &journal.path)?;
    }
    let changes = HandedTree::given(journal).map_or_else(Vec::new, |it| it.changes(jobs, control));
    match changes.into_iter().next() {
        None => Ok(()),
        Some(first) => Err(refused(first.path, &first.reason)),
    }
}

/// What can be done instead of undoing a run.
pub(in crate::engine) fn not_undone(journal: &Journal) -> String {
    let way_back = journal.header.command.way_back();
    let other_way = match way_back.filter(|_| journal.takes_over()) {
        Some(command) => format!(
            "A rollback does not give a user what root's daemon wrote. `idshift {command} USER` gives that user all there is \
             now"
        ),
        None => NOT_UNDONE.into(),
    };
    match Steps::can_be_redone(journal) {
        true => format!(
            "{other_way}. First `idshift resume {}` finishes the run",
            argument(&journal.path)
        ),
        false => other_way,
    }
}

const NOT_UNDONE: &str = "What a user may have written does not become root's: it stays with the user. `docker save` and \
                          `docker cp`, or those of Podman, run as that user, take out what is needed";

/// Asks once more when only root comes to it: who holds something of it, and what was changed.
pub(in crate::engine) fn check_taken_back(
    journal: &Journal,
    jobs: usize,
    control: RunControl<'_>,
) -> Vec<Problem> {
    check(journal, HandedTree::given(journal), jobs, control)
}

/// What was a user's and is taken away: who holds something of it, and what was changed since it was read.
pub(in crate::engine) fn check_taken_over(
    journal: &Journal,
    jobs: usize,
    control: RunControl<'_>,
) -> Vec<Problem> {
    check(journal, HandedTree::taken(journal), jobs, control)
}

fn check(
    journal: &Journal,
    tree: Option<HandedTree<'_>>,
    jobs: usize,
    control: RunControl<'_>,
) -> Vec<Problem> {
    let held = check_service_stopped(journal, control.monitor).and_then(|()| {
        // What root's daemon had, the user's processes had not.
        let had_user = journal.handed_over().is_none() || !journal.takes_over();
        match had_user {
            true => Ok(check_nobody_holds(&journal.header.map, &journal.path)?),
            false => Ok(()),
        }
    });
    match (held, tree) {
        (Ok(()), Some(tree)) => tree.changes(jobs, control),
        (Ok(()), None) => Vec::new(),
        (Err(refusal), _) => vec![Problem {
            path: journal.header.roots[0].path.as_path().to_path_buf(),
            kind: ProblemKind::Conflict,
            reason: refusal.to_string(),
        }],
    }
}
