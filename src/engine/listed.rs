//! Carrying out a journal that holds everything that is to be done.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::decide::Run;
use super::flush::flushing;
use super::replay::{Act, GiveUp, Goal, Replay};
use super::request::check_journal_not_in_use;
use super::shift::Walked;
use super::steps::Steps;
use super::{Phase, Problem, ProblemKind, Tally};
use crate::record::writer::Appender;
use crate::record::{Journal, JournalError, Mark};

/// Takes the journal's early steps, changes every owner that it names, waits until the disk has that, then takes
/// its other steps. Whether it came to its end is in `run`.
///
/// # Errors
/// The journal cannot be read any more.
pub(super) fn carry_out(
    run: &Run<'_>,
    journal: &Journal,
    mut appender: Appender,
    between_is_ours: bool,
    give_up: GiveUp,
    jobs: usize,
) -> Result<Walked, JournalError> {
    let mut tally = Tally::default();
    let mut written = Ok(());
    if !journal.has_mark(Mark::Stepping) {
        written = take_early_steps(run, journal, &mut tally);
        if written.is_ok() && !run.is_cut_short() {
            let (changed, flushed) = change_owners(run, journal, between_is_ours, give_up, jobs)?;
            tally.add(changed);
            written = flushed;
        }
    }
    if written.is_ok() && !run.is_cut_short() && !journal.steps.is_empty() {
        written = take_late_steps(run, journal, &mut appender, &mut tally);
    }
    Ok(Walked {
        tally,
        appender,
        written,
    })
}

fn change_owners(
    run: &Run<'_>,
    journal: &Journal,
    between_is_ours: bool,
    give_up: GiveUp,
    jobs: usize,
) -> Result<(Tally, std::io::Result<()>), JournalError> {
    run.monitor.phase(Phase::Replaying, Some(journal.inodes));
    let moves = Steps::of(journal).moves();
    let replay = Replay {
        journal,
        goal: Goal::After,
        between_is_ours,
        force: false,
        act: Act::Change,
        give_up,
        moves: &moves,
        monitor: run.monitor,
        stop: run.stop,
    };
    let (replayed, flushed) = flushing(&run.disks, |changed| replay.run(jobs, Some(changed)));
    let replayed = replayed?;
    if replayed.cut_short {
        match run.stop.is_asked() {
            true => run.interrupted.store(true, Ordering::Relaxed),
            false => run.gave_up.store(true, Ordering::Relaxed),
        }
    }
    Ok((replayed.tally, flushed))
}

/// The steps that keep a daemon from starting. One that was started before is noticed before them, or after.
fn take_early_steps(run: &Run<'_>, journal: &Journal, tally: &mut Tally) -> std::io::Result<()> {
    let steps = Steps::of(journal);
    if steps.early().is_empty() || is_in_use(run, journal, tally) {
        return Ok(());
    }
    take(run, &steps, steps.early(), tally);
    if !run.is_cut_short() && !is_in_use(run, journal, tally) {
        run.disks.sync()?;
    }
    Ok(())
}

/// Steps are few and each is quick: nobody stops between them.
fn take_late_steps(
    run: &Run<'_>,
    journal: &Journal,
    appender: &mut Appender,
    tally: &mut Tally,
) -> std::io::Result<()> {
    run.monitor
        .phase(Phase::Stepping, Some(journal.steps.len() as u64));
    if !journal.has_mark(Mark::Stepping) {
        if is_in_use(run, journal, tally) {
            return Ok(());
        }
        run.disks.sync()?;
        appender.mark(Mark::Stepping, 0)?;
    }
    let steps = Steps::of(journal);
    take(run, &steps, steps.late(), tally);
    Ok(())
}

/// A service that was started meanwhile has its files open: names that move under it would make two halves of
/// them.
fn is_in_use(run: &Run<'_>, journal: &Journal, tally: &mut Tally) -> bool {
    let Err(refusal) = check_journal_not_in_use(journal, run.monitor) else {
        return false;
    };
    let path = journal.header.roots[0].path.as_path().to_path_buf();
    let reason = format!("was taken into use meanwhile. {refusal}");
    fail(run, tally, path, reason);
    true
}

fn take(run: &Run<'_>, steps: &Steps<'_>, which: Range<usize>, tally: &mut Tally) {
    tally.begun += which.len() as u64;
    let brought = steps.bring(Goal::After, which, false);
    tally.steps += brought.done;
    tally.set_aside.extend(brought.set_aside);
    if let Some(problem) = brought.problems.into_iter().next() {
        fail(run, tally, problem.path, problem.reason);
    }
}

fn fail(run: &Run<'_>, tally: &mut Tally, path: PathBuf, reason: String) {
    let kind = ProblemKind::Failed;
    let problem = Problem { path, kind, reason };
    run.monitor.problem(&problem);
    tally.problem(problem);
    run.gave_up.store(true, Ordering::Relaxed);
}
