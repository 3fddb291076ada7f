//! Carrying out a journal that holds everything that is to be done.

use std::io;
use std::ops::Range;

use super::context::RunState;
use super::hand_over::{Window, check_taken_over, wait_for_the_clock};
use super::reopen::{self, check_service_stopped};
use super::replay::{FailurePolicy, Replay, ReplayMode};
use super::steps::Steps;
use super::target::Target;
use super::{Phase, Stats};
use crate::fs::Root;
use crate::journal::writer::Appender;
use crate::journal::{Journal, Mark};

/// How a journal is carried out.
pub(super) struct Execution<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// Whether the run can have left inodes in a partial state.
    pub accept_partial: bool,
    /// What ends it.
    pub give_up: FailurePolicy,
    /// Threads.
    pub jobs: usize,
}

/// Takes the early steps, changes every owner that the journal names, syncs, and takes the late
/// steps. `run` says whether it was cut short. Returns the counts, and whether everything could be
/// written.
pub(super) fn execute(
    run: &RunState<'_>,
    roots: &[Root],
    execution: &Execution<'_>,
    appender: &mut Appender,
) -> (Stats, io::Result<()>) {
    let journal = execution.journal;
    let mut stats = Stats::default();
    let mut written = Ok(());
    if !journal.has_mark(Mark::Stepping) {
        written = apply_early_steps(run, execution, appender, &mut stats);
        if written.is_ok() && !run.is_cut_short() {
            stats.add(change_owners(run, roots, execution));
        }
    }
    if written.is_ok() && !run.is_cut_short() && !journal.steps.is_empty() {
        written = apply_late_steps(run, journal, appender, &mut stats);
    }
    (stats, written)
}

fn change_owners(run: &RunState<'_>, roots: &[Root], execution: &Execution<'_>) -> Stats {
    let journal = execution.journal;
    let monitor = run.control.monitor;
    monitor.phase(Phase::Replaying, Some(journal.inodes));
    let moves = Steps::of(journal).moves();
    let replay = Replay {
        accept_partial: execution.accept_partial,
        act: ReplayMode::Change,
        give_up: execution.give_up,
        roots: Some(roots),
        moves: &moves,
        // All was looked at when it was taken away, and what directories of it changed since is the run's doing.
        unchanged: Window::since_read(journal)
            .map(|window| window.since_taken_away(journal.header.unchanged_since)),
        ..Replay::new(journal, Target::After, run.control)
    };
    match replay.run(execution.jobs) {
        Ok(replayed) => {
            // Where nobody asked, it gave up by itself.
            if replayed.cut_short && !run.is_cut_short() {
                let _ = run.give_up();
            }
            replayed.stats
        }
        // Also with `keep_going`: what the journal names further is not known.
        Err(unreadable) => {
            let (stats, problem) = unreadable.into_stats(journal);
            monitor.problem(&problem);
            let _ = run.give_up();
            stats
        }
    }
}

/// Takes the steps that keep a daemon from starting. A daemon that was started before is noticed
/// before them or after them. What is a user's is taken away first.
fn apply_early_steps(
    run: &RunState<'_>,
    execution: &Execution<'_>,
    appender: &mut Appender,
    stats: &mut Stats,
) -> io::Result<()> {
    let journal = execution.journal;
    let steps = Steps::of(journal);
    if steps.early().is_empty() || is_in_use(run, journal, stats) {
        return Ok(());
    }
    let [taking, rest] = steps.around_take_over();
    apply_steps(run, &steps, taking, stats);
    if journal.takes_over() && !run.is_cut_short() {
        take_over(run, execution, appender, stats)?;
    }
    if !run.is_cut_short() {
        apply_steps(run, &steps, rest, stats);
    }
    if !run.is_cut_short() && !is_in_use(run, journal, stats) {
        run.filesystems.sync()?;
    }
    Ok(())
}

/// What was a user's is out of reach: the journal says that nothing in it was changed since it was read.
fn take_over(
    run: &RunState<'_>,
    execution: &Execution<'_>,
    appender: &mut Appender,
    stats: &mut Stats,
) -> io::Result<()> {
    if execution.journal.has_mark(Mark::TakenOver) {
        return Ok(());
    }
    let mut problems = check_taken_over(execution.journal, execution.jobs, run.control).into_iter();
    if let Some(problem) = problems.next() {
        run.fail(stats, problem.path, problem.reason);
        return Ok(());
    }
    appender.mark(Mark::TakenOver, 0)
}

/// Steps are few and each is quick: nobody stops between them.
fn apply_late_steps(
    run: &RunState<'_>,
    journal: &Journal,
    appender: &mut Appender,
    stats: &mut Stats,
) -> io::Result<()> {
    let monitor = run.control.monitor;
    monitor.phase(Phase::Stepping, Some(journal.steps.len() as u64));
    if !journal.has_mark(Mark::Stepping) {
        if is_in_use(run, journal, stats) {
            return Ok(());
        }
        run.filesystems.sync()?;
        appender.mark_with_conflicts(Mark::Stepping, stats.left(), stats.conflicts)?;
    }
    let steps = Steps::of(journal);
    let [closed, open] = steps.around_hand_over();
    apply_steps(run, &steps, closed, stats);
    if !open.is_empty() && !run.is_cut_short() {
        hand_over(run, journal, appender, stats)?;
        if !run.is_cut_short() {
            apply_steps(run, &steps, open, stats);
        }
    }
    Ok(())
}

/// The journal says that what comes next is others' to change, and how to tell that it was.
fn hand_over(
    run: &RunState<'_>,
    journal: &Journal,
    appender: &mut Appender,
    stats: &mut Stats,
) -> io::Result<()> {
    if !journal.has_mark(Mark::HandingOver) {
        if is_in_use(run, journal, stats) {
            return Ok(());
        }
        run.filesystems.sync()?;
        appender.mark(Mark::HandingOver, 0)?;
    }
    // Also when a run is resumed: it may have been killed between the mark and the wait.
    wait_for_the_clock(reopen::open(&journal.header.roots[0]).ok().as_ref());
    Ok(())
}

/// Whether a service was started meanwhile. Renames under a running service would split its data.
fn is_in_use(run: &RunState<'_>, journal: &Journal, stats: &mut Stats) -> bool {
    let Err(refusal) = check_service_stopped(journal, run.control.monitor) else {
        return false;
    };
    let path = journal.header.roots[0].path.as_path().to_path_buf();
    let reason = format!("came into use during the run. {refusal}");
    run.fail(stats, path, reason);
    true
}

fn apply_steps(run: &RunState<'_>, steps: &Steps<'_>, which: Range<usize>, stats: &mut Stats) {
    stats.begun += which.len() as u64;
    let applied = steps.apply(Target::After, which, false);
    stats.steps += applied.done;
    stats.set_aside.extend(applied.set_aside);
    if let Some(problem) = applied.problems.into_iter().next() {
        run.fail(stats, problem.path, problem.reason);
    }
}
