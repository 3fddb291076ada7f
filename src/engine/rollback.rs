//! Undoing a run.

use super::control::RunControl;
use super::hand_over::{not_undone, refuse_changed};
use super::later_run::LaterRun;
use super::refusal::Refusal;
use super::reopen;
use super::replay::check_crossed_mounts;
use super::session::{Locked, Opened, Session};
use super::steps::{Steps, and_more};
use super::sync::Filesystems;
use super::target::Target;
use super::undo::{RollbackOptions, Undo};
use super::{Ending, Phase, Report, Stats, new_inodes};
use crate::guidance::{Guidance, MIGRATE_IDMAPPED};
use crate::journal::id::argument;
use crate::journal::record::RunKind;
use crate::journal::{Journal, JournalState, Mark, Step};

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

/// Refuses if a step cannot be undone. Restored owners with names or files that are not restored
/// would be a state that never existed: also with `force` none is restored where names cannot be.
fn check_steps(journal: &Journal, force: bool) -> Result<(), Refusal> {
    let steps = Steps::of(journal);
    check_not_undone_since(journal, &steps)?;
    let gone = steps.old_dirs_gone();
    if let Some(first) = gone.first() {
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!(
                "{}{}. Nothing was undone: owners and names are restored together or not at all. {}",
                first.reason,
                and_more(gone.len()),
                match (LaterRun::of(journal), journal.handed_over()) {
                    (Some(later), _) => later.comes_first(journal),
                    (None, Some(_)) => not_undone(journal),
                    (None, None) => other_way_back(journal),
                }
            ),
        });
    }
    let taken = steps.places_taken_since();
    let is_taken = !taken.is_empty();
    let obstacles = match force || is_taken {
        true => taken,
        false => steps.obstacles(Target::Before),
    };
    let Some(first) = obstacles.first() else {
        return check_nothing_mounted(journal, &steps);
    };
    let more = and_more(obstacles.len());
    if let Some(later) = LaterRun::of(journal) {
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!("{}{more}. {}", first.reason, later.comes_first(journal)),
        });
    }
    if journal.handed_over().is_some() {
        // It is not what the user had.
        let help = match is_taken && !journal.takes_over() {
            true => "Move the new files to another place, and run this again. ",
            false => "",
        };
        return Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!("{}{more}. {help}{}", first.reason, not_undone(journal)),
        });
    }
    let id = argument(&journal.path);
    let help = match is_taken {
        true => format!(
            "Nothing was undone: owners and names are restored together or not at all. {}Move the new files to another place, \
             then `idshift rollback {id}` continues",
            or_finish(journal)
        ),
        false => format!(
            "{}{} undoes the rest and leaves this as it is",
            with_what_is_new(journal),
            Guidance::ForcedRollback(&id)
        ),
    };
    Err(Refusal::NotThisOne {
        path: first.path.clone(),
        reason: format!("{}{more}. {help}", first.reason),
    })
}

/// Refuses a run that has finished, and what it renamed has its old place again: another run put it there, and did not do
/// all else that undoing this one does. It is also refused by force.
fn check_not_undone_since(journal: &Journal, steps: &Steps<'_>) -> Result<(), Refusal> {
    let Some(found) = steps.undone_since() else {
        return Ok(());
    };
    let help = match LaterRun::of(journal) {
        Some(later) => later.comes_first(journal),
        None => {
            "Another run did that, whose journal is not here, or the rollback of another run: `idshift journal list` shows \
             those that are known"
                .into()
        }
    };
    Err(Refusal::NotThisOne {
        path: found.path,
        reason: format!("{}. Nothing was undone. {help}", found.reason),
    })
}

/// Refuses if something is mounted below what is to be mounted or unmounted. Forced or not, nothing helps but to unmount it.
fn check_nothing_mounted(journal: &Journal, steps: &Steps<'_>) -> Result<(), Refusal> {
    let mounted = steps.mounted_below(Target::Before);
    let Some(first) = mounted.first() else {
        return Ok(());
    };
    Err(Refusal::NotThisOne {
        path: first.path.clone(),
        reason: format!(
            "{}{}. Nothing was undone. Then `idshift rollback {}` continues",
            first.reason,
            and_more(mounted.len()),
            argument(&journal.path)
        ),
    })
}

/// Where what was renamed cannot go back to where it was.
fn other_way_back(journal: &Journal) -> String {
    let back = "With a backup, put that directory back first, with its owner and mode";
    match journal.header.command {
        RunKind::DockerMigrate => format!(
            "{}`idshift docker revert` goes back with what is there now. {back}",
            finish_first(journal)
        ),
        _ => format!("{}{back}", or_finish(journal)),
    }
}

/// Whether a resume goes on with it: with a run that was cut short, or whose undoing was before it came to the owners.
fn can_be_finished(journal: &Journal) -> bool {
    journal.state == JournalState::Unfinished || Steps::can_be_redone(journal)
}

/// Of a run that was cut short, the other way.
fn or_finish(journal: &Journal) -> String {
    match can_be_finished(journal) {
        true => format!(
            "`idshift resume {}` finishes the run instead. ",
            argument(&journal.path)
        ),
        false => String::new(),
    }
}

/// Of a run that was cut short, what comes before another command.
fn finish_first(journal: &Journal) -> String {
    match can_be_finished(journal) {
        true => format!(
            "`idshift resume {}` finishes the run, and then ",
            argument(&journal.path)
        ),
        false => String::new(),
    }
}

/// What takes along what a daemon made since.
fn with_what_is_new(journal: &Journal) -> String {
    let command: String = match journal.header.command {
        RunKind::DockerMigrate if journal.is_of_copy() => {
            return "The plain root is as it was before: to go back to it, start Docker without userns-remap. If no daemon has \
                    run since, "
                .into();
        }
        RunKind::DockerMigrate => "`idshift docker revert`".into(),
        RunKind::DockerRevert if was_unmounted(journal) => format!("`idshift {MIGRATE_IDMAPPED}`"),
        RunKind::DockerRevert => "`idshift docker migrate`".into(),
        RunKind::DockerRebase => "`idshift docker rebase` with the old range".into(),
        _ => return String::new(),
    };
    let finish = finish_first(journal);
    format!("If a daemon has run since, {finish}{command} takes its new data along. If none has, ")
}

/// Whether the run unmounted what its root was remapped by.
fn was_unmounted(journal: &Journal) -> bool {
    let is_it = |step: &Step| matches!(step, Step::UnmountExchanged { .. });
    journal.steps.iter().any(is_it)
}
