//! Undoing a run.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::time::Instant;

use super::replay::{FailurePolicy, Replay, ReplayMode, Replayed, Target};
use super::request::{check_journal_not_in_use, check_mount_views};
use super::steps::{Move, Steps};
use super::sync::Filesystems;
use super::sync::with_writeback;
use super::visitor::RunContext;
use super::{Ending, Monitor, Phase, Problem, ProblemKind, Refusal, Report, Stats, Stop};
use super::{new_inodes, reopen, there};
use crate::fs::Root;
use crate::journal::run_lock::RunLock;
use crate::journal::store::argument;
use crate::journal::{Journal, JournalError, JournalState, Mark};
use crate::preflight::passing::check_is_root;

/// How to roll back.
#[derive(Clone, Copy, Debug)]
pub struct RollbackOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also inodes whose ownership somebody changed since, where it is the same inode.
    pub force: bool,
    /// Threads.
    pub jobs: usize,
}

/// Gives every inode of a journal the ownership it had before the run.
///
/// An inode that is not what the run left is reported and left, unless forced. A rollback that was
/// killed goes on where it is started again.
///
/// # Errors
/// [`Refusal`]: nothing was changed.
pub fn rollback(
    journal: &Journal,
    options: RollbackOptions,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let mut report = Report {
        journal: Some(journal.path.clone()),
        stats: Stats::default(),
        ending: Ending::Done,
        elapsed: start.elapsed(),
        would_refuse: Vec::new(),
    };
    if !options.force {
        there::open_all(journal)?;
        there::check_crossed(journal, options.jobs, stop)?;
    }
    if journal.state == JournalState::Undone && journal.left() == 0 && !options.force {
        let looked = look(journal, &options, monitor, stop)?;
        if looked.stats.changed == 0 && looked.stats.steps == 0 {
            report.ending = match (looked.cut_short, looked.stats.left()) {
                (true, _) => Ending::Interrupted,
                (false, 0) => Ending::Nothing {
                    why: "it is rolled back already".into(),
                },
                (false, _) => Ending::Done,
            };
            report.stats = looked.stats;
            report.elapsed = start.elapsed();
            return Ok(report);
        }
    }
    let (roots, trees) = reopen::open_all(journal);
    let trees = &roots[..trees];
    check_journal_not_in_use(journal, monitor)?;
    let lock = match options.dry_run {
        true => None,
        false => {
            check_is_root(&journal.path)?;
            Some(RunLock::take(&roots)?)
        }
    };
    let paths: Vec<_> = trees.iter().map(|root| &root.path).collect();
    check_mount_views(&roots, &paths, &journal.header.walk)?;
    check_steps(journal, options.force)?;
    let held = match lock {
        None => None,
        Some(lock) => Some((journal.append(&lock)?, lock)),
    };
    let filesystems = Filesystems::of(&roots, journal.header.walk.cross_mounts);
    // Where steps moved things, what is new is told by the place it has in the end.
    let moves = !journal.steps.is_empty();
    let mut since = Stats::default();
    if !moves {
        monitor.phase(Phase::LookingForNew, None);
        new_inodes::count(journal, trees, options.jobs, &mut since, stop);
    }
    let replayed = match held {
        None => replay(journal, None, &options, &filesystems, monitor, stop)?.0,
        Some((mut appender, _lock)) => {
            let io = |source| io_error(journal, source);
            appender.mark(Mark::Undoing, 0).map_err(io)?;
            let (mut replayed, flushed) =
                replay(journal, None, &options, &filesystems, monitor, stop)?;
            let ended = match replayed.cut_short {
                // The one that goes on would not be told.
                true => flushed,
                false => {
                    monitor.phase(Phase::Syncing, None);
                    let left = replayed.stats.left();
                    // One that is left may be half done where the run did not come to its end.
                    let conflicts = match journal.may_be_half_done() {
                        true => 0,
                        false => replayed.stats.conflicts,
                    };
                    flushed
                        .and_then(|()| filesystems.sync())
                        .and_then(|()| appender.mark_with_conflicts(Mark::Undone, left, conflicts))
                }
            };
            if let Err(error) = ended {
                let problem = not_certain(journal, &error);
                monitor.problem(&problem);
                replayed.stats.add_problem(problem);
            }
            let _ = appender.close();
            replayed
        }
    };
    report.stats = replayed.stats;
    if replayed.cut_short {
        report.ending = Ending::Interrupted;
    } else {
        // In a dry run nothing was moved back: all would look new.
        if moves && !options.dry_run {
            monitor.phase(Phase::LookingForNew, None);
            new_inodes::count(journal, trees, options.jobs, &mut since, stop);
        }
        report.stats.add(since);
    }
    report.elapsed = start.elapsed();
    Ok(report)
}

/// Undoes a run of this process that failed; its lock is held by the caller, and nobody may stop
/// it half way. `file`: the journal, which may have been removed meanwhile.
pub(super) fn undo(
    path: &Path,
    file: File,
    run: &RunContext<'_>,
    jobs: usize,
) -> Result<Stats, Refusal> {
    let second = file.try_clone();
    let journal = Journal::read_from(path, file)?;
    let options = RollbackOptions {
        dry_run: false,
        force: false,
        jobs,
    };
    // Marks help a later reader; without room for them the undoing is done all the same, and the
    // journal stays open for a rollback by hand.
    let mut appender = second.and_then(|file| journal.append_to(file)).ok();
    if let Some(appender) = &mut appender {
        let _ = appender.mark(Mark::Undoing, 0);
    }
    let (mut replayed, flushed) = replay(
        &journal,
        Some(run.roots),
        &options,
        &run.filesystems,
        run.monitor,
        &Stop::new(),
    )?;
    match flushed.and_then(|()| run.filesystems.sync()) {
        Err(error) => {
            let problem = not_certain(&journal, &error);
            run.monitor.problem(&problem);
            replayed.stats.add_problem(problem);
        }
        Ok(()) => {
            if let Some(mut appender) = appender {
                let _ = appender.mark(Mark::Undone, replayed.stats.left());
                let _ = appender.close();
            }
        }
    }
    Ok(replayed.stats)
}

/// Everything is undone, and whether a power cut would leave it so is not known.
fn not_certain(journal: &Journal, error: &std::io::Error) -> Problem {
    Problem {
        path: journal.path.clone(),
        kind: ProblemKind::Failed,
        reason: format!(
            "what was undone may not be on the disk yet, or is not on record: {error}. When that is mended, roll \
             it back once more: `idshift rollback {}`",
            argument(&journal.path)
        ),
    }
}

/// Refuses when a step can not be undone: owners that are put back while names or files are not
/// would make a state that never was.
fn check_steps(journal: &Journal, force: bool) -> Result<(), Refusal> {
    let obstacles = match force {
        true => Vec::new(),
        false => Steps::of(journal).obstacles(Target::Before),
    };
    let Some(first) = obstacles.first() else {
        return Ok(());
    };
    let more = and_more(obstacles.len());
    let is_open = journal.state == JournalState::Unfinished;
    let revert = match (journal.header.is_of_service(), is_open) {
        (true, true) => &format!(
            "Where a daemon has been running since, `idshift resume {}` finishes the run, and then `idshift docker revert` \
                 takes the daemon's new data along; ",
            argument(&journal.path)
        ),
        (true, false) => {
            "Where a daemon has been running since, `idshift docker revert` takes its new data along; "
        }
        (false, _) => "",
    };
    Err(Refusal::NotThisOne {
        path: first.path.clone(),
        reason: format!(
            "{}{more}. {revert}`idshift rollback --force {}` undoes the rest and leaves this as it is",
            first.reason,
            argument(&journal.path)
        ),
    })
}

/// What there is to undo: a journal knows what its rollback did, not what was done to the tree since.
fn look(
    journal: &Journal,
    options: &RollbackOptions,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Replayed, Refusal> {
    let options = RollbackOptions {
        dry_run: true,
        ..*options
    };
    let untouched = Filesystems::of(&[], false);
    Ok(replay(journal, None, &options, &untouched, monitor, stop)?.0)
}

/// How many more there are than the one that is named.
pub(super) fn and_more(all: usize) -> String {
    match all {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    }
}

/// Undoes the late steps, the owners, then the early steps; also gives what came of writing that out meanwhile.
fn replay(
    journal: &Journal,
    roots: Option<&[Root]>,
    options: &RollbackOptions,
    filesystems: &Filesystems,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<(Replayed, std::io::Result<()>), Refusal> {
    let steps = Steps::of(journal);
    let mut stats = Stats::default();
    if options.dry_run {
        stats.steps = steps.count(Target::Before);
    } else if !undo_steps(&steps, steps.late(), options, monitor, &mut stats) {
        return Ok(ended(stats));
    }
    // Before a daemon is kept from starting no owner is changed, nor after all are put back.
    if !steps.not_guarded() {
        let (mut replayed, flushed) = replay_owners(
            journal,
            roots,
            &steps.moves(),
            options,
            filesystems,
            monitor,
            stop,
        )?;
        replayed.stats.add(stats);
        if replayed.cut_short || flushed.is_err() {
            return Ok((replayed, flushed));
        }
        stats = replayed.stats;
    }
    if !options.dry_run {
        undo_steps(&steps, steps.early(), options, monitor, &mut stats);
    }
    Ok(ended(stats))
}

fn ended(stats: Stats) -> (Replayed, std::io::Result<()>) {
    let cut_short = false;
    (Replayed { stats, cut_short }, Ok(()))
}

/// Whether it may go on from there.
fn undo_steps(
    steps: &Steps<'_>,
    which: Range<usize>,
    options: &RollbackOptions,
    monitor: &dyn Monitor,
    stats: &mut Stats,
) -> bool {
    let applied = steps.apply(Target::Before, which, options.force);
    stats.steps += applied.done;
    stats.set_aside.extend(applied.set_aside);
    let is_fine = applied.problems.is_empty();
    for problem in applied.problems {
        monitor.problem(&problem);
        stats.add_problem(problem);
    }
    is_fine || options.force
}

fn replay_owners(
    journal: &Journal,
    roots: Option<&[Root]>,
    moves: &[Move],
    options: &RollbackOptions,
    filesystems: &Filesystems,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<(Replayed, std::io::Result<()>), Refusal> {
    monitor.phase(Phase::Undoing, Some(journal.inodes));
    let replay = Replay {
        journal,
        target: Target::Before,
        // What a run or a rollback failed over may have been left half way.
        accept_partial: journal.may_be_half_done(),
        force: options.force,
        act: match options.dry_run {
            true => ReplayMode::Count,
            false => ReplayMode::Change,
        },
        give_up: FailurePolicy::Never,
        roots,
        moves,
        monitor,
        stop,
    };
    let (replayed, flushed) = match options.dry_run {
        true => (replay.run(options.jobs, None), Ok(())),
        false => with_writeback(filesystems, |changed| {
            replay.run(options.jobs, Some(changed))
        }),
    };
    Ok((replayed?, flushed))
}

fn io_error(journal: &Journal, source: std::io::Error) -> Refusal {
    Refusal::Journal(JournalError::Io {
        path: journal.path.clone(),
        source,
    })
}
