//! `idshift docker`: one file a subcommand.

mod audit;
mod migrate;

use super::args::{DockerArgs, DockerCommand};
use super::exit::{Exit, Failure};
use crate::docker::DockerError;
use crate::idmap::Direction;

/// Runs one of them.
pub fn run(args: &DockerArgs) -> Result<Exit, Failure> {
    match &args.command {
        DockerCommand::Audit(args) => audit::run(args),
        DockerCommand::Migrate(args) => migrate::run(&args.carry, Direction::Into, args.copy),
        DockerCommand::Revert(args) => migrate::run(args, Direction::OutOf, false),
    }
}

fn refused(error: DockerError) -> Failure {
    Failure::refused(error)
}
