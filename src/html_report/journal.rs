//! The report of a journal.

use std::path::Path;

use super::contents::{Grade, Report, Table, count_text, shown};
use super::error::ReportError;
use super::manifest::trees;
use super::tree::Tree;
use crate::fs::escape::{one_line, shell_word};
use crate::journal::id::DEFAULT_PLACE;
use crate::journal::{Journal, JournalState};

/// Reads it.
pub(super) fn read(path: &Path) -> Result<Report, ReportError> {
    let journal = Journal::open(path)?;
    let header = &journal.header;
    let mut tree = Tree::default();
    journal.for_each_change(|it| {
        let names = it.dir.iter().map(|name| &name.0[..]);
        let change = &it.transition.change;
        tree.add(&it.root.path.0, names, (&change.before, &change.after));
        Ok::<(), ReportError>(())
    })?;
    let mut steps = Table::new("Renames and rewrites", &["step"]);
    for step in &journal.steps {
        steps.push(vec![one_line(&step.describe(&header.roots))]);
    }
    let mut marks = Table::new("What happened when", &["time", "what", "left"]);
    for mark in &journal.marks {
        let what = format!("{:?}", mark.mark).to_lowercase();
        marks.push(vec![
            format!("{:.0}", mark.time),
            what,
            count_text(mark.left),
        ]);
    }
    let facts = [
        ("Journal", shown(path.as_os_str().as_encoded_bytes())),
        ("Host", one_line(&header.host)),
        ("Begun", format!("{:.0}", header.time)),
        ("By", one_line(&header.tool)),
        (
            "Command",
            format!("{} {}", one_line(header.command.name()), header.direction),
        ),
        ("Map", header.map.to_string()),
        ("Trees", trees(&header.roots)),
    ];
    let (grade, verdict) = verdict(&journal, &word(&journal, path), tree.inodes());
    Ok(Report {
        title: format!(
            "{} on {}",
            one_line(header.command.name()),
            one_line(&header.host)
        ),
        grade,
        verdict,
        facts: facts.map(|(name, value)| (name.to_string(), value)).into(),
        tree: Some(tree),
        problems: None,
        tables: vec![steps, marks],
    })
}

/// How a command names the journal: by its id where journals are looked for, else by its path.
fn word(journal: &Journal, path: &Path) -> String {
    match path.parent() == Some(Path::new(DEFAULT_PLACE)) {
        true => journal.header.id.to_string(),
        false => shell_word(path),
    }
}

fn verdict(journal: &Journal, id: &str, inodes: u64) -> (Grade, String) {
    let (left, inodes) = (journal.left(), count_text(inodes));
    match (journal.state, left) {
        (JournalState::Finished, 0) => (
            Grade::Good,
            format!("Finished: {inodes} inodes changed. `idshift rollback {id}` undoes it."),
        ),
        (JournalState::Finished, _) => (
            Grade::Warning,
            format!(
                "Finished: {inodes} inodes changed, {left} left as they were. `idshift rollback {id}` undoes it."
            ),
        ),
        (JournalState::Undone, 0) => (
            Grade::Good,
            "Rolled back: everything is as it was before.".into(),
        ),
        (JournalState::Undone, _) => (
            Grade::Warning,
            format!(
                "Rolled back, but {left} inodes were changed by somebody else since, and left."
            ),
        ),
        (JournalState::Unfinished, _) => (
            Grade::Bad,
            format!(
                "Not finished. `idshift resume {id}` goes on, `idshift rollback {id}` undoes it."
            ),
        ),
        (JournalState::Undoing, _) => (
            Grade::Bad,
            format!("Its rollback is not finished. `idshift rollback {id}` goes on."),
        ),
    }
}
