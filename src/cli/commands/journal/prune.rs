//! `idshift journal prune`

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::QuietArgs;
use crate::cli::exit::Failure;
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::say;
use crate::cli::output::tense::Tense;
use crate::cli::output::text;
use crate::docker::migration_plan::needed_by_revert;
use crate::fs::escape::escaped;
use crate::journal::{Journal, JournalError, JournalState, Store};

/// What was pruned, or would be.
#[derive(Default)]
pub(super) struct Pruned {
    /// Journals that were removed.
    removed: Vec<PathBuf>,
    /// Journals of runs that are over and old enough, and why they stay.
    kept: Vec<(PathBuf, String)>,
}

/// Whether a journal is needed.
enum Need {
    /// Its run is not over, or young; or nobody can tell.
    Run,
    /// Something else needs it; why, for people.
    Other(String),
    /// Nothing does.
    None,
}

/// Removes journals that are not needed any more.
pub(super) fn prune(store: &Store, older_than: u32, dry_run: bool) -> Result<Pruned, Failure> {
    let limit = days_ago(older_than);
    store.check_there()?;
    let never_begun = store.never_begun()?;
    let need = |path: &Path| match never_begun.iter().any(|one| one == path) {
        true => Need::None,
        false => need(path, limit),
    };
    let mut pruned = Pruned::default();
    let mut unneeded = Vec::new();
    for path in never_begun.iter().cloned().chain(store.files()?) {
        match need(&path) {
            Need::Run => {}
            Need::Other(why) => pruned.kept.push((path, why)),
            Need::None => unneeded.push(path),
        }
    }
    pruned.removed = match dry_run {
        true => unneeded,
        false => remove(unneeded, |path| matches!(need(path), Need::None))?,
    };
    Ok(pruned)
}

/// Prints which journals were removed, or would be, and which stay though their runs are over.
pub(super) fn print_pruned(
    pruned: &Pruned,
    tense: Tense,
    output: QuietArgs,
    invocation: &Invocation,
) {
    let removed: Vec<Value> = pruned.removed.iter().map(|path| path_value(path)).collect();
    let kept: Vec<Value> = pruned
        .kept
        .iter()
        .map(|(path, why)| json!({"path": path_value(path), "reason": why}))
        .collect();
    invocation.print("done", json!({"removed": removed, "kept": kept}));
    if !output.is_for_people() {
        return;
    }
    let verb = tense.either("removed", "would be removed");
    let stays = tense.stays();
    for (path, why) in &pruned.kept {
        say!("{} {stays}: {}.", text::path(path), text::one_line(why));
    }
    for path in &pruned.removed {
        say!("{} {verb}", text::path(path));
    }
    match pruned.removed.len() {
        1 => say!("1 journal {verb}."),
        n => say!("{n} journals {verb}."),
    }
}

/// Before the first day that there is nothing is old.
fn days_ago(days: u32) -> Timestamp {
    let age = Duration::from_secs(u64::from(days) * 86_400);
    Timestamp::now().checked_sub(age).unwrap_or(Timestamp::MIN)
}

/// Whether a run is not over, its journal not old enough, or something is left that needs it.
fn need(path: &Path, limit: Timestamp) -> Need {
    let journal = match Journal::open(path) {
        Ok(journal) => journal,
        Err(JournalError::Empty { .. }) => return Need::None,
        Err(_) => return Need::Run,
    };
    let is_old = journal.time() < limit;
    match journal.state {
        JournalState::Undone if journal.left() == 0 => Need::None,
        JournalState::Undone | JournalState::Finished if is_old => {
            needed_by_revert(path, &journal.header).map_or(Need::None, Need::Other)
        }
        _ => Need::Run,
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
