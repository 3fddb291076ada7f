//! `idshift report`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use super::common::StoreArgs;

/// `idshift report`
#[derive(Debug, Args)]
#[command(
    after_help = "The page is one file: it loads nothing, and can be sent to somebody or printed. What it is made of may be private: \
                  the page has mode 0600.\n\n\
    Examples:\n  \
    idshift shift --dry-run --manifest plan.jsonl /srv/data\n  \
    idshift report plan.jsonl --output plan.html\n  \
    idshift docker audit --json > audit.json\n  \
    idshift report audit.json --output audit.html\n  \
    idshift report latest --output run.html"
)]
pub struct ReportArgs {
    /// A manifest, what `docker audit --json` printed, or a journal: its id or number, a path, or `latest`
    #[arg(value_name = "FILE|JOURNAL", add = ArgValueCompleter::new(candidates::journals))]
    pub what: PathBuf,
    /// Where the page goes; `-` is stdout
    #[arg(short, long, value_name = "FILE|-")]
    pub output: PathBuf,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
}
