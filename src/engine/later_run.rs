//! What was run on a tree after the run of a journal.

use std::ffi::OsStr;
use std::path::Path;

use crate::journal::id::argument;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Store};

/// A run that did more on the first tree of a journal than change owners, was begun later and is not undone.
pub(super) struct LaterRun {
    command: RunKind,
    /// The journal, as an argument.
    id: String,
}

impl LaterRun {
    /// The newest one whose journal is beside this one.
    pub fn of(journal: &Journal) -> Option<LaterRun> {
        let top = &journal.header.roots.first()?.path;
        let files = Store::at(journal.path.parent()?).files().ok()?;
        let name = |file: &Path| file.file_name().map(OsStr::to_owned);
        let own = files
            .iter()
            .position(|it| name(it) == name(&journal.path))?;
        files[own + 1..].iter().rev().find_map(|file| {
            let outline = Journal::outline(file).ok()?;
            let header = outline.header;
            let is_of_it = header.roots.iter().any(|root| root.path == *top);
            let counts = outline.state != JournalState::Undone && header.is_of_service();
            (is_of_it && counts).then(|| LaterRun {
                command: header.command,
                id: argument(file),
            })
        })
    }

    /// What it was, and what comes before the rollback of the earlier one, which `again` names.
    pub fn comes_first(&self, again: &Journal) -> String {
        format!(
            "`idshift {}` was run later, and its journal is {id}. The later run is undone first: `idshift rollback {id}`, then \\
             `idshift rollback {}`",
            self.command.name(),
            argument(&again.path),
            id = self.id
        )
    }
}
