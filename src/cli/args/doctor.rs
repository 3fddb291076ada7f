//! `idshift doctor`

use std::path::PathBuf;

use clap::Args;

use super::common::QuietArgs;
use super::docker::DaemonArgs;

/// `idshift doctor`
#[derive(Debug, Args)]
#[command(after_help = "Exit codes: 0 no errors · 3 errors\n\n\
    Examples:\n  \
    idshift doctor\n  \
    idshift doctor --data-root /srv/docker --json\n  \
    Also test whether a directory can be shifted or mounted for containers:\n    \
    idshift doctor /srv/app")]
pub struct DoctorArgs {
    /// Directories for containers, to test as well
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// The daemon
    #[command(flatten)]
    pub daemon: DaemonArgs,
    /// Output
    #[command(flatten)]
    pub output: QuietArgs,
}
