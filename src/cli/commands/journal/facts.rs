//! What the JSON of the commands tells of a journal.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::output::json::path_value;
use crate::cli::output::text;
use crate::journal::Journal;
use crate::journal::file::Overview;
use crate::journal::record::Header;

pub(super) fn roots(header: &Header) -> String {
    let roots = header.roots.iter();
    roots
        .map(|root| text::path(root.path.as_path()))
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn facts(path: &Path, journal: &Overview) -> Value {
    json!({
        "id": journal.header.id,
        "path": path_value(path),
        "state": journal.state.to_string(),
        "command": journal.header.command,
        "direction": journal.header.direction,
        "map": journal.header.map,
        "roots": journal.header.roots,
        "time": journal.header.time,
        "inodes": journal.named.inodes,
        "steps": journal.named.steps,
        "left": journal.left,
        "frames": journal.frames,
        "bytes": journal.bytes,
        "torn": journal.torn,
    })
}

/// The facts of a journal in an object that has a command and roots of its own.
pub(super) fn own_facts(journal: &Journal) -> Value {
    let mut facts = facts(&journal.path, &Overview::from(journal));
    if let Value::Object(members) = &mut facts {
        let command = members.remove("command");
        members.insert("journal_command".into(), command.unwrap_or_default());
    }
    facts
}
