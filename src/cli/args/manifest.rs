//! `idshift manifest`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::{OutputArgs, StoreArgs};

/// `idshift manifest`
#[derive(Debug, Args)]
pub struct ManifestArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ManifestCommand,
}

/// The subcommands of `idshift manifest`
#[derive(Debug, Subcommand)]
pub enum ManifestCommand {
    /// Compare two manifests, two journals or two audits
    Diff(DiffArgs),
}

/// `idshift manifest diff`
#[derive(Debug, Args)]
#[command(
    after_help = "Times, inode numbers, hosts and ids of runs are not compared. If each file has one tree, paths are compared from there. All \
                  paths are kept in memory.\n\n\
    Exit codes: 0 the same · 3 different · 4 a file cannot be used\n\n\
    Examples:\n  \
    Two hosts:\n    \
    idshift manifest diff web1.jsonl web2.jsonl\n  \
    Before and after:\n    \
    idshift shift --dry-run --manifest after.jsonl /srv/data\n    \
    idshift manifest diff before.jsonl after.jsonl\n  \
    The same as a page:\n    \
    idshift report before.jsonl after.jsonl --output diff.html"
)]
pub struct DiffArgs {
    /// A manifest, the output of `docker audit --json`, or a journal: id, number, path, or `latest`
    #[arg(value_name = "A", add = ArgValueCompleter::new(candidates::journals_and_paths))]
    pub first: PathBuf,
    /// What it is compared with: a file of the same kind
    #[arg(value_name = "B", add = ArgValueCompleter::new(candidates::journals_and_paths))]
    pub second: PathBuf,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}
