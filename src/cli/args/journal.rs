//! `idshift journal`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::{QuietArgs, StoreArgs};

/// `idshift journal`
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// What to do with them.
    #[command(subcommand)]
    pub command: JournalCommand,
}

/// The subcommands of `idshift journal`
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// List the journals, oldest first
    List {
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print every change of a journal, with full paths
    Show {
        /// Journal: id, number, path, or `latest`
        #[arg(add = ArgValueCompleter::new(candidates::journals))]
        journal: PathBuf,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Read a journal completely, and report damage
    #[command(after_help = "Exit codes: 0 no damage · 3 damaged · 4 cannot be read")]
    Check {
        /// Journal: id, number, path, or `latest`
        #[arg(add = ArgValueCompleter::new(candidates::journals))]
        journal: PathBuf,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Output
        #[command(flatten)]
        output: QuietArgs,
    },
    /// Remove journals of runs that are finished or rolled back; never one that is still needed
    Prune {
        /// Keep journals of finished runs that are younger: these runs can still be rolled back
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u32,
        /// Change nothing; show what would be done
        #[arg(long)]
        dry_run: bool,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Output
        #[command(flatten)]
        output: QuietArgs,
    },
}
