//! `idshift docker`: one file a subcommand.

mod audit;
mod effects;
mod migrate;
mod migrate_notes;
mod migration_command;
mod mount;
mod rebase;
mod rootless;
mod rootless_notes;

use crate::cli::args::{DaemonArgs, DockerArgs, DockerCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::docker::DockerError;
use crate::docker::migrate::DaemonTarget;
use crate::host::range_users::SharedRange;

/// Runs one of them.
pub fn run(args: &DockerArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        DockerCommand::Audit(args) => audit::run(args, invocation),
        DockerCommand::Migrate(args) => match &args.rootless.rootless {
            Some(user) => rootless::migrate(user, args, invocation),
            None => migrate::run(&args.into(), invocation),
        },
        DockerCommand::Mount(args) => mount::run(args, invocation),
        DockerCommand::Rebase(args) => rebase::run(args, invocation),
        DockerCommand::Revert(args) if args.to_containerd => {
            migrate::to_containerd(args, invocation)
        }
        DockerCommand::Revert(args) => match &args.rootless.rootless {
            Some(user) => rootless::revert(user, args, invocation),
            None => migrate::run(&args.into(), invocation),
        },
    }
}

/// The daemon that is meant, whose data-root the command is about.
fn daemon_target(args: &DaemonArgs, invocation: &mut Invocation) -> Result<DaemonTarget, Failure> {
    let target = DaemonTarget::of_host(
        args.daemon_json.as_deref(),
        args.data_root.as_deref(),
        args.userns_remap.as_deref(),
    );
    let target = target.map_err(refused)?;
    invocation.set_roots(std::slice::from_ref(&target.data_root));
    Ok(target)
}

fn refused(error: DockerError) -> Failure {
    Failure::refused(error)
}

/// That somebody else has ids of a range.
fn shared_range(line: &SharedRange, range: &str) -> String {
    format!(
        "Warning: line {} of {} gives ids {}-{} of {range} to {}, who could use them as the containers' users.",
        line.line, line.file, line.first, line.last, line.owner
    )
}
