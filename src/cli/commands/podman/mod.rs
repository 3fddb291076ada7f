//! `idshift podman`: one file a subcommand.

mod audit;
mod migrate;
mod revert;

use std::path::Path;

use crate::cli::args::{PodmanArgs, PodmanCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::text::{path, shell_word};
use crate::store_move::MoveError;

/// Runs one of them.
pub fn run(args: &PodmanArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    match &args.command {
        PodmanCommand::Audit(args) => audit::run(args, call),
        PodmanCommand::Migrate(args) => migrate::run(args, call),
        PodmanCommand::Revert(args) => revert::run(args, call),
    }
}

fn refused(error: MoveError) -> Failure {
    Failure::refused(error)
}

/// What containers use of the host keeps its owners. `map`: of the user.
fn bind_note(container: &str, source: &Path, (user, map): (&str, &str)) -> String {
    let map: Vec<String> = map
        .split(' ')
        .map(|range| format!("--map {range}"))
        .collect();
    format!(
        "{} of container {container} keeps its owners, and root in the container is {user} there now. Where it holds ids of \
         containers, `idshift shift --assume-unshifted {} {}` shifts them.",
        path(source),
        map.join(" "),
        shell_word(source)
    )
}
