//! The report of `idshift docker audit --json`.

use serde_json::{Map, Value};

use super::contents::{Grade, Report, Table, encoded_path};
use crate::fs::escape::one_line;

/// Makes it of the object that the audit printed.
pub(super) fn report(object: &Map<String, Value>) -> Report {
    let text = |name: &str| object.get(name).map(cell).unwrap_or_default();
    let grade = match text("verdict").as_str() {
        "ok" => Grade::Good,
        "warning" => Grade::Warning,
        _ => Grade::Bad,
    };
    let verdict = match grade {
        Grade::Good => "Ready for userns-remap.",
        Grade::Warning => "Ready, with warnings: look at them first.",
        Grade::Bad => "Not ready: something stands in the way.",
    };
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
