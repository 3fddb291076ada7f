//! What can be done instead of a rollback, in words.

use crate::engine::steps::Steps;
use crate::guidance::MIGRATE_IDMAPPED;
use crate::journal::id::argument;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Step};

/// Where what was renamed cannot go back to where it was.
pub(super) fn other_way_back(journal: &Journal) -> String {
    let back = "With a backup, put that directory back first, with its owner and mode";
    match (journal.header.command, journal.header.command.way_back()) {
        (RunKind::DockerMigrate, Some(command)) => format!(
            "{}`idshift {command}` goes back with what is there now. {back}",
            finish_first(journal)
        ),
        _ => format!("{}{back}", or_finish(journal)),
    }
}

/// Whether a resume goes on with it: with a run that was cut short, or whose undoing was before it came to the owners.
fn can_be_finished(journal: &Journal) -> bool {
    journal.state == JournalState::Unfinished || Steps::can_be_redone(journal)
}

/// Of a run that was cut short, the other way.
pub(super) fn or_finish(journal: &Journal) -> String {
    match can_be_finished(journal) {
        true => format!(
            "`idshift resume {}` finishes the run instead. ",
            argument(&journal.path)
        ),
        false => String::new(),
    }
}

/// Of a run that was cut short, what comes before another command.
fn finish_first(journal: &Journal) -> String {
    match can_be_finished(journal) {
        true => format!(
            "`idshift resume {}` finishes the run, and then ",
            argument(&journal.path)
        ),
        false => String::new(),
    }
}

/// What takes along what a daemon made since.
pub(super) fn with_what_is_new(journal: &Journal) -> String {
    let kind = journal.header.command;
    let Some(way_back) = kind.way_back().filter(|_| !journal.takes_over()) else {
        return String::new();
    };
    if kind == RunKind::DockerMigrate && journal.is_of_copy() {
        return "The plain root is as it was before: to go back to it, start Docker without userns-remap. If no daemon has run \
                since, "
            .into();
    }
    let command = match kind {
        RunKind::DockerRevert if was_unmounted(journal) => format!("`idshift {MIGRATE_IDMAPPED}`"),
        RunKind::DockerRebase => format!("`idshift {way_back}` with the old range"),
        _ => format!("`idshift {way_back}`"),
    };
    let finish = finish_first(journal);
    format!("If a daemon has run since, {finish}{command} takes its new data along. If none has, ")
}

/// Whether the run unmounted what its root was remapped by.
fn was_unmounted(journal: &Journal) -> bool {
    let is_it = |step: &Step| matches!(step, Step::UnmountExchanged { .. });
    journal.steps.iter().any(is_it)
}
