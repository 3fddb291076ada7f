//! `idshift journal prune`

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::QuietArgs;
use crate::cli::exit::Failure;
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::say;
use crate::cli::output::text;
use crate::fs::escape::escaped;
use crate::journal::{Journal, JournalError, JournalState, Store};

/// Removes journals that are not needed any more. Returns those that were removed, or would be.
pub(super) fn prune(
    store: &Store,
    older_than: u32,
    dry_run: bool,
) -> Result<Vec<PathBuf>, Failure> {
    let limit = days_ago(older_than);
    store.check_there()?;
    let never_begun = store.never_begun()?;
    let is_unneeded =
        |path: &Path| never_begun.iter().any(|one| one == path) || is_over(path, limit);
    let all = never_begun.iter().cloned().chain(store.files()?);
    let unneeded: Vec<_> = all.filter(|path| is_unneeded(path)).collect();
    match dry_run {
        true => Ok(unneeded),
        false => remove(unneeded, is_unneeded),
    }
}

/// Prints which journals were removed, or would be.
pub(super) fn print_pruned(
    pruned: &[PathBuf],
    dry_run: bool,
    output: QuietArgs,
    call: &Invocation,
) {
    let removed: Vec<Value> = pruned.iter().map(|path| path_value(path)).collect();
    call.print("done", json!({"removed": removed}));
    if !output.is_for_people() {
        return;
    }
    let verb = match dry_run {
        true => "would be removed",
        false => "removed",
    };
    for path in pruned {
        say!("{} {verb}", text::path(path));
    }
    match pruned.len() {
        1 => say!("1 journal {verb}."),
        n => say!("{n} journals {verb}."),
    }
}

/// Before the first day that there is nothing is old.
fn days_ago(days: u32) -> Timestamp {
    let age = Duration::from_secs(u64::from(days) * 86_400);
    Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// Whether a run is over, its journal old enough, and nothing is left that needs it.
fn is_over(path: &Path, limit: Timestamp) -> bool {
    match Journal::open(path) {
        Ok(journal) => match journal.state {
            JournalState::Undone => journal.left() == 0 || journal.time() < limit,
            JournalState::Finished => journal.time() < limit,
            JournalState::Unfinished | JournalState::Undoing => false,
        },
        Err(JournalError::Empty { .. }) => true,
        Err(_) => false,
    }
}

/// Removes these, except those that are needed by now. Returns what was removed.
fn remove(
    paths: Vec<PathBuf>,
    is_unneeded: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, Failure> {
    let mut removed = Vec::new();
    for path in paths {
        let is_gone = Store::remove(&path, &is_unneeded);
        if is_gone.map_err(|error| Failure::refused(format!("{}: {error}", escaped(&path))))? {
            removed.push(path);
        }
    }
    Ok(removed)
}
