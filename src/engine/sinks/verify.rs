//! To nobody: what would change is not as it should be.

use std::ops::ControlFlow;

use super::{Decision, Sink};
use crate::engine::context::WalkContext;
use crate::engine::{Problem, ProblemKind, Stats};

/// Counts an inode that would change as a difference: for verify.
pub struct DifferenceSink;

impl Sink for DifferenceSink {
    type Held = ();

    fn change(
        &mut self,
        walk: &WalkContext<'_>,
        stats: &mut Stats,
        decision: Decision<'_, ()>,
    ) -> ControlFlow<()> {
        let now = &decision.transition.change.before;
        let problem = Problem {
            path: walk.path(decision.dir, decision.name),
            kind: ProblemKind::Conflict,
            reason: format!("is not shifted: it belongs to {}:{}", now.uid, now.gid),
        };
        walk.record_problem(stats, problem)
    }

    fn finish(&mut self, _walk: &WalkContext<'_>, _stats: &mut Stats, _whole: bool) {}
}
