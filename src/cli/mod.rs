//! The command line. The only floor that prints.
//!
//! - `args`: what can be said
//! - `exit`: how it ends, for programs
//! - `shift`, `rollback`, `resume`, `verify`, `journal`: one file a subcommand
//! - `prepare`, `check`, `doctor`: likewise, for `docker run -v`; `probe` is the child of `check`
//! - `findings`: what was looked at on a host, for people
//! - `docker/`: `idshift docker`, likewise
//! - `map_args`: the map, from `--map` or from `/etc/subuid` and `/etc/subgid`
//! - `summary`, `json`: a report for people and for programs
//! - `terminal`: progress while it runs
//! - `text`: paths and numbers as people can read them
//! - `effort`: how hard a command works, and stopping it in good order

pub mod args;
mod check;
mod docker;
mod doctor;
mod effort;
pub mod exit;
mod findings;
mod journal;
mod json;
mod map_args;
mod prepare;
mod probe;
mod resume;
mod rollback;
mod shift;
mod summary;
mod terminal;
mod text;
mod verify;

use std::ffi::OsString;

use clap::Parser;

use args::{Cli, Command};
use exit::{Exit, Failure};

/// Runs one command line; prints what there is to say; gives the exit code.
pub fn run(args: impl IntoIterator<Item = OsString>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = match error.use_stderr() {
                true => Exit::Usage,
                false => Exit::Done,
            };
            // Nothing is left to say where even this cannot be printed.
            let _ = error.print();
            return exit;
        }
    };
    let result = match cli.command {
        Command::Shift(args) => shift::run(&args),
        Command::Rollback(args) => rollback::run(&args),
        Command::Resume(args) => resume::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Journal(args) => journal::run(&args),
        Command::Prepare(args) => prepare::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Probe(args) => probe::run(&args),
        Command::Docker(args) => docker::run(&args),
    };
    result.unwrap_or_else(|Failure { exit, message }| {
        eprintln!("idshift: {}", text::printable(&message));
        exit
    })
}
