//! The report of `idshift docker audit --json`.

use serde_json::{Map, Value};

use super::contents::{Grade, Report, Table, encoded_path};
use crate::docker::audit::remapped_roots::REMAPPED_ROOT;
use crate::fs::escape::one_line;

/// Makes it of the object that the audit printed.
pub(super) fn report(object: &Map<String, Value>) -> Report {
    let text = |name: &str| object.get(name).map(cell).unwrap_or_default();
    let (grade, verdict) = verdict(object);
    let is_said = ["format", "command", "verdict", "ending", "roots", "dry_run"];
    let mut facts = Vec::new();
    let mut tables = Vec::new();
    for (name, value) in object
        .iter()
        .filter(|(name, _)| !is_said.contains(&name.as_str()))
    {
        match value {
            Value::Array(rows) if rows.iter().any(Value::is_object) => {
                tables.push(table(&words(name), rows));
            }
            Value::Object(members) => {
                let named = members.iter().map(|(member, value)| {
                    (
                        format!("{}: {}", words(name), words(member).to_lowercase()),
                        cell(value),
                    )
                });
                facts.extend(named);
            }
            Value::Array(all) if all.is_empty() => {}
            other => facts.push((words(name), cell(other))),
        }
    }
    let findings = tables.iter().position(|table| table.title == "Findings");
    let problems = findings.map(|n| tables.remove(n));
    Report {
        title: format!("Audit of {}", text("data_root")),
        grade,
        verdict: verdict.into(),
        facts,
        tree: None,
        problems,
        tables,
    }
}

/// The verdict, also in a sentence.
fn verdict(object: &Map<String, Value>) -> (Grade, &'static str) {
    let member = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let findings = object.get("findings").and_then(Value::as_array);
    let is_error = |it: &&Value| it["level"] == "error";
    let mut errors = findings.into_iter().flatten().filter(is_error);
    match member("verdict") {
        "ok" => (Grade::Good, "Ready for userns-remap."),
        "warning" => (Grade::Warning, "Ready, with warnings: look at them first."),
        "error"
            if member("state") == "remapped" && errors.all(|it| it["what"] == REMAPPED_ROOT) =>
        {
            (Grade::Good, "Remapped already.")
        }
        _ => (Grade::Bad, "Not ready: something stands in the way."),
    }
}

/// Objects as rows: each of their members is a column.
fn table(title: &str, rows: &[Value]) -> Table {
    let objects = || rows.iter().filter_map(Value::as_object);
    let mut columns: Vec<&str> = Vec::new();
    for name in objects().flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let mut table = Table {
        columns: columns.iter().map(|name| words(name)).collect(),
        ..Table::new(title, &[])
    };
    for row in objects() {
        let cells = columns
            .iter()
            .map(|name| row.get(*name).map(cell).unwrap_or_default());
        table.push(cells.collect());
    }
    table
}

/// `bind_mounts` as `Bind mounts`.
fn words(name: &str) -> String {
    let text = one_line(&name.replace('_', " "));
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => text,
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::String(text) => one_line(text),
        Value::Number(number) => number.to_string(),
        Value::Array(all) => all.iter().map(cell).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            if let Some(path) = encoded_path(value) {
                return path;
            }
            let pairs = members
                .iter()
                .map(|(name, value)| format!("{} {}", one_line(name), cell(value)));
            pairs.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graded(state: &str, errors: &[&str]) -> (Grade, String) {
        let finding = |what: &&str| json!({"level": "error", "what": what, "found": "is there"});
        let findings: Vec<Value> = errors.iter().map(finding).collect();
        let audit = json!({"verdict": "error", "state": state, "findings": findings});
        let report = report(audit.as_object().unwrap());
        (report.grade, report.verdict)
    }

    #[test]
    fn a_host_that_is_remapped_is_not_in_its_own_way() {
        let remapped = graded("remapped", &["remapped root"]);
        assert_eq!(remapped, (Grade::Good, "Remapped already.".into()));
        for (state, errors) in [
            ("both", &["remapped root"][..]),
            ("remapped", &["remapped root", "kernel"]),
        ] {
            assert_eq!(graded(state, errors).0, Grade::Bad, "{state} {errors:?}");
        }
    }

    #[test]
    fn a_path_that_is_not_utf8_is_shown_as_one() {
        let dir = json!({"b64": "L3Nydi/k"});
        let audit = json!({"verdict": "ok", "volumes_elsewhere": [{"volume": "v", "dir": dir}]});
        let report = report(audit.as_object().unwrap());
        let cells = &report.tables[0].rows[0];
        assert!(cells.contains(&"/srv/\u{fffd}".to_string()), "{cells:?}");
    }
}
