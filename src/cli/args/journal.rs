//! `idshift journal`

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use super::common::StoreArgs;

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
    /// Print every change of a journal, with whole paths
    Show {
        /// Journal: an id or its number, a path, or `latest`
        #[arg(add = ArgValueCompleter::new(candidates::journals))]
        journal: String,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Read a whole journal and say whether it is damaged
    Check {
        /// Journal: an id or its number, a path, or `latest`
        #[arg(add = ArgValueCompleter::new(candidates::journals))]
        journal: String,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Remove journals of runs that are finished or rolled back; never one that is still needed
    Prune {
        /// Keep journals of finished runs that are younger: these can still be rolled back
        #[arg(long, value_name = "DAYS", default_value_t = 30)]
        older_than: u32,
        /// Change nothing, say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Journals
        #[command(flatten)]
        store: StoreArgs,
        /// Print one JSON object on stdout
        #[arg(long)]
        json: bool,
    },
}
