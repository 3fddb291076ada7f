//! `idshift docker`: one file a subcommand.

mod audit;
mod migrate;

use super::args::{DaemonArgs, DockerArgs, DockerCommand};
use super::exit::{Exit, Failure};
use crate::docker::DockerError;
use crate::docker::daemon_json::DaemonJson;
use crate::idmap::Direction;

/// Runs one of them.
pub fn run(args: &DockerArgs) -> Result<Exit, Failure> {
    match &args.command {
        DockerCommand::Audit(args) => audit::run(args),
        DockerCommand::Migrate(args) => migrate::run(&args.carry, Direction::Into, args.copy),
        DockerCommand::Revert(args) => migrate::run(args, Direction::OutOf, false),
    }
}

/// Whom the daemon remaps to: as given, as daemon.json says, or dockerd's default.
fn userns_remap(args: &DaemonArgs, daemon_json: &DaemonJson) -> String {
    let said = daemon_json.userns_remap.clone();
    args.userns_remap
        .clone()
        .or(said.filter(|value| !value.is_empty()))
        .unwrap_or_else(|| "default".into())
}

fn refused(error: DockerError) -> Failure {
    Failure::refused(error)
}
