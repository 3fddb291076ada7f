//! `idshift shift`

use std::path::{Path, PathBuf};

use crate::cli::args::{ShiftArgs, direction};
use crate::cli::exit::{Exit, Failure};
use crate::cli::map::source;
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::say;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::text::shell_word;
use crate::cli::run_output::RunOutput;
use crate::engine::{self, Refusal, ShiftRequest};
use crate::fs::escape::escaped;
use crate::idmap::Direction;
use crate::journal::Store;
use crate::journal::manifest::Manifest;
use crate::journal::record::{RunKind, WalkOptions};

/// Runs it.
pub fn run(args: &ShiftArgs, invocation: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.run.limits.apply().map_err(Failure::refused)?;
    let store = Store::at(&args.run.store.journal_dir);
    let options = &args.run.output;
    let output = RunOutput::with_manifest(options, args.run.manifest.as_deref())?;
    let monitor = Terminal::new(options.quiet);
    let control = limits.control(&monitor);
    let (report, kind) = if let Some(path) = &args.from_manifest {
        let manifest = Manifest::open(path)?;
        let request = reviewed_request(args, path, &manifest)?;
        invocation.set_roots(&request.paths);
        invocation.words.reverse = request.direction == Direction::OutOf;
        let report = engine::apply_manifest(&manifest, &request, &store, control);
        (report, SummaryKind::Shift)
    } else if args.run.dry_run {
        let request = request(args)?;
        let report = engine::dry_run(&request, &store, output.open_manifest()?, control);
        (report, SummaryKind::DryRun)
    } else {
        let report = engine::shift(&request(args)?, &store, control);
        (report, SummaryKind::Shift)
    };
    monitor.clear();
    let report = report?;
    output.print(invocation, &report, kind);
    let is_shown = kind == SummaryKind::DryRun && !options.quiet && !options.json;
    if let Some(manifest) = output.manifest_file().filter(|_| is_shown) {
        tell_how_to_apply(manifest);
    }
    Ok(Exit::from(&report))
}

/// The request that the command line makes.
fn request(args: &ShiftArgs) -> Result<ShiftRequest, Failure> {
    let quiet = args.run.output.quiet;
    let direction = direction(args.reverse);
    let map = match (&args.from, &args.to) {
        (Some(from), Some(to)) => source::moved(from, to, quiet)?,
        _ => {
            let map = args.run.map.or_of_docker(direction)?;
            map.resolve_to_shift(direction, quiet)?
        }
    };
    Ok(args
        .run
        .request(&args.paths, map, direction, RunKind::Shift))
}

/// The request that a manifest makes, as far as the arguments have a say in it.
fn reviewed_request(
    args: &ShiftArgs,
    path: &Path,
    manifest: &Manifest,
) -> Result<ShiftRequest, Failure> {
    let header = &manifest.header;
    let roots: Vec<PathBuf> = header
        .roots
        .iter()
        .map(|root| root.path.clone().into())
        .collect();
    let real = |given: &PathBuf| {
        std::fs::canonicalize(given).map_err(|error| {
            Failure::refused(format!(
                "{}: {error}. Leave the paths out: the manifest names them",
                escaped(given)
            ))
        })
    };
    let given: Result<Vec<PathBuf>, _> = args.paths.iter().map(real).collect();
    let given = given?;
    if !given.is_empty() && given != roots {
        let reason =
            "was made for other paths. Leave the paths out: the manifest names them".into();
        let path = path.to_path_buf();
        return Err(Refusal::NotThisOne { path, reason }.into());
    }
    if manifest.troubles > 0 && !args.run.obstacles.keep_going {
        let reason = format!(
            "{} of its inodes cannot be shifted (its `note` lines say why). --keep-going applies the rest",
            manifest.troubles
        );
        let path = path.to_path_buf();
        return Err(Refusal::NotThisOne { path, reason }.into());
    }
    Ok(ShiftRequest {
        paths: roots,
        map: header.map.clone(),
        direction: header.direction,
        jobs: args.run.limits.threads(),
        walk: WalkOptions {
            keep_going: args.run.obstacles.keep_going,
            ..header.walk.clone()
        },
        allow_in_use: args.run.allow_in_use,
        allow_system_path: args.run.allow_system_path,
        allow_home: args.run.allow_home,
        kind: RunKind::Shift,
    })
}

/// How the manifest of a dry run is applied.
fn tell_how_to_apply(manifest: &Path) {
    let word = shell_word(manifest);
    say!("\n  Manifest:    {word}\n  Apply it with: idshift shift --from-manifest {word}");
}
