//! `idshift doctor`

use clap::Args;

use super::docker::DaemonArgs;

/// `idshift doctor`
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 no errors · 3 something stands in the way\n\n\
    Examples:\n  \
    idshift doctor\n  \
    idshift doctor --data-root /srv/docker --json"
)]
pub struct DoctorArgs {
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Print one JSON object on stdout
    #[arg(long)]
    pub json: bool,
}
