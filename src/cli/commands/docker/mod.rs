//! `idshift docker`: one file a subcommand.

mod audit;
mod effects;
mod migrate;
mod mount;
mod rebase;

use crate::cli::args::{DockerArgs, DockerCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::docker::DockerError;

/// Runs one of them.
pub fn run(args: &DockerArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        DockerCommand::Audit(args) => audit::run(args, call),
        DockerCommand::Migrate(args) => migrate::run(&args.into(), call),
        DockerCommand::Mount(args) => mount::run(args, call),
        DockerCommand::Rebase(args) => rebase::run(args, call),
        DockerCommand::Revert(args) if args.to_containerd => {
            migrate::to_containerd(&args.both, call)
        }
        DockerCommand::Revert(args) => migrate::run(&args.into(), call),
    }
}

fn refused(error: DockerError) -> Failure {
    Failure::refused(error)
}
