//! `idshift journal list | show | check | prune`

mod check;
mod facts;
mod list;
mod prune;
mod show;

use std::path::{Path, PathBuf};

use self::check::check;
use self::list::list;
use self::prune::{print_pruned, prune};
use self::show::show;
use crate::cli::args::{JournalArgs, JournalCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::tense::Tense;
use crate::journal::Store;

/// Runs one of them.
pub fn run(args: &JournalArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        JournalCommand::List { store, .. } => list(&Store::at(&store.journal_dir), invocation),
        JournalCommand::Show { journal, store, .. } => {
            show(&find(&Store::at(&store.journal_dir), journal)?, invocation)
        }
        JournalCommand::Check {
            journal,
            store,
            output,
        } => {
            let path = find(&Store::at(&store.journal_dir), journal)?;
            check(&path, output.quiet, invocation)
        }
        JournalCommand::Prune {
            older_than,
            dry_run,
            store,
            output,
        } => {
            let pruned = prune(&Store::at(&store.journal_dir), *older_than, *dry_run)?;
            print_pruned(&pruned, Tense::of(*dry_run), *output, invocation);
            Ok(Exit::Done)
        }
    }
}

fn find(store: &Store, name: &Path) -> Result<PathBuf, Failure> {
    Ok(store.find(name)?)
}
