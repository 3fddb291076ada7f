//! What a command line says of the members that every JSON object begins with.

use std::slice::from_ref;

use clap::CommandFactory;

use super::args::{
    Cli, Command, DockerCommand, ExecutionArgs, JournalCommand, ManifestCommand, MigrateArgs,
    PodmanCommand, PodmanMigrateArgs, PodmanRevertArgs, PreviewArgs, RevertArgs, RunArgs,
};
use super::output::json::Invocation;
use super::output::run_words::RunWords;
use crate::journal::record::RunKind;

impl Invocation {
    /// For a valid command line.
    pub fn of(command: &Command) -> Invocation {
        let new = Invocation::new;
        match command {
            Command::Shift(args) => of_run("shift", &args.paths, &args.run)
                .with_words(RunWords::new(&RunKind::Shift, args.reverse)),
            Command::Prepare(args) => {
                of_run("prepare", &args.paths, &args.run).with_words(RunWords {
                    shares: args.share,
                    ..RunWords::new(&RunKind::Prepare, args.reverse)
                })
            }
            Command::Rollback(args) => {
                new("rollback", &[], args.dry_run, args.execution.output.json)
            }
            Command::Resume(args) => new("resume", &[], false, args.output.json),
            Command::Verify(args) => {
                let paths = args.map.is_given().then_some(&args.what[..]);
                new("verify", paths.unwrap_or_default(), false, args.output.json)
            }
            Command::Journal(args) => of_journal(&args.command),
            Command::Mount(args) => {
                let path = from_ref(&args.path);
                new("mount", path, args.dry_run, args.output.json)
            }
            Command::Umount(args) => {
                let path = from_ref(&args.target);
                new("umount", path, args.dry_run, args.output.json)
            }
            Command::Mounts(args) => new("mounts", &[], false, args.json),
            Command::Check(args) => new("check", args.path.as_slice(), false, args.output.json),
            Command::Map(args) => new("map", &[], false, args.json),
            Command::Doctor(args) => new("doctor", &args.paths, false, args.output.json),
            Command::Docker(args) => of_docker(&args.command).with_service(true),
            Command::Podman(args) => of_podman(&args.command).with_service(true),
            Command::Manifest(args) => {
                let ManifestCommand::Diff(args) = &args.command;
                new("manifest diff", &[], false, args.output.json)
            }
            Command::Probe(_) | Command::Report(_) | Command::Completions(_) | Command::Man(_) => {
                Invocation::default()
            }
        }
    }

    /// For a command line that is not valid, as far as its words are known.
    pub fn from_raw_args(words: &[String]) -> Invocation {
        let mut known = Cli::command();
        let mut command = Vec::new();
        for word in words {
            if let Some(next) = known.find_subcommand(word).cloned() {
                command.push(word.as_str());
                known = next;
            }
        }
        let has = |option: &str| {
            words
                .iter()
                .take_while(|word| *word != "--")
                .any(|word| word == option)
        };
        Invocation::new(&command.join(" "), &[], has("--dry-run"), has("--json"))
    }
}

fn of_run(name: &str, paths: &[std::path::PathBuf], run: &RunArgs) -> Invocation {
    Invocation::new(name, paths, run.dry_run, run.output.json)
}

fn of_journal(command: &JournalCommand) -> Invocation {
    let (name, dry_run, json) = match command {
        JournalCommand::List { json, .. } => ("journal list", false, *json),
        JournalCommand::Show { json, .. } => ("journal show", false, *json),
        JournalCommand::Check { output, .. } => ("journal check", false, output.json),
        JournalCommand::Prune {
            output, dry_run, ..
        } => ("journal prune", *dry_run, output.json),
    };
    Invocation::new(name, &[], dry_run, json)
}

/// The run that a command line asks for, and whether it goes out of the range.
fn run_of_docker(command: &DockerCommand) -> Option<(RunKind, bool)> {
    match command {
        DockerCommand::Audit(_) | DockerCommand::Mount(_) => None,
        DockerCommand::Migrate(args) => Some(match args.rootless.rootless {
            Some(_) => (RunKind::DockerToRootless, false),
            None => (RunKind::DockerMigrate, false),
        }),
        DockerCommand::Rebase(_) => Some((RunKind::DockerRebase, false)),
        DockerCommand::Revert(args) => Some(match args.rootless.rootless {
            Some(_) => (RunKind::DockerFromRootless, true),
            None => (RunKind::DockerRevert, true),
        }),
    }
}

fn of_docker(command: &DockerCommand) -> Invocation {
    let (name, dry_run, json) = match command {
        DockerCommand::Audit(args) => ("docker audit", false, args.output.json),
        DockerCommand::Mount(args) => ("docker mount", false, args.output.json),
        DockerCommand::Migrate(MigrateArgs { both, .. }) => {
            of_store("docker migrate", &both.preview, &both.execution)
        }
        DockerCommand::Rebase(args) => of_store("docker rebase", &args.preview, &args.execution),
        DockerCommand::Revert(RevertArgs { both, .. }) => {
            of_store("docker revert", &both.preview, &both.execution)
        }
    };
    let words = run_of_docker(command).map(|(kind, reverse)| RunWords::new(&kind, reverse));
    Invocation::new(name, &[], dry_run, json).with_words(words.unwrap_or_default())
}

fn of_podman(command: &PodmanCommand) -> Invocation {
    let words = match command {
        PodmanCommand::Audit(_) => RunWords::default(),
        PodmanCommand::Migrate(_) => RunWords::new(&RunKind::PodmanMigrate, false),
        PodmanCommand::Revert(_) => RunWords::new(&RunKind::PodmanRevert, true),
    };
    let (name, dry_run, json) = match command {
        PodmanCommand::Audit(args) => ("podman audit", false, args.output.json),
        PodmanCommand::Migrate(PodmanMigrateArgs { both, .. }) => {
            of_store("podman migrate", &both.preview, &both.execution)
        }
        PodmanCommand::Revert(PodmanRevertArgs { both, .. }) => {
            of_store("podman revert", &both.preview, &both.execution)
        }
    };
    Invocation::new(name, &[], dry_run, json).with_words(words)
}

fn of_store(
    name: &'static str,
    preview: &PreviewArgs,
    execution: &ExecutionArgs,
) -> (&'static str, bool, bool) {
    (name, preview.dry_run, execution.output.json)
}
