//! Compose files and `docker run` command lines, for `check` and `prepare`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;

use super::candidates;

/// Binds of containers, in the place of a path.
#[derive(Clone, Debug, Default, Args)]
pub struct BindsArgs {
    /// All binds of the services in this Compose file, each for the user that its service runs as; several files as
    /// `docker compose -f` takes them
    #[arg(long, value_name = "FILE")]
    pub compose: Vec<PathBuf>,
    /// With --compose: also services of this profile
    #[arg(long = "profile", value_name = "NAME", requires = "compose")]
    pub profiles: Vec<String>,
    /// With --compose: this service alone; several are taken together
    #[arg(
        long = "service",
        value_name = "NAME",
        requires = "compose",
        add = ArgValueCompleter::new(candidates::compose_services)
    )]
    pub services: Vec<String>,
    /// All binds of this `docker run` command line, given in quotes. Of `podman run` with --subid USER, whose Podman it is
    #[arg(long = "run", value_name = "COMMAND", conflicts_with_all = ["compose", "profiles", "services"])]
    pub run_command: Option<String>,
}

impl BindsArgs {
    /// One of them is given.
    pub fn is_given(&self) -> bool {
        !self.compose.is_empty() || self.run_command.is_some()
    }
}
