//! What a person is told of a move to a user that leaves the original alone.

use crate::cli::output::tense::Tense;
use crate::cli::output::text::{bytes, inodes, path, shell_word};
use crate::engine::Report;
use crate::store_move::copy::{PlannedCopy, earlier};

/// What is about to be made, for the confirmation.
pub fn effect(copy: &PlannedCopy) -> String {
    format!(
        "  {} stays as it is: {} are copied{} first, in {}.",
        path(copy.source()),
        inodes(copy.amount.inodes),
        size(copy),
        path(copy.dir())
    )
}

/// What was made, or would be, and what is left.
pub fn notes(copy: &PlannedCopy, report: &Report, tense: Tense) -> Vec<String> {
    if !report.is_done() {
        return earlier::left_by(report).into_iter().collect();
    }
    let (stays, were) = (tense.stays(), tense.were());
    let mut notes = vec![format!(
        "{} {stays} as it is: {} {were} copied{}.",
        path(copy.source()),
        inodes(copy.amount.inodes),
        size(copy)
    )];
    if tense == Tense::Done {
        let trees: Vec<_> = copy.trees();
        let trees: Vec<String> = trees.iter().map(|it| shell_word(it).to_string()).collect();
        notes.push(format!(
            "The original takes up {}. When nothing is missing in the copy, and nothing uses the original any more, this removes \
             it: `rm -rf {}`.",
            bytes(copy.amount.bytes),
            trees.join(" ")
        ));
        notes.push(format!(
            "{} is what a rollback needs, and holds nothing else. When you need no rollback: `{}`.",
            path(&copy.path()),
            copy.removal()
        ));
    }
    notes
}

/// What copying takes.
fn size(copy: &PlannedCopy) -> String {
    match copy.shares_content {
        true => ", which share their content with it".into(),
        false => format!(" ({})", bytes(copy.amount.bytes)),
    }
}
