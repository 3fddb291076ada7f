//! `idshift rollback`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::ExecutionArgs;

/// `idshift rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "Inodes that were changed, replaced or removed after the run are reported and left as they are.\n\n\
    `latest` is the newest run. If it is already rolled back, name an older one.\n\n\
    Examples:\n  \
    idshift rollback --dry-run latest\n  \
    idshift rollback 0007-20260102T030405Z"
)]
pub struct RollbackArgs {
    /// Journal: id, number, path, or `latest`
    #[arg(default_value = "latest", add = ArgValueCompleter::new(candidates::journals))]
    pub journal: PathBuf,
    /// Change nothing; show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Also restore the owner of inodes that were changed after the run, if they are still the same inodes.
    /// A newer mode or ACL stays, and a removed capability is not restored. Also go on if a tree is gone
    #[arg(long)]
    pub force: bool,
    /// Undo only the first N frames of a journal that is damaged after them. The complete file is kept
    /// beside it
    #[arg(long, value_name = "N")]
    pub up_to: Option<u32>,
    /// The run
    #[command(flatten)]
    pub execution: ExecutionArgs,
}
