//! Walk, map, journal, apply; or, for a dry run, walk, map, manifest.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::hardlinks::verify::walk_and_verify;
use super::manifest_sink::{ManifestSink, SharedManifest};
use super::plan::steps_format;
use super::request::{host, root_line, tool};
use super::rollback;
use super::sink::JournalSink;
use super::sync::with_writeback;
use super::visitor::{RunContext, ShiftVisitor};
use super::{
    Ending, Monitor, Phase, Problem, ProblemKind, Refusal, Report, ShiftRequest, Stats, Stop,
};
use crate::fs::Root;
use crate::journal::manifest::{ManifestHeader, ManifestLine, ManifestWriter, SummaryLine};
use crate::journal::writer::{Appender, Writer};
use crate::journal::{Mark, Step, Store};

/// Shifts the trees. When an inode cannot be shifted and the request does not say `keep_going`,
/// everything done before is undone.
///
/// # Errors
/// [`Refusal`]: nothing was changed. What goes wrong later is in the report.
pub fn shift(
    request: &ShiftRequest,
    store: &Store,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let roots = request.open_roots()?;
    let exclude = request.excludes(&roots)?;
    let mut run = RunContext::new(
        &roots,
        &request.map,
        request.direction,
        &request.walk,
        monitor,
        stop,
    );
    run.accounts = request.accounts();
    run.exclude = exclude;
    let _lock = request.clear_to_change(&roots, store, monitor)?;
    let (appender, journal) = store.create(request.header(&roots, false))?;

    monitor.phase(Phase::Shifting, None);
    let walked = walk_journalling(&run, &roots, appender, request.jobs);
    Ok(conclude(&run, walked, journal, request.jobs, start))
}

/// A walk that is over, and the journal's end as it left it.
pub(super) struct Walked {
    pub(super) stats: Stats,
    pub(super) appender: Appender,
    pub(super) written: std::io::Result<()>,
}

/// Walks trees of a run; what is to change goes through the journal onto the disk.
pub(super) fn walk_journalling(
    run: &RunContext<'_>,
    roots: &[Root],
    appender: Appender,
    jobs: usize,
) -> Walked {
    let bytes = Arc::new(AtomicU64::new(0));
    let writer = Writer::start(appender, Arc::clone(&bytes));
    let (stats, flushed) = with_writeback(&run.filesystems, |changed| {
        let sink = || JournalSink::new(&writer, &bytes, changed, run.stop);
        walk_and_verify(run, roots, jobs, || ShiftVisitor::new(run, sink()))
    });
    let (appender, written) = writer.close();
    Walked {
        stats,
        appender,
        written: written.and(flushed),
    }
}

/// Ends a run: with a mark in the journal when all went well, else by undoing it.
pub(super) fn conclude(
    run: &RunContext<'_>,
    walked: Walked,
    journal: PathBuf,
    jobs: usize,
    start: Instant,
) -> Report {
    let Walked {
        mut stats,
        mut appender,
        written,
    } = walked;
    let gave_up = run.gave_up.load(Ordering::Relaxed);
    let interrupted = run.interrupted.load(Ordering::Relaxed);
    // The header's frame alone announces nothing: nothing was changed, and nothing can be undone.
    let is_empty = appender.frames() <= 1;
    // What was announced and not begun needs no undoing, and is not said to have been done.
    let is_untouched = is_empty || stats.begun == 0;
    let marked = written.and_then(|()| match (gave_up || is_empty, interrupted) {
        (true, _) => Ok(()),
        (false, true) => appender.mark(Mark::Interrupted, 0),
        (false, false) => {
            run.monitor.phase(Phase::Syncing, None);
            run.filesystems.sync()?;
            appender.mark(Mark::Finished, stats.left())
        }
    });
    if let Err(error) = &marked {
        let problem = Problem {
            path: journal.clone(),
            kind: ProblemKind::Failed,
            reason: format!("the journal cannot be written: {error}"),
        };
        run.monitor.problem(&problem);
        stats.add_problem(problem);
    }
    // Room that is not given back is harmless: it reads as the journal's end.
    let (file, _) = appender.close();
    let failed = gave_up || marked.is_err();
    let ending = match (failed, interrupted) {
        (true, _) if is_untouched => Ending::RolledBack {
            why: std::mem::take(&mut stats.problems),
        },
        (true, _) => undo(run, &mut stats, (&journal, file), jobs),
        (false, true) => Ending::Interrupted,
        (false, false) => Ending::Done,
    };
    let is_of_no_use = is_empty || failed && is_untouched;
    if is_of_no_use {
        let _ = std::fs::remove_file(&journal);
    }
    Report {
        journal: (!is_of_no_use).then_some(journal),
        stats,
        ending,
        elapsed: start.elapsed(),
        would_refuse: Vec::new(),
    }
}

/// Undoes what a failed run did.
fn undo(run: &RunContext<'_>, stats: &mut Stats, journal: (&Path, File), jobs: usize) -> Ending {
    let why = std::mem::take(&mut stats.problems);
    let (path, file) = journal;
    match rollback::undo(path, file, run, jobs) {
        Ok(undone) if undone.left() == 0 => Ending::RolledBack { why },
        Ok(undone) => {
            stats.problems = undone.problems;
            Ending::Stuck { why }
        }
        Err(error) => {
            stats.add_problem(Problem {
                path: path.to_path_buf(),
                kind: ProblemKind::Failed,
                reason: error.to_string(),
            });
            Ending::Stuck { why }
        }
    }
}

/// Says what a shift would do, and what would keep it from starting now; changes nothing, takes no lock, needs no
/// root where it can read.
///
/// # Errors
/// [`Refusal`], as a shift where time does not cure it; also when the manifest cannot be written.
pub fn dry_run(
    request: &ShiftRequest,
    store: &Store,
    manifest: Option<(ManifestWriter, &Path)>,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let roots = request.open_roots()?;
    let (map, direction) = (&request.map, request.direction);
    let mut run = RunContext::new(&roots, map, direction, &request.walk, monitor, stop);
    run.accounts = request.accounts();
    run.exclude = request.excludes(&roots)?;
    let would_refuse = request.would_refuse(&roots, store, monitor)?;
    let dry = Dry {
        request,
        trees: roots.len(),
        steps: &[],
    };
    let report = dry_walk(&mut run, &dry, manifest)?;
    Ok(Report {
        would_refuse,
        ..report
    })
}

/// What a dry run is of.
pub(super) struct Dry<'a> {
    pub(super) request: &'a ShiftRequest,
    /// So many of the run's roots are walked.
    pub(super) trees: usize,
    pub(super) steps: &'a [Step],
}

/// Walks without changing anything; what would change goes into the manifest.
pub(super) fn dry_walk(
    run: &mut RunContext<'_>,
    dry: &Dry<'_>,
    manifest: Option<(ManifestWriter, &Path)>,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Refusal::ManifestOutput { path, source }
    };
    let mut shared = None;
    let mut place = None;
    if let Some((mut writer, path)) = manifest {
        let mut header = manifest_header(dry.request, run.roots);
        header.format = header.format.max(steps_format(dry.steps));
        let header = ManifestLine::Header(Box::new(header));
        writer.write(&header.to_bytes()).map_err(failed(path))?;
        for step in dry.steps {
            let line = ManifestLine::Step(Box::new(step.clone()));
            writer.write(&line.to_bytes()).map_err(failed(path))?;
        }
        shared = Some(SharedManifest::new(writer));
        place = Some(path);
    }

    run.carry_on = true;
    run.monitor.phase(Phase::Looking, None);
    let run = &*run;
    let visitor = || ShiftVisitor::new(run, ManifestSink::new(shared.as_ref()));
    let mut stats = walk_and_verify(run, &run.roots[..dry.trees], dry.request.jobs, visitor);
    let counts = |step: &&Step| !matches!(step, Step::Times { .. } | Step::Staged { .. });
    stats.steps = dry.steps.iter().filter(counts).count() as u64;

    let interrupted = run.interrupted.load(Ordering::Relaxed);
    if let (Some(shared), Some(path)) = (shared, place) {
        let mut writer = shared.into_writer().map_err(failed(path))?;
        // Without a summary, a manifest counts as cut off: as this one is.
        if !interrupted {
            let summary = ManifestLine::Summary(SummaryLine {
                seen: stats.seen,
                changed: stats.changed,
                already_shifted: stats.already,
                unmapped: stats.unmapped,
                failed: stats.failed,
            });
            writer.write(&summary.to_bytes()).map_err(failed(path))?;
        }
        writer.finish().map_err(failed(path))?;
    }
    Ok(Report {
        journal: None,
        stats,
        ending: match interrupted {
            true => Ending::Interrupted,
            false => Ending::Done,
        },
        elapsed: start.elapsed(),
        would_refuse: Vec::new(),
    })
}

fn manifest_header(request: &ShiftRequest, roots: &[Root]) -> ManifestHeader {
    ManifestHeader {
        format: request.walk.format(),
        tool: tool(),
        time: jiff::Timestamp::now(),
        host: host(),
        direction: request.direction,
        map: request.map.clone(),
        roots: roots.iter().map(root_line).collect(),
        walk: request.recorded_walk(roots),
    }
}
