//! `idshift verify`

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

use super::common::{LimitArgs, MapArgs, OutputArgs, ScopeArgs, StoreArgs};

/// `idshift verify`
#[derive(Debug, Args)]
#[command(
    mut_arg("subid", |subid| subid.help("Take the map from the lines of USER in /etc/subuid and /etc/subgid")),
    after_help = "Examples:\n  \
    Does the disk match the newest run, or its rollback?\n    \
    idshift verify latest\n  \
    Is every file in the range?\n    \
    idshift verify --map b:0:100000:65536 /srv/data\n  \
    Is every file out of it?\n    \
    idshift verify --reverse --subid dockremap /srv/data"
)]
pub struct VerifyArgs {
    /// A journal (id, number, path, or `latest`), or trees with --map, --map-from or --subid
    #[arg(
        required = true,
        value_name = "JOURNAL|PATH",
        add = ArgValueCompleter::new(candidates::journals_and_paths)
    )]
    pub what: Vec<PathBuf>,
    /// The map
    #[command(flatten)]
    pub map: MapArgs,
    /// Check that files are out of the range: host ids became container ids
    #[arg(long)]
    pub reverse: bool,
    /// Which of it
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// With a map: assume that everything below PATH was shifted. Needed when the two sides of the map
    /// overlap
    #[arg(long)]
    pub assume_shifted: bool,
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
