//! `idshift shift`

use std::path::{Path, PathBuf};

use crate::cli::args::{Immutable, OutputArgs, RunArgs, ShiftArgs};
use crate::cli::exit::{Exit, Failure};
use crate::cli::map::source;
use crate::cli::output::json::{self, Invocation};
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::{SummaryKind, SummaryOptions, summary};
use crate::cli::output::{self, say};
use crate::engine::{self, Refusal, Report, ShiftRequest};
use crate::fs::escape::escaped;
use crate::idmap::{Direction, IdMap};
use crate::journal::Store;
use crate::journal::manifest::{Manifest, ManifestWriter};
use crate::journal::record::{RunKind, WalkOptions};

/// Runs it.
pub fn run(args: &ShiftArgs, call: &mut Invocation) -> Result<Exit, Failure> {
    let limits = args.run.limits.apply().map_err(Failure::refused)?;
    let store = Store::at(&args.run.store.journal_dir);
    let to_stdout = is_manifest_to_stdout(args.run.manifest.as_deref(), &args.run.output)?;
    let monitor = Terminal::new(args.run.output.quiet);
    let control = limits.control(&monitor);
    let (report, of) = if let Some(path) = &args.from_manifest {
        let manifest = Manifest::open(path)?;
        let request = reviewed_request(args, path, &manifest)?;
        call.is_of(&request.paths);
        call.words.reverse = request.direction == Direction::OutOf;
        let report = engine::apply_manifest(&manifest, &request, &store, control);
        (report, SummaryKind::Shift)
    } else if args.run.dry_run {
        let request = asked(args)?;
        let manifest = args
            .run
            .manifest
            .as_deref()
            .map(|path| open_manifest(path))
            .transpose()?;
        let report = engine::dry_run(&request, &store, manifest, control);
        (report, SummaryKind::DryRun)
    } else {
        (
            engine::shift(&asked(args)?, &store, control),
            SummaryKind::Shift,
        )
    };
    monitor.clear();
    let report = report?;
    print(&report, of, args, call, to_stdout);
    Ok(Exit::from(&report))
}

fn asked(args: &ShiftArgs) -> Result<ShiftRequest, Failure> {
    let quiet = args.run.output.quiet;
    let direction = direction(args.reverse);
    let map = match (&args.from, &args.to) {
        (Some(from), Some(to)) => source::moved(from, to, quiet)?,
        _ => args.run.map.or_of_docker(direction)?.resolve(quiet)?,
    };
    Ok(request(
        &args.paths,
        map,
        direction,
        &args.run,
        RunKind::Shift,
    ))
}

/// The request that the arguments make.
pub fn request(
    paths: &[PathBuf],
    map: IdMap,
    direction: Direction,
    args: &RunArgs,
    kind: RunKind,
) -> ShiftRequest {
    ShiftRequest {
        paths: paths.to_vec(),
        map,
        direction,
        jobs: args.limits.threads(),
        walk: WalkOptions {
            exclude: args.scope.globs(),
            cross_mounts: args.scope.cross_mounts,
            keep_going: args.obstacles.keep_going,
            assume_unshifted: args.assume_unshifted,
            outside_links: args.obstacles.guarded.allow_outside_links,
            clear_flags: args.obstacles.guarded.immutable == Immutable::Clear,
        },
        allow_in_use: args.allow_in_use,
        allow_system_path: args.allow_system_path,
        allow_home: args.allow_home,
        kind,
    }
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

/// Whether the manifest goes to stdout.
///
/// # Errors
/// So does what programs read.
pub fn is_manifest_to_stdout(
    manifest: Option<&Path>,
    output: &OutputArgs,
) -> Result<bool, Failure> {
    let to_stdout = manifest == Some(Path::new("-"));
    match to_stdout && output.json {
        true => Err(Failure::usage(
            "--manifest - and --json both write to stdout: name a file for the manifest",
        )),
        false => Ok(to_stdout),
    }
}

/// Opens a manifest for writing; `-` is stdout.
pub fn open_manifest(path: &Path) -> Result<(ManifestWriter, &Path), Refusal> {
    if path == Path::new("-") {
        let stdout = output::stdout().map_err(|source| Refusal::ManifestOutput {
            path: path.to_path_buf(),
            source: source.into(),
        })?;
        return Ok((ManifestWriter::stream(Box::new(stdout)), path));
    }
    match ManifestWriter::file(path) {
        Ok(writer) => Ok((writer, path)),
        Err(source) => Err(Refusal::ManifestOutput {
            path: path.to_path_buf(),
            source,
        }),
    }
}

fn print(
    report: &Report,
    of: SummaryKind,
    args: &ShiftArgs,
    call: &Invocation,
    stdout_is_taken: bool,
) {
    print_report(
        call,
        report,
        of,
        &args.run.output,
        stdout_is_taken,
        args.run.manifest.as_deref(),
    );
    if of == SummaryKind::DryRun && !args.run.output.quiet && !args.run.output.json {
        let Some(manifest) = args.run.manifest.as_deref().filter(|_| !stdout_is_taken) else {
            return;
        };
        let word = crate::cli::output::text::shell_word(manifest);
        say!("\n  Manifest:    {word}\n  Apply it with: idshift shift --from-manifest {word}");
    }
}

/// Prints a report: JSON to stdout where that is asked for, and what people read beside it.
pub fn print_report(
    call: &Invocation,
    report: &Report,
    of: SummaryKind,
    options: &crate::cli::args::OutputArgs,
    stdout_is_taken: bool,
    manifest: Option<&Path>,
) {
    json::print_report(call, report, manifest);
    let failed = matches!(
        Exit::from(report),
        Exit::Failed | Exit::Stuck | Exit::Interrupted
    );
    if options.quiet && !failed {
        return;
    }
    let to_stderr = options.json || stdout_is_taken || failed;
    let options = SummaryOptions {
        service: call.is_of_service(),
        words: call.words,
        verbose: options.verbose,
        to_stderr,
    };
    let text = summary(report, of, options);
    match to_stderr {
        true => output::to_stderr(format_args!("{text}")),
        false => output::to_stdout(format_args!("{text}")),
    }
}

/// The direction that `--reverse` gives.
pub fn direction(reverse: bool) -> Direction {
    match reverse {
        true => Direction::OutOf,
        false => Direction::Into,
    }
}
