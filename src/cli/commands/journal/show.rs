//! `idshift journal show`

use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::facts::{own_facts, roots};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::text;
use crate::cli::output::{self, say, tell};
use crate::journal::changes::JournalChange;
use crate::journal::manifest::{ChangeLine, ManifestLine};
use crate::journal::{Journal, JournalError, Name};
use crate::ownership::Change;

/// Prints a journal while it is read, because it may not fit into memory.
pub(super) fn show(path: &Path, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let journal = Journal::open(path)?;
    invocation.set_journal(&journal);
    let shown = output::stdout()
        .map_err(ShowError::Output)
        .and_then(|stdout| {
            let mut out = io::BufWriter::new(stdout.lock());
            match invocation.json {
                true => print_object(&journal, invocation, &mut out)?,
                false => {
                    print_header(&journal, &mut out)?;
                    print_changes(&journal, &mut Lines::Text, &mut out)?;
                }
            }
            Ok(out.flush()?)
        });
    match shown {
        Ok(()) => Ok(Exit::Done),
        Err(ShowError::Output(error)) => {
            output::keep_error("standard output", Err(error));
            Ok(Exit::Done)
        }
        Err(ShowError::Journal(error)) => {
            // The object was begun, and is closed with how it ended.
            if invocation.json {
                say!(
                    "],\"ending\":\"refused\",\"error\":{}}}",
                    json!(error.to_string())
                );
            }
            tell!("idshift: {}", text::printable(&error.to_string()));
            Ok(Exit::Refused)
        }
    }
}

enum ShowError {
    Journal(JournalError),
    Output(io::Error),
}

impl From<io::Error> for ShowError {
    fn from(error: io::Error) -> ShowError {
        ShowError::Output(error)
    }
}

impl From<JournalError> for ShowError {
    fn from(error: JournalError) -> ShowError {
        ShowError::Journal(error)
    }
}

/// How changes are printed.
enum Lines {
    Text,
    /// Elements of an array, and whether there was one before.
    Json {
        is_next: bool,
    },
}

impl Lines {
    fn element(&mut self, line: &ManifestLine, out: &mut impl Write) -> io::Result<()> {
        let Lines::Json { is_next } = self else {
            return Ok(());
        };
        let separator = if *is_next { ",\n" } else { "\n" };
        *is_next = true;
        out.write_all(separator.as_bytes())?;
        out.write_all(line.to_bytes().trim_ascii_end())
    }
}

/// The facts of a journal, and `lines`: what a manifest would have, one element a line.
fn print_object(
    journal: &Journal,
    invocation: &Invocation,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    let mut members = invocation.members();
    if let Value::Object(facts) = own_facts(journal) {
        members.extend(facts.into_iter().filter(|(name, _)| name != "roots"));
    }
    let head = Value::Object(members).to_string();
    write!(
        out,
        "{},\"lines\":[",
        head.strip_suffix('}').unwrap_or(&head)
    )?;
    print_changes(journal, &mut Lines::Json { is_next: false }, out)?;
    writeln!(out, "],\"ending\":\"done\"}}")?;
    Ok(())
}

fn print_header(journal: &Journal, out: &mut impl Write) -> io::Result<()> {
    let header = &journal.header;
    writeln!(
        out,
        "{} {} {}: {}",
        text::one_line(header.command.name()),
        header.direction,
        roots(header),
        journal.state
    )?;
    writeln!(
        out,
        "map {}, begun {} on {}",
        header.map,
        header.time,
        text::one_line(&header.host)
    )?;
    for mark in &journal.marks {
        writeln!(out, "{:?} {}", mark.mark, mark.time)?;
    }
    Ok(())
}

fn print_changes(
    journal: &Journal,
    lines: &mut Lines,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    journal.for_each_change(|change| print_change(change, lines, out))?;
    for step in &journal.steps {
        match lines {
            Lines::Json { .. } => {
                lines.element(&ManifestLine::Step(Box::new(step.clone())), out)?;
            }
            Lines::Text => writeln!(
                out,
                "{}",
                text::one_line(&step.describe(&journal.header.roots))
            )?,
        }
    }
    Ok(())
}

fn print_change(
    it: JournalChange<'_>,
    lines: &mut Lines,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    let path = it.path();
    let Change { before, after } = &it.transition.change;
    match lines {
        Lines::Json { .. } => {
            let line = ManifestLine::Change(Box::new(ChangeLine {
                path: Name::from(&*path),
                file_type: it.transition.file_type,
                identity: it.entry.identity,
                links: None,
                before: before.clone(),
                after: after.clone(),
                flags: it.transition.held,
            }));
            lines.element(&line, out)?;
        }
        Lines::Text => {
            let extra = if before.xattrs.is_some() { " +" } else { "" };
            writeln!(
                out,
                "{}:{} -> {}:{} {}{extra} {}",
                before.uid,
                before.gid,
                after.uid,
                after.gid,
                before.mode,
                text::path(&path)
            )?;
        }
    }
    Ok(())
}
