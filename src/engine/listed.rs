//! Carrying out a journal that holds everything that is to be done.

use std::sync::atomic::Ordering;

use super::decide::Run;
use super::flush::flushing;
use super::replay::{Act, GiveUp, Goal, Replay};
use super::request::check_journal_not_in_use;
use super::shift::Walked;
use super::steps::Steps;
use super::{Phase, Problem, Tally};
use crate::record::writer::Appender;
use crate::record::{Journal, JournalError, Mark};

/// Changes every owner that the journal names, waits until the disk has that, then takes its steps.
/// Whether it came to its end is in `run`.
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
        run.monitor.phase(Phase::Replaying, Some(journal.inodes));
        let replay = Replay {
            journal,
            goal: Goal::After,
            between_is_ours,
            force: false,
            act: Act::Change,
            give_up,
            moves: &[],
            monitor: run.monitor,
            stop: run.stop,
        };
        let (replayed, flushed) = flushing(&run.disks, |changed| replay.run(jobs, Some(changed)));
        let replayed = replayed?;
        written = flushed;
        tally = replayed.tally;
        if replayed.cut_short {
            match run.stop.is_asked() {
                true => run.interrupted.store(true, Ordering::Relaxed),
                false => run.gave_up.store(true, Ordering::Relaxed),
            }
        }
    }
    if written.is_ok() && !run.is_cut_short() && !journal.steps.is_empty() {
        written = take_steps(run, journal, &mut appender, &mut tally);
    }
    Ok(Walked {
        tally,
        appender,
        written,
    })
}

/// Steps are few and each is quick: nobody stops between them.
fn take_steps(
    run: &Run<'_>,
    journal: &Journal,
    appender: &mut Appender,
    tally: &mut Tally,
) -> std::io::Result<()> {
    run.monitor
        .phase(Phase::Stepping, Some(journal.steps.len() as u64));
    if !journal.has_mark(Mark::Stepping) {
        // A service that was started while its owners were changed has its files open: names that
        // move under it would make two halves of them.
        if let Err(refusal) = check_journal_not_in_use(journal, run.monitor) {
            let problem = Problem {
                path: journal.header.roots[0].path.as_path().to_path_buf(),
                kind: super::ProblemKind::Failed,
                reason: format!("was taken into use meanwhile. {refusal}"),
            };
            run.monitor.problem(&problem);
            tally.problem(problem);
            run.gave_up.store(true, Ordering::Relaxed);
            return Ok(());
        }
        run.disks.sync()?;
        appender.mark(Mark::Stepping, 0)?;
    }
    let mut brought = Steps::of(journal).bring(Goal::After, false);
    tally.begun += journal.steps.len() as u64;
    tally.steps += brought.done;
    if let Some(problem) = brought.problems.pop() {
        let problem = Problem {
            kind: super::ProblemKind::Failed,
            ..problem
        };
        run.monitor.problem(&problem);
        tally.problem(problem);
        run.gave_up.store(true, Ordering::Relaxed);
    }
    Ok(())
}
