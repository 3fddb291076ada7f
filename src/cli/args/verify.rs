//! `idshift verify`

use std::path::PathBuf;

use clap::Args;

use super::common::{LimitArgs, MapArgs, OutputArgs, ScopeArgs, StoreArgs};

/// `idshift verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    What the last run left, or its rollback:\n    \
    idshift verify latest\n  \
    Is every file in the range?\n    \
    idshift verify --map b:0:100000:65536 /srv/data\n  \
    Is every file out of it?\n    \
    idshift verify --reverse --subid dockremap /srv/data")]
pub struct VerifyArgs {
    /// A journal (an id, a path or `latest`), or, with --map, --map-from or --subid, trees
    #[arg(required = true, value_name = "JOURNAL|PATH")]
    pub what: Vec<PathBuf>,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Out of the range: host ids become container ids
    #[arg(long)]
    pub reverse: bool,
    /// Which of it
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// With a map: everything below PATH was shifted. Needed where the map's two sides overlap
    #[arg(long)]
    pub assume_shifted: bool,
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
