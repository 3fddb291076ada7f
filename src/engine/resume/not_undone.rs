//! Whether a run was undone without a word of that in its journal.

use super::not_this;
use crate::engine::control::{Monitor, RunControl};
use crate::engine::refusal::Refusal;
use crate::engine::replay::Replay;
use crate::engine::steps::Steps;
use crate::engine::target::Target;
use crate::engine::{Phase, Problem};
use crate::fs::Root;
use crate::journal::{Journal, Mark};

/// Refuses a run that had changed all owners, as its mark `stepping` says, and whose owners are not changed now: it failed
/// after that and was undone, in whole or in part, while its journal could not be written any more. Only its last steps
/// would be taken.
///
/// # Errors
/// It is so; or the journal cannot be read any more.
pub(super) fn check_not_undone(
    journal: &Journal,
    roots: &[Root],
    jobs: usize,
    control: RunControl<'_>,
) -> Result<(), Refusal> {
    let steps = Steps::of(journal);
    let Some(changed) = journal
        .marks
        .iter()
        .rfind(|line| line.mark == Mark::Stepping)
    else {
        return Ok(());
    };
    // Both are undone before the first owner, and what was handed over not without a mark.
    if journal.handed_over().is_some() || steps.are_guards_removed() {
        return Ok(());
    }
    control
        .monitor
        .phase(Phase::Comparing, Some(journal.inodes));
    let moves = steps.moves();
    let monitor = ProgressOnly(control.monitor);
    let control = RunControl {
        monitor: &monitor,
        ..control
    };
    let compare = Replay {
        accept_partial: true,
        roots: Some(roots),
        moves: &moves,
        ..Replay::new(journal, Target::After, control)
    };
    let undone = compare.run(jobs)?.stats.changed;
    match undone > changed.left - changed.conflicts.min(changed.left) {
        false => Ok(()),
        true => Err(not_this(journal, |rollback| {
            format!(
                "{undone} of its inodes have the owners of before the run. The run failed and was undone, and that could not be \
                 written into the journal. Close it with {rollback}, then start again"
            )
        })),
    }
}

/// What is left as it is was told by the run, or is told when it is finished.
struct ProgressOnly<'a>(&'a dyn Monitor);

impl Monitor for ProgressOnly<'_> {
    fn progress(&self, seen: u64, changed: u64) {
        self.0.progress(seen, changed);
    }

    fn problem(&self, _: &Problem) {}
}
