//! The command line. The only layer that prints.
//!
//! - `args`: what can be said
//! - `commands`: one file for each command
//! - `output`: summary, JSON, progress, and the streams they go to
//! - `completion`: what shells ask to complete a command line
//! - `announce`: the run that a command acts on, said before it does
//! - `confirm`: the question before a command that changes much
//! - `run_output`: where the report, the notes and the manifest of a run go
//! - `store_move`: what the moves of whole stores have in common
//! - `binds`: services of Compose files and command lines, for `check` and `prepare`
//! - `container_user`: whom containers and images run as, for `check` and `prepare`
//! - `exit`: exit codes
//! - `limits`: threads, priority, rate, and stopping in good order
//! - `invocation`: the members of JSON objects that a command line says
//! - `map`: the id map, from `--map`, `--map-from` or from `/etc/subuid` and `/etc/subgid`
//! - `privileges`: who may run what
//! - `version`: what `--version` says

mod announce;
pub mod args;
mod binds;
mod commands;
mod completion;
mod confirm;
mod container_user;
pub mod exit;
mod invocation;
mod limits;
pub mod map;
mod output;
mod privileges;
mod run_output;
mod store_move;
mod version;

use std::ffi::OsString;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use commands::{
    check, completions, docker, doctor, journal, man, manifest, map as map_command, mount, mounts,
    podman, prepare, probe, report, resume, rollback, shift, umount, verify,
};
use exit::{Exit, Failure};
use output::json::Invocation;
use output::{tell, tell_sentences, text};

/// Runs one command line, prints its output, and returns the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let args: Vec<OsString> = args.into_iter().collect();
    limits::handle_sigxfsz();
    match completion::answer(&args) {
        Ok(false) => {}
        Ok(true) => return Exit::Done,
        Err(error) => {
            tell!("idshift: {}", text::printable(&error.to_string()));
            return Exit::Usage;
        }
    }
    let exit = match Cli::try_parse_from(&args) {
        Ok(cli) => run_command(&cli.command),
        Err(error) => help_or_usage_error(&args, &error),
    };
    output::finish(exit)
}

fn run_command(command: &Command) -> Exit {
    let invocation = &mut Invocation::of(command);
    let result = privileges::check(command).and_then(|()| match command {
        Command::Shift(args) => shift::run(args, invocation),
        Command::Rollback(args) => rollback::run(args, invocation),
        Command::Resume(args) => resume::run(args, invocation),
        Command::Verify(args) => verify::run(args, invocation),
        Command::Journal(args) => journal::run(args, invocation),
        Command::Prepare(args) => prepare::run(args, invocation),
        Command::Mount(args) => mount::run(args, invocation),
        Command::Umount(args) => umount::run(args, invocation),
        Command::Mounts(args) => mounts::run(args, invocation),
        Command::Check(args) => check::run(args, invocation),
        Command::Map(args) => map_command::run(args, invocation),
        Command::Doctor(args) => doctor::run(args, invocation),
        Command::Probe(args) => probe::run(args),
        Command::Manifest(args) => manifest::run(args, invocation),
        Command::Report(args) => report::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
        Command::Docker(args) => docker::run(args, invocation),
        Command::Podman(args) => podman::run(args, invocation),
    });
    result.unwrap_or_else(|failure| {
        invocation.print_failure(&failure);
        let Failure { exit, message } = failure;
        let told = format!("idshift: {}", text::printable(&message));
        tell_sentences!("{told}");
        exit
    })
}

/// Prints help, the version, or what is wrong with a command line.
fn help_or_usage_error(args: &[OsString], error: &clap::Error) -> Exit {
    let words: Vec<String> = args
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if !error.use_stderr() {
        let is_version = error.kind() == ErrorKind::DisplayVersion;
        if is_version && words.iter().any(|word| word == "--json") {
            version::print_json();
            return Exit::Done;
        }
        output::keep_error(
            "standard output",
            output::stdout().and_then(|_| error.print()),
        );
        return Exit::Done;
    }
    Invocation::from_raw_args(&words)
        .print_failure(&Failure::usage(error.render().to_string().trim_end()));
    output::keep_error("standard error", error.print());
    Exit::Usage
}
