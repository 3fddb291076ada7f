//! `idshift journal show`

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::facts::{own_facts, roots};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::text;
use crate::cli::output::{self, say, tell};
use crate::journal::file::Section;
use crate::journal::manifest::{ChangeLine, ManifestLine};
use crate::journal::record::DirLine;
use crate::journal::{Journal, JournalError, Name, Transition};

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
    for frame in 0..journal.frames() {
        let mut owns: HashMap<u32, Transition> = HashMap::new();
        let mut path: Vec<Name> = Vec::new();
        for piece in journal.read(frame).map_err(ShowError::Journal)? {
            match piece {
                Section::Own(n, transition) => {
                    owns.insert(n, transition);
                }
                Section::Dir(line) => {
                    path.truncate(line.keep);
                    path.extend(line.path.iter().cloned());
                    print_dir(journal, &line, &path, &owns, lines, out)?;
                }
            }
        }
    }
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

fn print_dir(
    journal: &Journal,
    line: &DirLine,
    below: &[Name],
    owns: &HashMap<u32, Transition>,
    lines: &mut Lines,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    let root = journal.header.roots.get(line.root);
    let mut dir = root
        .map(|root| PathBuf::from(root.path.clone()))
        .unwrap_or_default();
    dir.extend(below.iter().map(Name::as_path));
    for entry in line.entries() {
        let Some(transition) = owns.get(&entry.own) else {
            continue;
        };
        let path = match &entry.name.0[..] {
            b"." => dir.clone(),
            _ => dir.join(entry.name.as_path()),
        };
        let change = &transition.change;
        if matches!(lines, Lines::Json { .. }) {
            let line = ManifestLine::Change(Box::new(ChangeLine {
                path: Name::from(&*path),
                file_type: transition.file_type,
                identity: entry.identity,
                links: None,
                before: change.before.clone(),
                after: change.after.clone(),
                flags: transition.held,
            }));
            lines.element(&line, out)?;
        } else {
            let (before, after) = (&change.before, &change.after);
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
