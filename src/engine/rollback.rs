//! Undoing a run.

mod other_ways;
mod step_checks;

use self::step_checks::check_steps;
use super::control::RunControl;
use super::hand_over::refuse_changed;
use super::refusal::Refusal;
use super::reopen;
use super::replay::check_crossed_mounts;
use super::session::{Locked, Opened, Session};
use super::sync::Filesystems;
use super::undo::{RollbackOptions, Undo};
use super::{Ending, Phase, Report, Stats, new_inodes};
use crate::journal::{Journal, JournalState, Mark};

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
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let session = Session::open(control, || {
        if !options.force {
            reopen::open_all(journal)?;
            check_crossed_mounts(journal, options.jobs, control)?;
        }
        Ok(reopen::open_present(journal))
    })?;
    let report = match over_already(&session, journal, options, control)? {
        Some(report) => report,
        None => {
            // What no stopped service makes possible is told before one is to be stopped. A user's is asked for first.
            if journal.state == JournalState::Finished && journal.handed_over().is_none() {
                check_steps(journal, options.force)?;
            }
            match options.dry_run {
                true => dry_run(&session, journal, options, control)?,
                false => {
                    let session = session.preflight_of_journal(journal)?;
                    undo(session, journal, options, control)?
                }
            }
        }
    };
    Ok(Report {
        journal: Some(journal.path.clone()),
        ..report
    })
}

/// The report if there is nothing to undo. A journal knows what its rollback did, not what happened
/// to the tree since.
fn over_already(
    session: &Session<'_, Opened>,
    journal: &Journal,
    options: RollbackOptions,
    control: RunControl<'_>,
) -> Result<Option<Report>, Refusal> {
    if journal.state != JournalState::Undone || journal.left() > 0 || options.force {
        return Ok(None);
    }
    let compared = count(journal, options, control)?;
    if compared.stats.changed > 0 || compared.stats.steps > 0 {
        return Ok(None);
    }
    let ending = match (compared.cut_short, compared.stats.left()) {
        (true, _) => Ending::Interrupted,
        (false, 0) => Ending::Nothing {
            why: "the run is rolled back already".into(),
        },
        (false, _) => Ending::Done,
    };
    Ok(Some(session.report(ending, compared.stats)))
}

/// Counts what there is to undo.
fn count(
    journal: &Journal,
    options: RollbackOptions,
    control: RunControl<'_>,
) -> Result<super::replay::Replayed, Refusal> {
    let undo = Undo {
        journal,
        options: RollbackOptions {
            dry_run: true,
            ..options
        },
        roots: None,
        control,
        filesystems: &Filesystems::of(&[], false),
        taken_back: std::cell::Cell::new(None),
    };
    Ok(undo.run(&mut |_, _| Ok(()))?)
}

fn dry_run(
    session: &Session<'_, Opened>,
    journal: &Journal,
    options: RollbackOptions,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    session.check_journal(journal)?;
    check_steps(journal, options.force)?;
    refuse_changed(journal, (options.jobs, options.force), control)?;
    // Nothing was moved back: where steps moved things, all would look new.
    let since = match journal.steps.is_empty() {
        true => new_since(session, journal, options, control),
        false => Stats::default(),
    };
    let mut counted = count(journal, options, control)?;
    if counted.cut_short {
        return Ok(session.report(Ending::Interrupted, counted.stats));
    }
    counted.stats.add(since);
    Ok(session.report(Ending::Done, counted.stats))
}

fn undo(
    session: Session<'_, Locked>,
    journal: &Journal,
    options: RollbackOptions,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    check_steps(journal, options.force)?;
    refuse_changed(journal, (options.jobs, options.force), control)?;
    // Where steps moved things, what is new is told by the place it has in the end.
    let moves = !journal.steps.is_empty();
    let session = session.claim_journal(journal)?;
    let mut since = Stats::default();
    if !moves {
        since = new_since(&session, journal, options, control);
    }
    let mut session = session.reopen_journal(Mark::Undoing)?;
    let mut undone = match session.undo(journal, options) {
        Ok(undone) => undone,
        Err(unreadable) => {
            let (mut stats, problem) = unreadable.into_stats(journal);
            control.monitor.problem(&problem);
            stats.problems.retain(|other| *other != problem);
            let why = vec![problem];
            return Ok(session.close(Ending::Stuck { why }, stats));
        }
    };
    if undone.cut_short {
        return Ok(session.close(Ending::Interrupted, undone.stats));
    }
    if moves {
        since = new_since(&session, journal, options, control);
    }
    undone.stats.add(since);
    let ending = match undone.is_stuck {
        true => Ending::Stuck {
            why: std::mem::take(&mut undone.stats.problems),
        },
        false => Ending::Done,
    };
    Ok(session.close(ending, undone.stats))
}

/// Inodes that were created since the run.
fn new_since<Stage>(
    session: &Session<'_, Stage>,
    journal: &Journal,
    options: RollbackOptions,
    control: RunControl<'_>,
) -> Stats {
    control.monitor.phase(Phase::LookingForNew, None);
    new_inodes::count(journal, session.trees(), options.jobs, control)
}
