//! Going on with a run that was cut short.

use std::collections::HashSet;
use std::time::Instant;

use super::exclude::Excludes;
use super::execute::execute;
use super::replay::{FailurePolicy, Target};
use super::request::{check_journal_not_in_use, check_mount_views};
use super::rollback::and_more;
use super::shift::{conclude, walk_journalling};
use super::steps::Steps;
use super::there;
use super::visitor::RunContext;
use super::{Ending, Monitor, Phase, Refusal, Report, Stats, Stop};
use crate::fs::{Identity, Root};
use crate::journal::file::Section;
use crate::journal::run_lock::RunLock;
use crate::journal::store::argument;
use crate::journal::{Journal, JournalError, JournalState, Mark};
use crate::preflight;
use crate::preflight::passing::check_is_root;

/// Finishes the run of a journal: first what the journal announces and the disk does not have yet,
/// then the part of the trees that the run had not come to.
///
/// # Errors
/// [`Refusal`]: nothing was changed.
pub fn resume(
    journal: &Journal,
    jobs: usize,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Report, Refusal> {
    let start = Instant::now();
    let not_this = |reason: &str| Refusal::NotThisOne {
        path: journal.path.clone(),
        reason: reason.to_string(),
    };
    let rollback = format!("`idshift rollback {}`", argument(&journal.path));
    match journal.state {
        JournalState::Unfinished => {}
        JournalState::Undoing => {
            return Err(not_this(&format!(
                "a rollback of it was begun; finish that with {rollback}"
            )));
        }
        JournalState::Finished | JournalState::Undone => {
            return Ok(Report {
                journal: Some(journal.path.clone()),
                stats: Stats::default(),
                ending: Ending::Nothing {
                    why: format!("it is {} already", journal.state),
                },
                elapsed: start.elapsed(),
                would_refuse: Vec::new(),
            });
        }
    }
    let header = &journal.header;
    if !journal.may_have_begun() {
        return Err(not_this(&format!(
            "the run ended before it knew everything that is to be done, and nothing was changed. \
             Close it with {rollback}, then start again"
        )));
    }
    check_steps(journal)?;
    let roots = there::open_all(journal)?;
    let many = header.walk.cross_mounts || roots.iter().any(preflight::has_subvolumes);
    if header.walk.assume_unshifted && many {
        return Err(not_this(&format!(
            "ids do not tell what is shifted, and across several filesystems or subvolumes inode \
             numbers do not either. Undo it with {rollback} and start again"
        )));
    }
    check_is_root(&journal.path)?;
    there::check_crossed(journal, jobs, stop)?;
    check_journal_not_in_use(journal, monitor)?;
    let done = match header.walk.assume_unshifted {
        true => journalled(journal, &roots)?,
        false => HashSet::new(),
    };
    let exclude = Excludes::new(&header.walk.exclude, &roots, &[])?;
    let lock = RunLock::take(&roots)?;
    let (map, direction) = (&header.map, header.direction);
    let mut run = RunContext::new(&roots, map, direction, &header.walk, monitor, stop);
    check_mount_views(&roots, &header.tree_paths(), &header.walk)?;
    let mut appender = journal.append(&lock)?;
    let marked = appender.mark(Mark::Resumed, 0);
    marked.map_err(|source| Refusal::journal(&journal.path, source))?;

    run.exclude = exclude;
    // Somebody who changed or removed an inode since made no failure of the run.
    let give_up = match header.walk.keep_going {
        true => FailurePolicy::Never,
        false => FailurePolicy::OnFailure,
    };
    let mut walked = execute(&run, journal, appender, true, give_up, jobs)?;
    if !run.is_cut_short() && !header.listed_first && walked.written.is_ok() {
        if header.walk.assume_unshifted {
            run.done = done;
        }
        monitor.phase(Phase::Shifting, None);
        let replayed = walked.stats;
        walked = walk_journalling(&run, &roots, walked.appender, jobs);
        // Inodes that the replay met are met again by the walk.
        let seen = walked.stats.seen.max(replayed.seen);
        walked.stats.already = walked.stats.already.saturating_sub(replayed.changed);
        walked.stats.add(replayed);
        walked.stats.seen = seen;
    }
    // What the run did before is not known from this part of it.
    walked.stats.begun += journal.inodes;
    Ok(conclude(&run, walked, journal.path.clone(), jobs, start))
}

/// Whether every step that is not taken can be. Before the first is, so that nothing is left half way.
fn check_steps(journal: &Journal) -> Result<(), Refusal> {
    let rollback = format!("`idshift rollback {}`", argument(&journal.path));
    let steps = Steps::of(journal);
    if steps.not_guarded() {
        return Err(Refusal::NotThisOne {
            path: journal.path.clone(),
            reason: format!(
                "the run ended before it changed anything, and what there is may be another now. \
                 Close it with {rollback}, then start again"
            ),
        });
    }
    let obstacles = steps.obstacles(Target::After);
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

/// Every inode that the journal names, with its device: that of its tree, as no run that crosses mounts comes here. Grows with the journal: only for
/// maps under which an id does not tell whether an inode is shifted.
fn journalled(journal: &Journal, roots: &[Root]) -> Result<HashSet<(u64, Identity)>, JournalError> {
    let mut inodes = HashSet::new();
    for frame in 0..journal.frames() {
        for piece in journal.read(frame)? {
            if let Section::Dir(line) = piece {
                let dev = roots[line.root].dev;
                inodes.extend(line.entries().map(|entry| (dev, entry.identity)));
            }
        }
    }
    Ok(inodes)
}
