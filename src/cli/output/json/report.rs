//! The object of a report.

use std::path::Path;

use serde_json::{Value, json};

use super::{Invocation, path_value, paths};
use crate::engine::stats::RenamedObstacle;
use crate::engine::{Ending, Problem, Report};
use crate::journal::id::id_of;
use crate::preflight::TransientBlocker;

/// Prints the object of a report. `docs/formats.md` describes it.
pub fn print_report(invocation: &Invocation, report: &Report, manifest: Option<&Path>) {
    let ending = match &report.ending {
        Ending::Done => "done",
        Ending::Interrupted => "interrupted",
        Ending::RolledBack { .. } => "rolled-back",
        Ending::Stuck { .. } => "rollback-incomplete",
        Ending::Nothing { .. } => "nothing",
    };
    invocation.print(ending, members(report, manifest));
}

fn members(report: &Report, manifest: Option<&Path>) -> Value {
    let stats = &report.stats;
    let mut owners: Vec<_> = stats.owners.iter().collect();
    owners.sort();
    let owners: Vec<Value> = owners
        .into_iter()
        .map(|(((uid, gid), (new_uid, new_gid)), count)| {
            json!({
                "before": {"uid": uid, "gid": gid},
                "after": {"uid": new_uid, "gid": new_gid},
                "count": count,
            })
        })
        .collect();
    let why = match &report.ending {
        Ending::Done | Ending::Interrupted => vec![],
        Ending::RolledBack { why } | Ending::Stuck { why } => problems(why),
        Ending::Nothing { why } => vec![json!({"reason": why})],
    };
    json!({
        "why": why,
        "journal": report.journal.as_deref().and_then(id_of),
        "journal_path": report.journal.as_deref().map(path_value),
        "manifest": manifest.map(path_value),
        "seen": stats.seen,
        "changed": stats.changed,
        "already_shifted": stats.already,
        "unmapped": stats.unmapped,
        "failed": stats.failed,
        "conflicts": stats.conflicts,
        "gone": stats.gone,
        "replaced": stats.replaced,
        "skipped": stats.mounts + stats.excluded + stats.vanished,
        "skipped_mounts": paths(&stats.mount_paths),
        "excluded": stats.excluded,
        "excludes_without_match": stats.unmatched_excludes,
        "vanished": stats.vanished,
        "steps": stats.steps,
        "set_aside": set_aside(&stats.set_aside),
        "created_since": stats.created,
        "created_paths": paths(&stats.created_paths),
        "problems": problems(&stats.problems),
        "would_refuse": would_refuse(&report.would_refuse),
        "owners": owners,
        "with_more_owners": stats.with_more_owners,
        "elapsed_s": report.elapsed.as_secs_f64(),
    })
}

/// Why a real run would be refused now.
pub fn would_refuse<'a>(found: impl IntoIterator<Item = &'a TransientBlocker>) -> Vec<Value> {
    found
        .into_iter()
        .map(|one| json!({"kind": one.kind(), "reason": one.to_string()}))
        .collect()
}

fn set_aside(all: &[RenamedObstacle]) -> Vec<Value> {
    let one =
        |it: &RenamedObstacle| json!({"from": path_value(&it.from), "to": path_value(&it.to)});
    all.iter().map(one).collect()
}

fn problems(problems: &[Problem]) -> Vec<Value> {
    problems
        .iter()
        .map(|problem| {
            json!({
                "path": path_value(&problem.path),
                "kind": problem.kind,
                "reason": problem.reason,
            })
        })
        .collect()
}
