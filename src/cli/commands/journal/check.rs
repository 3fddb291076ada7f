//! `idshift journal check`

use std::path::Path;

use serde_json::json;

use super::facts::own_facts;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::{Invocation, path_value};
use crate::cli::output::text;
use crate::cli::output::{say, tell};
use crate::journal::{Journal, JournalError};

/// Reads all of a journal and says whether it is whole.
pub(super) fn check(
    path: &Path,
    quiet: bool,
    invocation: &mut Invocation,
) -> Result<Exit, Failure> {
    let journal = match Journal::open(path) {
        Ok(journal) => journal,
        Err(error @ JournalError::Damaged { .. }) => {
            let error = error.to_string();
            invocation.print("failed", json!({"path": path_value(path), "error": error}));
            tell!("idshift: {}", text::printable(&error));
            return Ok(Exit::SomeLeft);
        }
        Err(error) => return Err(error.into()),
    };
    invocation.set_journal(&journal);
    if invocation.json {
        invocation.print("done", own_facts(&journal));
    }
    if invocation.json || quiet {
        return Ok(Exit::Done);
    }
    say!(
        "{}: no damage; {}, {} in {} frames, {}.",
        text::path(path),
        journal.state,
        text::inodes(journal.inodes),
        journal.frames(),
        text::bytes(journal.bytes()),
    );
    if journal.torn {
        say!("  The last frame is incomplete. Nothing in it was done.");
    }
    Ok(Exit::Done)
}
