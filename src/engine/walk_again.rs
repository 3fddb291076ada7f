//! Walking once more where names went away while they were read.
//!
//! A name that is gone by the time it is looked up was removed, or renamed: perhaps to a name that the walk has passed.
//! Programs that write a file under another name and rename it do that. A second walk finds such an inode, because its
//! ids tell that it is not shifted.

use super::context::{RunState, WalkContext, WalkScope};
use super::deferred_links::verify::walk_and_verify;
use super::sinks::journal::JournalSink;
use super::visitor::ShiftVisitor;
use super::{Problem, ProblemKind, Stats};
use crate::fs::Root;
use crate::guidance::Guidance;
use crate::journal::writer::Writer;

/// Walks, at most. Where names still vanish then, something renames or removes all the time.
const WALKS: usize = 3;

/// Shifts the trees; again, where names vanished. Ids tell what is shifted. If names vanished in the last walk too, that is one
/// problem in the counts: nobody knows whether all is shifted.
pub(super) fn shift_until_no_name_vanishes(
    run: &RunState<'_>,
    trees: &[Root],
    scope: WalkScope<'_>,
    jobs: usize,
    writer: &Writer,
) -> Stats {
    // Where what cannot be shifted is left, another walk would report it again.
    let most = match scope.carry_on {
        true => 1,
        false => WALKS,
    };
    let (mut scope, mut stats) = (scope, Stats::default());
    for walked in 1.. {
        let walk = WalkContext::new(run, trees, scope);
        let sink = || JournalSink::new(writer, run.control);
        let found = walk_and_verify(&walk, trees, jobs, || ShiftVisitor::new(&walk, sink()));
        scope = walk.scope;
        let vanished = found.vanished;
        stats = match walked {
            1 => found,
            _ => found.after(stats),
        };
        if vanished == 0 || run.is_cut_short() {
            break;
        }
        if walked == most {
            record_vanished(run, trees, vanished, Guidance::ShiftAgain, &mut stats);
            break;
        }
    }
    stats
}

/// Counts and tells that names went away, and what may come of it.
pub(super) fn record_vanished(
    run: &RunState<'_>,
    trees: &[Root],
    vanished: u64,
    help: Guidance<'_>,
    stats: &mut Stats,
) {
    let names = match vanished {
        1 => "1 name".to_string(),
        n => format!("{n} names"),
    };
    let problem = Problem {
        path: trees
            .first()
            .map(|tree| tree.path.clone())
            .unwrap_or_default(),
        kind: ProblemKind::Failed,
        reason: format!(
            "{names} went away while the tree was read. What was renamed meanwhile may have its old owner. {help}"
        ),
    };
    run.control.monitor.problem(&problem);
    stats.add_problem(problem);
}
