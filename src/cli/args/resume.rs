//! `idshift resume`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::{LimitArgs, OutputArgs, StoreArgs};

/// `idshift resume`
#[derive(Debug, Args)]
#[command(
    after_help = "`latest` is the newest run. If it is already finished, name an older one.\n\n\
    Example:\n  idshift resume latest"
)]
pub struct ResumeArgs {
    /// Journal: id, number, path, or `latest`
    #[arg(default_value = "latest", add = ArgValueCompleter::new(candidates::journals))]
    pub journal: PathBuf,
    /// Finish it even if a process or a container uses the tree
    #[arg(long)]
    pub allow_in_use: bool,
    /// Its limits
    #[command(flatten)]
    pub limits: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}
