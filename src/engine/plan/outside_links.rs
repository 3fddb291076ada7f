//! Hard links outside the trees.

use crate::engine::context::WalkContext;
use crate::engine::refusal::Refusal;

/// Refuses hard links outside the trees, unless the request allows them.
pub(super) fn check_no_outside_links(walk: &WalkContext<'_>) -> Result<(), Refusal> {
    let all = walk.links.linked_outside();
    let Some(first) = all.first() else {
        return Ok(());
    };
    Err(Refusal::OutsideLinks {
        path: walk.path(&first.dir, &first.name),
        names: first.names,
        more: match all.len() {
            1 => String::new(),
            n => format!(" (and {} more such files)", n - 1),
        },
        command: walk.scope.command,
    })
}
