//! `idshift journal list`

use serde_json::{Value, json};

use super::facts::{facts, roots};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::say;
use crate::cli::output::text;
use crate::journal::id::id_of;
use crate::journal::{Journal, JournalError, Store};

/// Lists the journals of a directory; those that cannot be used are named, too.
pub(super) fn list(store: &Store, invocation: &Invocation) -> Result<Exit, Failure> {
    let mut rows = vec![
        ["id", "state", "command", "roots", "inodes"]
            .map(String::from)
            .to_vec(),
    ];
    let mut all: Vec<Value> = Vec::new();
    let mut exit = Exit::Done;
    store.check_there()?;
    for path in store.files()? {
        let id = text::one_line(id_of(&path).unwrap_or_default());
        match Journal::overview(&path) {
            Ok(journal) if invocation.json => all.push(facts(&path, &journal)),
            Ok(journal) => rows.push(vec![
                id,
                journal.state.to_string(),
                format!(
                    "{} {}",
                    text::one_line(journal.header.command.name()),
                    journal.header.direction
                ),
                roots(&journal.header),
                text::count(journal.named.inodes),
            ]),
            Err(error) => {
                exit = Exit::SomeLeft;
                match invocation.json {
                    true => all.push(json!({"id": id, "error": error.to_string()})),
                    false => rows.push(vec![id, format!("unusable: {}", short(&error))]),
                }
            }
        }
    }
    invocation.print("done", json!({"journals": all}));
    if !invocation.json {
        match rows.len() {
            1 => say!("No journals in {}.", text::path(store.place())),
            _ => say!("{}", text::table(&rows).trim_end()),
        }
    }
    Ok(exit)
}

fn short(error: &JournalError) -> &'static str {
    match error {
        JournalError::Empty { .. } => "empty, nothing was done",
        JournalError::Newer { .. } => "from a newer idshift",
        JournalError::Damaged { .. } => "damaged",
        JournalError::NotTrusted { .. } => "others could have written it",
        JournalError::GoneOn { .. } => "being written",
        // The last two are of a number of frames, which a list does not ask for.
        JournalError::Io { .. }
        | JournalError::NotAJournal { .. }
        | JournalError::NoChangesUpTo { .. }
        | JournalError::NotDamaged { .. } => "not readable",
    }
}
