//! A report for programs: one JSON object.

use std::path::Path;

use serde_json::{Value, json};

use crate::engine::{Ending, Problem, Report};
use crate::record::Name;
use crate::record::store::id_of;

/// The object that `--json` prints. `docs/formats.md` describes it.
pub fn report(report: &Report, manifest: Option<&Path>) -> Value {
    let tally = &report.tally;
    let mut owners: Vec<_> = tally.owners.iter().collect();
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
    let (ending, why) = match &report.ending {
        Ending::Done => ("done", vec![]),
        Ending::Interrupted => ("interrupted", vec![]),
        Ending::RolledBack { why } => ("rolled-back", problems(why)),
        Ending::Stuck { why } => ("stuck", problems(why)),
        Ending::Nothing { why } => ("nothing", vec![json!({"reason": why})]),
    };
    json!({
        "ending": ending,
        "why": why,
        "journal": report.journal.as_deref().and_then(id_of),
        "journal_path": report.journal.as_deref().map(path_value),
        "manifest": manifest.map(path_value),
        "seen": tally.seen,
        "changed": tally.changed,
        "already_shifted": tally.already,
        "unmapped": tally.unmapped,
        "failed": tally.failed,
        "conflicts": tally.conflicts,
        "skipped": tally.mounts + tally.excluded + tally.vanished,
        "skipped_mounts": paths(&tally.mount_paths),
        "excluded": tally.excluded,
        "vanished": tally.vanished,
        "steps": tally.steps,
        "created_since": tally.created,
        "created_paths": paths(&tally.created_paths),
        "problems": problems(&tally.problems),
        "owners": owners,
        "elapsed_s": report.elapsed.as_secs_f64(),
    })
}

fn paths(paths: &[std::path::PathBuf]) -> Vec<Value> {
    paths.iter().map(|path| path_value(path)).collect()
}

/// A string, or `{"b64":"…"}` where the path is not UTF-8.
pub fn path_value(path: &Path) -> Value {
    json!(Name::from(path))
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
