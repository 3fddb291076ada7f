//! Whether the disk is what it should be. Reads only.

use std::time::Instant;

use super::policy::{Rule, Uniform};
use super::replay::{FailurePolicy, Replay, ReplayMode, Target};
use super::request::check_mount_views;
use super::sink::DifferenceSink;
use super::steps::Steps;
use super::there;
use super::visitor::{RunContext, ShiftVisitor};
use super::{Ending, Monitor, Phase, Refusal, Report, ShiftRequest, Stats, Stop};
use crate::fs::walk::walk;
use crate::journal::{Journal, JournalState};

/// Compares the disk with what a journal's run, or its rollback, left. Differences are conflicts
/// in the report's counts; of an unfinished journal, all that is not done yet is a difference.
pub fn verify_journal(
    journal: &Journal,
    jobs: usize,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let roots = there::open_all(journal)?;
    check_mount_views(&roots, &journal.header.tree_paths(), &journal.header.walk)?;
    monitor.phase(Phase::Comparing, Some(journal.inodes));
    let target = match journal.state {
        JournalState::Unfinished | JournalState::Finished => Target::After,
        JournalState::Undoing | JournalState::Undone => Target::Before,
    };
    let steps = Steps::of(journal);
    let moves = steps.moves();
    let replay = Replay {
        journal,
        target,
        accept_partial: false,
        force: false,
        act: ReplayMode::Report,
        give_up: FailurePolicy::Never,
        roots: None,
        moves: &moves,
        monitor,
        stop,
    };
    let mut replayed = replay.run(jobs, None)?;
    for problem in steps.differences(target) {
        monitor.problem(&problem);
        replayed.stats.add_problem(problem);
    }
    Ok(Report {
        journal: Some(journal.path.clone()),
        stats: replayed.stats,
        ending: match replayed.cut_short {
            true => Ending::Interrupted,
            false => Ending::Done,
        },
        elapsed: start.elapsed(),
        would_refuse: Vec::new(),
    })
}

/// Whether every inode of the trees is on the target side of a map. `assume_shifted`: an id that is on both sides
/// counts as shifted.
///
/// # Errors
/// [`Refusal`]; also where ids do not tell and nothing is assumed.
pub fn verify_map(
    request: &ShiftRequest,
    assume_shifted: bool,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let roots = request.open_trees()?;
    if !assume_shifted {
        request.check_decidable(&roots, true)?;
    }
    let mut run = RunContext::new(
        &roots,
        &request.map,
        request.direction,
        &request.walk,
        monitor,
        stop,
    );
    run.exclude = request.excludes(&roots)?;
    run.carry_on = true;
    if assume_shifted {
        run.policy = &Uniform(Rule::Expect);
    }
    monitor.phase(Phase::Comparing, None);
    let visitor = || ShiftVisitor::new(&run, DifferenceSink);
    let mut stats = Stats::sum(walk(&roots, request.jobs, visitor));
    stats.unmatched_excludes = run.unmatched_excludes();
    Ok(Report {
        journal: None,
        stats,
        ending: match *run.interrupted.get_mut() {
            true => Ending::Interrupted,
            false => Ending::Done,
        },
        elapsed: start.elapsed(),
        would_refuse: Vec::new(),
    })
}
