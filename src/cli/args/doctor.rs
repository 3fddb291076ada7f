//! `idshift doctor`

use std::path::PathBuf;

use clap::Args;

use super::docker::DaemonArgs;

/// `idshift doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no errors · 3 something stands in the way\n\n\
    Examples:\n  \
    idshift doctor\n  \
    idshift doctor --data-root /srv/docker --json\n  \
    Also whether a directory can be prepared, or mounted with other owners:\n    \
    idshift doctor /srv/app"
)]
pub struct DoctorArgs {
    /// Directories that containers are to use
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
