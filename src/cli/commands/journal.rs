//! `idshift journal list | show | check | prune`

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::{SpanRelativeTo, Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::cli::args::{JournalArgs, JournalCommand, QuietArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::text;
use crate::cli::output::{self, say, tell};
use crate::fs::escape::escaped;
use crate::journal::file::{Overview, Section};
use crate::journal::id::id_of;
use crate::journal::manifest::{ChangeLine, LinePath, ManifestLine};
use crate::journal::record::{DirLine, Header};
use crate::journal::{Journal, JournalError, JournalState, Name, Store, Transition};

/// Runs one of them.
pub fn run(args: &JournalArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        JournalCommand::List { store, .. } => list(&Store::at(&store.journal_dir), call),
        JournalCommand::Show { journal, store, .. } => {
            show(&find(&Store::at(&store.journal_dir), journal)?, call)
        }
        JournalCommand::Check {
            journal,
            store,
            output,
        } => {
            let path = find(&Store::at(&store.journal_dir), journal)?;
            check(&path, output.quiet, call)
        }
        JournalCommand::Prune {
            older_than,
            dry_run,
            store,
            output,
        } => {
            let going = prune(&Store::at(&store.journal_dir), *older_than, *dry_run)?;
            tell_pruned(&going, *dry_run, *output, call);
            Ok(Exit::Done)
        }
    }
}

fn find(store: &Store, name: &str) -> Result<PathBuf, Failure> {
    Ok(store.find(name)?)
}

fn list(store: &Store, call: &Invocation) -> Result<Exit, Failure> {
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
            Ok(journal) if call.json => all.push(facts(&path, &journal)),
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
                match call.json {
                    true => all.push(json!({"id": id, "error": error.to_string()})),
                    false => rows.push(vec![id, format!("unusable: {}", short(&error))]),
                }
            }
        }
    }
    call.print("done", json!({"journals": all}));
    if !call.json {
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
        JournalError::Io { .. } | JournalError::NotAJournal { .. } => "not readable",
    }
}

fn roots(header: &Header) -> String {
    let roots = header.roots.iter();
    roots
        .map(|root| text::path(root.path.as_path()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn facts(path: &Path, journal: &Overview) -> Value {
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

/// The same in an object that has a command and roots of its own.
fn own_facts(journal: &Journal) -> Value {
    let mut facts = facts(&journal.path, &Overview::from(journal));
    if let Value::Object(members) = &mut facts {
        let command = members.remove("command");
        members.insert("journal_command".into(), command.unwrap_or_default());
    }
    facts
}

fn check(path: &Path, quiet: bool, call: &mut Invocation) -> Result<Exit, Failure> {
    let journal = match Journal::open(path) {
        Ok(journal) => journal,
        Err(error @ JournalError::Damaged { .. }) => {
            let error = error.to_string();
            call.print("failed", json!({"path": path_value(path), "error": error}));
            tell!("idshift: {}", text::printable(&error));
            return Ok(Exit::SomeLeft);
        }
        Err(error) => return Err(error.into()),
    };
    call.is_of_journal(&journal);
    if call.json {
        call.print("done", own_facts(&journal));
    }
    if call.json || quiet {
        return Ok(Exit::Done);
    }
    say!(
        "{}: whole. {}, {} in {} frames, {}.",
        text::path(path),
        journal.state,
        text::inodes(journal.inodes),
        journal.frames(),
        text::bytes(journal.bytes()),
    );
    if journal.torn {
        say!("  A last frame was cut off while it was written; nothing of it was done.");
    }
    Ok(Exit::Done)
}

/// A journal names more than fits into memory: it is printed while it is read.
fn show(path: &Path, call: &mut Invocation) -> Result<Exit, Failure> {
    let journal = Journal::open(path)?;
    call.is_of_journal(&journal);
    let shown = output::stdout()
        .map_err(ShowError::Output)
        .and_then(|stdout| {
            let mut out = io::BufWriter::new(stdout.lock());
            match call.json {
                true => print_object(&journal, call, &mut out)?,
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
            if call.json {
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
    call: &Invocation,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    let mut members = call.members();
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
    how: &mut Lines,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    for frame in 0..journal.frames() {
        let mut owns: HashMap<u32, Transition> = HashMap::new();
        let mut way: Vec<Name> = Vec::new();
        for piece in journal.read(frame).map_err(ShowError::Journal)? {
            match piece {
                Section::Own(n, transition) => {
                    owns.insert(n, transition);
                }
                Section::Dir(line) => {
                    way.truncate(line.keep);
                    way.extend(line.path.iter().cloned());
                    print_dir(journal, &line, &way, &owns, how, out)?;
                }
            }
        }
    }
    for step in &journal.steps {
        match how {
            Lines::Json { .. } => {
                how.element(&ManifestLine::Step(Box::new(step.clone())), out)?;
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
    way: &[Name],
    owns: &HashMap<u32, Transition>,
    how: &mut Lines,
    out: &mut impl Write,
) -> Result<(), ShowError> {
    let root = journal.header.roots.get(line.root);
    let mut dir = root
        .map(|root| PathBuf::from(root.path.clone()))
        .unwrap_or_default();
    dir.extend(way.iter().map(Name::as_path));
    for entry in line.entries() {
        let Some(transition) = owns.get(&entry.own) else {
            continue;
        };
        let path = match &entry.name.0[..] {
            b"." => dir.clone(),
            _ => dir.join(entry.name.as_path()),
        };
        let change = &transition.change;
        if matches!(how, Lines::Json { .. }) {
            let line = ManifestLine::Change(Box::new(ChangeLine {
                path: LinePath::new(path.as_os_str().as_encoded_bytes()),
                file_type: transition.file_type,
                identity: entry.identity,
                before: change.before.clone(),
                after: change.after.clone(),
                flags: transition.held,
            }));
            how.element(&line, out)?;
        } else {
            let (before, after) = (&change.before, &change.after);
            let extra = if before.extra.is_some() { " +" } else { "" };
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

/// The journals that were removed, or would be.
fn prune(store: &Store, older_than: u32, dry_run: bool) -> Result<Vec<PathBuf>, Failure> {
    let days = i64::from(older_than).days();
    let limit = Timestamp::now()
        .checked_sub(
            days.to_duration(SpanRelativeTo::days_are_24_hours())
                .map_err(Failure::usage)?,
        )
        .map_err(Failure::usage)?;
    let is_of_no_use = |path: &Path| match Journal::open(path) {
        Ok(journal) => match journal.state {
            JournalState::Undone => journal.left() == 0 || journal.time() < limit,
            JournalState::Finished => journal.time() < limit,
            JournalState::Unfinished | JournalState::Undoing => false,
        },
        Err(JournalError::Empty { .. }) => true,
        Err(_) => false,
    };
    store.check_there()?;
    let never_begun = store.never_begun()?;
    let goes = |path: &Path| never_begun.iter().any(|one| one == path) || is_of_no_use(path);
    let all = never_begun.iter().cloned().chain(store.files()?);
    let mut going: Vec<_> = all.filter(|path| goes(path)).collect();
    if !dry_run {
        let mut removed = Vec::new();
        for path in going {
            let is_gone = Store::remove(&path, goes);
            if is_gone.map_err(|error| Failure::refused(format!("{}: {error}", escaped(&path))))? {
                removed.push(path);
            }
        }
        going = removed;
    }
    Ok(going)
}

fn tell_pruned(going: &[PathBuf], dry_run: bool, output: QuietArgs, call: &Invocation) {
    let removed: Vec<Value> = going.iter().map(|path| path_value(path)).collect();
    call.print("done", json!({"removed": removed}));
    if !output.is_for_people() {
        return;
    }
    let verb = if dry_run {
        "would be removed"
    } else {
        "removed"
    };
    for path in going {
        say!("{} {verb}", text::path(path));
    }
    say!(
        "{} {verb}.",
        match going.len() {
            1 => "1 journal".to_string(),
            n => format!("{n} journals"),
        }
    );
}
