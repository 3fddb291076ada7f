//! `idshift report`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::StoreArgs;

/// `idshift report`
#[derive(Debug, Args)]
#[command(
    after_help = "The page is one file that loads nothing: you can send it or print it. It may contain private names, so it has mode 0600.\n\n\
    Examples:\n  \
    idshift shift --dry-run --manifest plan.jsonl /srv/data\n  \
    idshift report plan.jsonl --output plan.html\n  \
    idshift docker audit --json > audit.json\n  \
    idshift report audit.json --output audit.html\n  \
    idshift report latest --output run.html\n  \
    idshift report before.jsonl after.jsonl --output diff.html"
)]
pub struct ReportArgs {
    /// A manifest, the output of `docker audit --json`, or a journal: id, number, path, or `latest`
    #[arg(value_name = "FILE|JOURNAL", add = ArgValueCompleter::new(candidates::journals_and_paths))]
    pub what: PathBuf,
    /// Compare it with this: a file of the same kind
    #[arg(value_name = "FILE|JOURNAL", add = ArgValueCompleter::new(candidates::journals_and_paths))]
    pub other: Option<PathBuf>,
    /// File for the page; `-` is stdout
    #[arg(short, long, value_name = "FILE|-")]
    pub output: PathBuf,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
}
