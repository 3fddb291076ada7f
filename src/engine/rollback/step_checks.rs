//! Whether the steps of a run can be undone.

use super::other_ways::{or_finish, other_way_back, with_what_is_new};
use crate::engine::hand_over::not_undone;
use crate::engine::later_run::LaterRun;
use crate::engine::refusal::Refusal;
use crate::engine::steps::{Steps, and_more};
use crate::engine::target::Target;
use crate::guidance::Guidance;
use crate::journal::Journal;
use crate::journal::id::argument;

/// Refuses if a step cannot be undone. Restored owners with names or files that are not restored
/// would be a state that never existed: also with `force` none is restored where names cannot be.
pub(super) fn check_steps(journal: &Journal, force: bool) -> Result<(), Refusal> {
    let steps = Steps::of(journal);
    check_not_undone_since(journal, &steps)?;
    let gone = steps.old_dirs_gone();
    if let Some(first) = gone.first() {
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!(
                "{}{}. Nothing was undone: owners and names are restored together or not at all. {}",
                first.reason,
                and_more(gone.len()),
                match (LaterRun::of(journal), journal.handed_over()) {
                    (Some(later), _) => later.comes_first(journal),
                    (None, Some(_)) => not_undone(journal),
                    (None, None) => other_way_back(journal),
                }
            ),
        });
    }
    let taken = steps.places_taken_since();
    let is_taken = !taken.is_empty();
    let obstacles = match force || is_taken {
        true => taken,
        false => steps.obstacles(Target::Before),
    };
    let Some(first) = obstacles.first() else {
        return check_nothing_mounted(journal, &steps);
    };
    let more = and_more(obstacles.len());
    if let Some(later) = LaterRun::of(journal) {
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!("{}{more}. {}", first.reason, later.comes_first(journal)),
        });
    }
    if journal.handed_over().is_some() {
        // It is not what the user had.
        let help = match is_taken && !journal.takes_over() {
            true => "Move the new files to another place, and run this again. ",
            false => "",
        };
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!("{}{more}. {help}{}", first.reason, not_undone(journal)),
        });
    }
    let id = argument(&journal.path);
    let help = match is_taken {
        true => format!(
            "Nothing was undone: owners and names are restored together or not at all. {}Move the new files to another place, \
             then `idshift rollback {id}` continues",
            or_finish(journal)
        ),
        false => format!(
            "{}{} undoes the rest and leaves this as it is",
            with_what_is_new(journal),
            Guidance::ForcedRollback(&id)
        ),
    };
    Err(Refusal::NotThisOne {
        path: first.path.clone(),
        reason: format!("{}{more}. {help}", first.reason),
    })
}

/// Refuses a run that has finished, and what it renamed has its old place again: another run put it there, and did not do
/// all else that undoing this one does. It is also refused by force.
fn check_not_undone_since(journal: &Journal, steps: &Steps<'_>) -> Result<(), Refusal> {
    let Some(found) = steps.undone_since() else {
        return Ok(());
    };
    let help = match LaterRun::of(journal) {
        Some(later) => later.comes_first(journal),
        None => {
            "Another run did that, whose journal is not here, or the rollback of another run: `idshift journal list` shows \
             those that are known"
                .into()
        }
    };
    Err(Refusal::NotThisOne {
        path: found.path,
        reason: format!("{}. Nothing was undone. {help}", found.reason),
    })
}

/// Refuses if something is mounted below what is to be mounted or unmounted. Forced or not, nothing helps but to unmount it.
fn check_nothing_mounted(journal: &Journal, steps: &Steps<'_>) -> Result<(), Refusal> {
    let mounted = steps.mounted_below(Target::Before);
    let Some(first) = mounted.first() else {
        return Ok(());
    };
    Err(Refusal::NotThisOne {
        path: first.path.clone(),
        reason: format!(
            "{}{}. Nothing was undone. Then `idshift rollback {}` continues",
            first.reason,
            and_more(mounted.len()),
            argument(&journal.path)
        ),
    })
}
