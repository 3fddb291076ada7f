//! `idshift rollback`

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::cli::completion::candidates;

use super::common::{LimitArgs, OutputArgs, StoreArgs};

/// `idshift rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "An inode that was changed, replaced or removed since the run is reported and left.\n\n\
    `latest` is the newest run. When that one is rolled back already, an older one has to be named.\n\n\
    Examples:\n  \
    idshift rollback --dry-run latest\n  \
    idshift rollback 0007-20260102T030405Z"
)]
pub struct RollbackArgs {
    /// Journal: an id or its number, a path, or `latest`
    #[arg(default_value = "latest", add = ArgValueCompleter::new(candidates::journals))]
    pub journal: String,
    /// Change nothing, say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Also restore the owner of inodes that were changed since, as long as they are the same inodes; a newer
    /// mode or ACL, and a capability that is gone, stay so. Also go on without trees that are gone
    #[arg(long)]
    pub force: bool,
    /// Undo only the first N frames of a journal that is damaged after them; the whole one is kept beside it
    #[arg(long, value_name = "N")]
    pub up_to: Option<u32>,
    /// How hard it works
    #[command(flatten)]
    pub effort: LimitArgs,
    /// Journals
    #[command(flatten)]
    pub store: StoreArgs,
    /// Output
    #[command(flatten)]
    pub output: OutputArgs,
}
