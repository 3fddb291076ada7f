//! Carrying out a journal that holds everything that is to be done.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::replay::{FailurePolicy, Replay, ReplayMode, Target};
use super::request::check_journal_not_in_use;
use super::shift::Walked;
use super::steps::Steps;
use super::sync::with_writeback;
use super::visitor::RunContext;
use super::{Phase, Problem, ProblemKind, Stats};
use crate::journal::writer::Appender;
use crate::journal::{Journal, JournalError, Mark};

/// Takes the journal's early steps, changes every owner that it names, waits until the disk has that, then takes
/// its other steps. Whether it came to its end is in `run`.
///
/// # Errors
/// The journal cannot be read any more.
pub(super) fn execute(
    run: &RunContext<'_>,
    journal: &Journal,
    mut appender: Appender,
    between_is_ours: bool,
    give_up: FailurePolicy,
    jobs: usize,
) -> Result<Walked, JournalError> {
    let mut stats = Stats::default();
    let mut written = Ok(());
    if !journal.has_mark(Mark::Stepping) {
        written = apply_early_steps(run, journal, &mut stats);
        if written.is_ok() && !run.is_cut_short() {
            let (changed, flushed) = change_owners(run, journal, between_is_ours, give_up, jobs)?;
            stats.add(changed);
            written = flushed;
        }
    }
    if written.is_ok() && !run.is_cut_short() && !journal.steps.is_empty() {
        written = apply_late_steps(run, journal, &mut appender, &mut stats);
    }
    Ok(Walked {
        stats,
        appender,
        written,
    })
}

fn change_owners(
    run: &RunContext<'_>,
    journal: &Journal,
    between_is_ours: bool,
    give_up: FailurePolicy,
    jobs: usize,
) -> Result<(Stats, std::io::Result<()>), JournalError> {
    run.monitor.phase(Phase::Replaying, Some(journal.inodes));
    let moves = Steps::of(journal).moves();
    let replay = Replay {
        journal,
        target: Target::After,
        accept_partial: between_is_ours,
        force: false,
        act: ReplayMode::Change,
        give_up,
        roots: Some(run.roots),
        moves: &moves,
        monitor: run.monitor,
        stop: run.stop,
    };
    let (replayed, flushed) =
        with_writeback(&run.filesystems, |changed| replay.run(jobs, Some(changed)));
    let replayed = replayed?;
    if replayed.cut_short {
        match run.stop.is_asked() {
            true => run.interrupted.store(true, Ordering::Relaxed),
            false => run.gave_up.store(true, Ordering::Relaxed),
        }
    }
    Ok((replayed.stats, flushed))
}

/// The steps that keep a daemon from starting. One that was started before is noticed before them, or after.
fn apply_early_steps(
    run: &RunContext<'_>,
    journal: &Journal,
    stats: &mut Stats,
) -> std::io::Result<()> {
    let steps = Steps::of(journal);
    if steps.early().is_empty() || is_in_use(run, journal, stats) {
        return Ok(());
    }
    apply_steps(run, &steps, steps.early(), stats);
    if !run.is_cut_short() && !is_in_use(run, journal, stats) {
        run.filesystems.sync()?;
    }
    Ok(())
}

/// Steps are few and each is quick: nobody stops between them.
fn apply_late_steps(
    run: &RunContext<'_>,
    journal: &Journal,
    appender: &mut Appender,
    stats: &mut Stats,
) -> std::io::Result<()> {
    run.monitor
        .phase(Phase::Stepping, Some(journal.steps.len() as u64));
    if !journal.has_mark(Mark::Stepping) {
        if is_in_use(run, journal, stats) {
            return Ok(());
        }
        run.filesystems.sync()?;
        appender.mark(Mark::Stepping, 0)?;
    }
    let steps = Steps::of(journal);
    apply_steps(run, &steps, steps.late(), stats);
    Ok(())
}

/// A service that was started meanwhile has its files open: names that move under it would make two halves of
/// them.
fn is_in_use(run: &RunContext<'_>, journal: &Journal, stats: &mut Stats) -> bool {
    let Err(refusal) = check_journal_not_in_use(journal, run.monitor) else {
        return false;
    };
    let path = journal.header.roots[0].path.as_path().to_path_buf();
    let reason = format!("was taken into use meanwhile. {refusal}");
    fail(run, stats, path, reason);
    true
}

fn apply_steps(run: &RunContext<'_>, steps: &Steps<'_>, which: Range<usize>, stats: &mut Stats) {
    stats.begun += which.len() as u64;
    let applied = steps.apply(Target::After, which, false);
    stats.steps += applied.done;
    stats.set_aside.extend(applied.set_aside);
    if let Some(problem) = applied.problems.into_iter().next() {
        fail(run, stats, problem.path, problem.reason);
    }
}

fn fail(run: &RunContext<'_>, stats: &mut Stats, path: PathBuf, reason: String) {
    let kind = ProblemKind::Failed;
    let problem = Problem { path, kind, reason };
    run.monitor.problem(&problem);
    stats.add_problem(problem);
    run.gave_up.store(true, Ordering::Relaxed);
}
