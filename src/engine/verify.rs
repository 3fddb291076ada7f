//! Whether the disk is what it should be. Reads only.

use std::time::Instant;

use super::context::{RunState, WalkContext, WalkScope};
use super::control::RunControl;
use super::policy::{Rule, Uniform};
use super::refusal::Refusal;
use super::reopen;
use super::replay::{Replay, ReplayMode};
use super::request::{ShiftRequest, check_mount_views};
use super::sinks::verify::DifferenceSink;
use super::steps::Steps;
use super::target::Target;
use super::visitor::ShiftVisitor;
use super::{Ending, Phase, Report, Stats};
use crate::fs::walk::walk;
use crate::guidance::CommandOptions;
use crate::journal::{Journal, JournalState};

/// Compares the disk with what a journal's run, or its rollback, left. Differences are conflicts
/// in the report's counts; of an unfinished journal, all that is not done yet is a difference.
pub fn verify_journal(
    journal: &Journal,
    jobs: usize,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let roots = reopen::open_all(journal)?;
    check_mount_views(
        &roots,
        (&journal.header.tree_paths()[..], false),
        &journal.header.walk,
    )?;
    control
        .monitor
        .phase(Phase::Comparing, Some(journal.inodes));
    let target = match journal.state {
        JournalState::Unfinished | JournalState::Finished => Target::After,
        JournalState::Undoing | JournalState::Undone => Target::Before,
    };
    let steps = Steps::of(journal);
    let moves = steps.moves();
    let replay = Replay {
        act: ReplayMode::Report,
        moves: &moves,
        ..Replay::new(journal, target, control)
    };
    let mut replayed = replay.run(jobs)?;
    for problem in steps.differences(target) {
        control.monitor.problem(&problem);
        replayed.stats.add_problem(problem);
    }
    let ending = match replayed.cut_short {
        true => Ending::Interrupted,
        false => Ending::Done,
    };
    Ok(Report {
        journal: Some(journal.path.clone()),
        ..Report::new(start, ending, replayed.stats)
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
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let roots = request.open_trees()?;
    if !assume_shifted {
        request.check_decidable(&roots, true)?;
    }
    let exclude = request.excludes(&roots)?;
    let scope = WalkScope::new(&request.map, request.direction, &request.walk, exclude);
    let scope = WalkScope {
        carry_on: true,
        command: CommandOptions {
            exclude: true,
            ..CommandOptions::default()
        },
        policy: match assume_shifted {
            true => &Uniform(Rule::Expect),
            false => scope.policy,
        },
        ..scope
    };
    let run = RunState::new(control, &roots, request.walk.cross_mounts);
    let context = WalkContext::new(&run, &roots, scope);
    control.monitor.phase(Phase::Comparing, None);
    let visitor = || ShiftVisitor::new(&context, DifferenceSink);
    let mut stats = Stats::sum(walk(&roots, request.jobs, visitor));
    stats.unmatched_excludes = context.unmatched_excludes();
    let ending = match run.was_interrupted() {
        true => Ending::Interrupted,
        false => Ending::Done,
    };
    Ok(Report::new(start, ending, stats))
}
