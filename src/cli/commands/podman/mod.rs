//! `idshift podman`: one file a subcommand.

mod audit;
mod migrate;
mod revert;

use crate::cli::args::{PodmanArgs, PodmanCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::store_move::MoveError;

/// Runs one of them.
pub fn run(args: &PodmanArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        PodmanCommand::Audit(args) => audit::run(args, invocation),
        PodmanCommand::Migrate(args) => migrate::run(args, invocation),
        PodmanCommand::Revert(args) => revert::run(args, invocation),
    }
}

fn refused(error: MoveError) -> Failure {
    Failure::refused(error)
}
