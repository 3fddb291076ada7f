//! Undoing what a journal names: by a rollback, or at the end of a run that failed.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::Path;

use jiff::Timestamp;

use super::context::RunState;
use super::control::{Cancel, RunControl};
use super::hand_over::{Window, check_taken_back};
use super::replay::{Replay, ReplayMode, Replayed, Unreadable};
use super::steps::Steps;
use super::sync::Filesystems;
use super::target::Target;
use super::{Phase, Problem, ProblemKind, Stats};
use crate::fs::Root;
use crate::journal::id::argument;
use crate::journal::step::Move;
use crate::journal::{Journal, JournalError, Mark};

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

/// What is undone, and how.
pub(super) struct Undo<'a> {
    pub journal: &'a Journal,
    pub options: RollbackOptions,
    /// The trees, where they are open since the run began.
    pub roots: Option<&'a [Root]>,
    pub control: RunControl<'a>,
    pub filesystems: &'a Filesystems,
    /// When what a user had was taken back, by this undoing.
    pub taken_back: Cell<Option<Timestamp>>,
}

/// Says in the journal how far an undoing came.
type MarkJournal<'m> = &'m mut dyn FnMut(Mark, &Stats) -> io::Result<()>;

impl Undo<'_> {
    /// Undoes the run, syncs, and then writes the mark.
    ///
    /// # Errors
    /// The journal cannot be read any more.
    pub fn run_and_mark(
        &self,
        mut mark: impl FnMut(Mark, &Stats) -> io::Result<()>,
    ) -> Result<Replayed, Unreadable> {
        let mut replayed = self.run(&mut mark)?;
        // The one that goes on would not be told.
        if replayed.cut_short || replayed.is_stuck {
            return Ok(replayed);
        }
        self.control.monitor.phase(Phase::Syncing, None);
        let (sync, stats) = (|| self.filesystems.sync(), &replayed.stats);
        if let Err(error) = sync().and_then(|()| mark(Mark::Undone, stats)) {
            self.record_problem(&mut replayed.stats, not_certain(self.journal, &error));
        }
        Ok(replayed)
    }

    /// Undoes the late steps, the owners, then the early steps.
    ///
    /// # Errors
    /// The journal cannot be read any more.
    pub fn run(&self, mark: MarkJournal<'_>) -> Result<Replayed, Unreadable> {
        let steps = Steps::of(self.journal);
        let mut stats = Stats::default();
        if self.options.dry_run {
            stats.steps = steps.count(Target::Before);
        } else if !self.undo_late_steps(&steps, &mut stats, mark) {
            return Ok(self.ended_early(stats));
        }
        // Before a daemon is kept from starting no owner is changed, nor after all are put back.
        if !steps.not_guarded() {
            let mut replayed = match self.undo_owners(&steps.moves()) {
                Ok(undone) => undone,
                Err(mut unreadable) => {
                    unreadable.stats.add(stats);
                    return Err(unreadable);
                }
            };
            replayed.stats.add(stats);
            if replayed.cut_short {
                return Ok(replayed);
            }
            stats = replayed.stats;
            // What may be a user's doing stays where only root comes to.
            if self.is_or_was_a_users() && stats.left() > 0 {
                return Ok(self.ended_early(stats));
            }
        }
        if !self.options.dry_run && !self.undo_steps(&steps, steps.early(), &mut stats) {
            return Ok(self.ended_early(stats));
        }
        Ok(ended(stats))
    }

    /// Undoes the late steps. What a user had is taken away first, and is only undone if nobody changed it.
    fn undo_late_steps(&self, steps: &Steps<'_>, stats: &mut Stats, mark: MarkJournal<'_>) -> bool {
        let [closed, open] = steps.around_hand_over();
        // Also a run that fails when it is resumed comes here: a daemon may have run before that.
        if let Some(used) = steps.used_since().filter(|_| !self.options.force) {
            self.record_problem(stats, used);
            return false;
        }
        if !self.undo_steps(steps, open.clone(), stats) {
            return false;
        }
        if self.journal.handed_over().is_some() {
            let problems = check_taken_back(self.journal, self.options.jobs, self.control);
            if self.control.cancel.is_requested() {
                return false;
            }
            if !problems.is_empty() {
                for problem in problems {
                    self.record_problem(stats, problem);
                }
                // The user, or root's daemon, goes on with it, as before.
                stats.steps = 0;
                for problem in steps.apply(Target::After, open, false).problems {
                    self.record_problem(stats, problem);
                }
                return false;
            }
            self.taken_back.set(Some(Timestamp::now()));
            // Where the mark is, the user does not come to it any more, also after a power cut.
            let synced = self.filesystems.sync();
            if let Err(error) = synced.and_then(|()| mark(Mark::TakenBack, stats)) {
                self.record_problem(stats, not_certain(self.journal, &error));
                return false;
            }
        }
        self.undo_steps(steps, closed, stats)
    }

    /// What the run changes is a user's on one side of it, and root's on the other.
    fn is_or_was_a_users(&self) -> bool {
        let journal = self.journal;
        Window::since_handed_over(journal).is_some() || journal.takes_over()
    }

    /// Nothing more is done; the journal says that its undoing has not ended.
    fn ended_early(&self, stats: Stats) -> Replayed {
        Replayed {
            stats,
            cut_short: self.is_or_was_a_users() && self.control.is_cancelled(),
            is_stuck: true,
        }
    }

    /// Returns whether the rollback may continue.
    fn undo_steps(&self, steps: &Steps<'_>, which: Range<usize>, stats: &mut Stats) -> bool {
        let force = self.options.force;
        let applied = steps.apply(Target::Before, which, force);
        stats.steps += applied.done;
        stats.set_aside.extend(applied.set_aside);
        for problem in applied.problems {
            self.record_problem(stats, problem);
        }
        !applied.gave_up
    }

    fn undo_owners(&self, moves: &[Move]) -> Result<Replayed, Unreadable> {
        let journal = self.journal;
        let RollbackOptions {
            dry_run,
            force,
            jobs,
        } = self.options;
        let monitor = self.control.monitor;
        monitor.phase(Phase::Undoing, Some(journal.inodes));
        let replay = Replay {
            // What a run or a rollback failed over may have been left half way.
            accept_partial: journal.may_be_half_done(),
            force,
            act: match dry_run {
                true => ReplayMode::Count,
                false => ReplayMode::Change,
            },
            roots: self.roots,
            moves,
            // What was taken from a user is root's, and only root comes to it again.
            unchanged: Window::since_handed_over(journal)
                .filter(|_| !journal.takes_over())
                .map(|window| window.since_taken_away(self.taken_back.get())),
            ..Replay::new(journal, Target::Before, self.control)
        };
        replay.run(jobs)
    }

    fn record_problem(&self, stats: &mut Stats, problem: Problem) {
        self.control.monitor.problem(&problem);
        stats.add_problem(problem);
    }
}

fn ended(stats: Stats) -> Replayed {
    Replayed {
        stats,
        cut_short: false,
        is_stuck: false,
    }
}

/// Undoes a run of this process that failed; its lock is held by the caller, and nobody may stop
/// it half way. `file`: the journal, which may have been removed meanwhile.
///
/// # Errors
/// The journal cannot be read any more: nothing was undone.
pub(super) fn undo_failed_run(
    path: &Path,
    file: File,
    (run, roots): (&RunState<'_>, &[Root]),
    jobs: usize,
) -> Result<Stats, JournalError> {
    let second = file.try_clone();
    let journal = Journal::read_from(path, file)?;
    // Marks help a later reader; without room for them the undoing is done all the same, and the
    // journal stays open for a rollback by hand.
    let mut appender = second.and_then(|file| journal.append_to(file));
    if let Ok(appender) = &mut appender {
        let _ = appender.mark(Mark::Undoing, 0);
    }
    let undo = Undo {
        journal: &journal,
        options: RollbackOptions {
            dry_run: false,
            force: false,
            jobs,
        },
        roots: Some(roots),
        control: RunControl {
            cancel: &Cancel::new(),
            rate: None,
            ..run.control
        },
        filesystems: &run.filesystems,
        taken_back: Cell::new(None),
    };
    let undone = undo.run_and_mark(|mark, stats| {
        let marked = match &mut appender {
            Ok(appender) => appender.mark(mark, stats.left()),
            Err(error) => Err(error.kind().into()),
        };
        match mark {
            // Without it a later reader takes the undoing of owners for the user's doing.
            Mark::TakenBack => marked,
            _ => Ok(()),
        }
    });
    if let Ok(appender) = appender {
        let _ = appender.close();
    }
    Ok(match undone {
        Ok(undone) => undone.stats,
        Err(unreadable) => unreadable.into_stats(&journal).0,
    })
}

/// The problem that everything is undone, but may not be on the disk yet.
fn not_certain(journal: &Journal, error: &io::Error) -> Problem {
    Problem {
        path: journal.path.clone(),
        kind: ProblemKind::Failed,
        reason: format!(
            "the undo may not be on the disk yet, or not in the journal: {error}. Correct this, then run \
            `idshift rollback {}` again",
            argument(&journal.path)
        ),
    }
}
