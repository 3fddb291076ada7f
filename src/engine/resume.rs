//! Going on with a run that was cut short.

mod not_undone;

use std::time::Instant;

use self::not_undone::check_not_undone;
use super::context::WalkScope;
use super::control::RunControl;
use super::crossed_mounts::{check_same_mounts, crossed_mounts};
use super::exclude::Excludes;
use super::execute::Execution;
use super::refusal::Refusal;
use super::reopen;
use super::replay::{FailurePolicy, check_crossed_mounts};
use super::session::Session;
use super::steps::{Steps, and_more};
use super::target::Target;
use super::{Ending, Report, Stats};
use crate::journal::id::argument;
use crate::journal::{Journal, JournalState, Mark};
use crate::preflight::accounts::LoginAccounts;

/// How to finish a run.
#[derive(Clone, Copy, Debug)]
pub struct ResumeOptions {
    /// Threads.
    pub jobs: usize,
    /// Also where a tree is in use, and the run was not allowed that.
    pub allow_in_use: bool,
}

/// Finishes the run of a journal: first the journalled changes that the disk does not have yet,
/// then the part of the trees that the run had not reached.
///
/// # Errors
/// [`Refusal`]: nothing was changed.
pub fn resume(
    journal: &Journal,
    options: ResumeOptions,
    control: RunControl<'_>,
) -> Result<Report, Refusal> {
    let ResumeOptions { jobs, allow_in_use } = options;
    let header = &journal.header;
    match journal.state {
        JournalState::Unfinished => check_can_go_on(journal)?,
        JournalState::Undoing if Steps::can_be_redone(journal) => check_can_go_on(journal)?,
        JournalState::Undoing => {
            return Err(not_this(journal, |rollback| {
                format!("its rollback has begun; finish it with {rollback}")
            }));
        }
        JournalState::Finished | JournalState::Undone => {
            let why = format!("it is {} already", journal.state);
            return Ok(Report {
                journal: Some(journal.path.clone()),
                ..Report::new(Instant::now(), Ending::Nothing { why }, Stats::default())
            });
        }
    }
    let session = Session::open(control, || {
        let trees = header.roots.iter().filter(|root| !root.steps_only);
        Ok((reopen::open_all(journal)?, trees.count()))
    })?;
    check_ids_tell(journal)?;
    let exclude = Excludes::new(&header.walk.exclude, session.roots(), &[])?;
    let scope = WalkScope::new(&header.map, header.direction, &header.walk, exclude);
    let scope = WalkScope {
        // What the run would not have changed stays.
        accounts: (!header.allowed.home).then(LoginAccounts::of_host),
        command: header.command.options(),
        ..scope
    };
    if !header.listed_first {
        check_same_mounts(journal, &crossed_mounts(&scope, session.trees()))?;
    }
    check_crossed_mounts(journal, jobs, control)?;
    check_not_undone(journal, session.roots(), jobs, control)?;
    let session = session.preflight_of_resume(journal, allow_in_use)?;
    let mut session = session
        .claim_journal(journal)?
        .reopen_journal(Mark::Resumed)?;
    session.execute(&Execution {
        journal,
        accept_partial: true,
        // Somebody who changed or removed an inode since made no failure of the run.
        give_up: match header.walk.keep_going {
            true => FailurePolicy::Never,
            false => FailurePolicy::OnFailure,
        },
        jobs,
    });
    if session.goes_on() && !header.listed_first {
        let mut replayed = std::mem::take(session.stats());
        let left = std::mem::take(&mut replayed.left_inodes);
        let left_before = left.len() as u64;
        let mut scope = scope;
        scope.done.extend(left);
        session = session.shift_trees(scope, jobs);
        let stats = session.stats();
        stats.already = stats.already.saturating_sub(left_before);
        *stats = std::mem::take(stats).after(replayed);
    }
    // What the run did before is not known from this part of it.
    session.stats().begun += journal.inodes + journal.steps.len() as u64;
    Ok(session.finish(jobs))
}

/// Refuses a journal that is not complete where it has to be, or that has a step that cannot be
/// taken.
fn check_can_go_on(journal: &Journal) -> Result<(), Refusal> {
    match journal.may_have_begun() {
        false => Err(not_this(journal, |rollback| {
            format!(
                "the run ended before its journal was complete, and nothing was changed. \
                 Close it with {rollback}, then start again"
            )
        })),
        true => check_steps(journal),
    }
}

/// Refuses a walk where ids do not tell what is shifted. Such a run lists everything first.
fn check_ids_tell(journal: &Journal) -> Result<(), Refusal> {
    match journal.header.walk.assume_unshifted && !journal.header.listed_first {
        true => Err(not_this(journal, |rollback| {
            format!(
                "idshift cannot tell which files are shifted already. Undo the run with {rollback}, then start again"
            )
        })),
        false => Ok(()),
    }
}

/// The refusal to resume this journal; `reason` gets the command that rolls it back.
fn not_this(journal: &Journal, reason: impl FnOnce(&str) -> String) -> Refusal {
    Refusal::NotThisOne {
        path: journal.path.clone(),
        reason: reason(&format!("`idshift rollback {}`", argument(&journal.path))),
    }
}

/// Checks that every pending step can be taken, before the first one is taken.
fn check_steps(journal: &Journal) -> Result<(), Refusal> {
    let rollback = format!("`idshift rollback {}`", argument(&journal.path));
    let steps = Steps::of(journal);
    if steps.not_guarded() {
        return Err(Refusal::NotThisOne {
            path: journal.path.clone(),
            reason: format!(
                "the run ended before it changed anything, and the tree may have changed since. \
                 Close it with {rollback}, then start again"
            ),
        });
    }
    let mut obstacles = steps.obstacles(Target::After);
    obstacles.extend(steps.mounted_below(Target::After));
    match obstacles.first() {
        None => Ok(()),
        Some(first) => Err(Refusal::NotThisOne {
            path: first.path.clone(),
            reason: format!(
                "{}{}. Nothing was changed. {rollback} undoes what was done",
                first.reason,
                and_more(obstacles.len())
            ),
        }),
    }
}
