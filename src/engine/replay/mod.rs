//! What a journal says, compared with the disk and brought about.

mod worker;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use self::worker::Worker;
use super::steps::Move;
use super::sync::ChangedCounter;
use super::{Monitor, Stats, Stop, reopen};
use crate::fs::Root;
use crate::fs::live_mounts::LiveMounts;
use crate::fs::threads::on_threads;
use crate::journal::record::RootLine;
use crate::journal::{Journal, JournalError};
use crate::ownership::{Change, Ownership};

/// Which side of its changes a replay wants on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// As before the run: rollback.
    Before,
    /// As after it: resume, verify.
    After,
}

impl Target {
    /// The side of a change that is wanted.
    fn side(self, change: &Change) -> &Ownership {
        match self {
            Target::Before => &change.before,
            Target::After => &change.after,
        }
    }

    /// The other one.
    fn other(self, change: &Change) -> &Ownership {
        match self {
            Target::Before => &change.after,
            Target::After => &change.before,
        }
    }
}

/// What is done about an inode that is not as wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayMode {
    /// It is changed.
    Change,
    /// It is counted as to be changed: a dry run.
    Count,
    /// It is reported as a conflict: verify.
    Report,
}

/// What ends a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// Nothing: what goes wrong is reported.
    Never,
    /// An inode that cannot be read or changed.
    OnFailure,
    /// That, and an inode that is not what the journal says.
    OnConflict,
}

/// How a journal is gone through.
pub struct Replay<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// What is wanted.
    pub target: Target,
    /// Inodes half way between before and after are the journal's doing: true while a run or a
    /// rollback of it has not ended.
    pub accept_partial: bool,
    /// An inode that somebody changed since is given the wanted ownership all the same.
    pub force: bool,
    /// What is done.
    pub act: ReplayMode,
    /// What ends the replay before its end.
    pub give_up: FailurePolicy,
    /// The trees, where they are open since the run began; else they are opened by their paths.
    pub roots: Option<&'a [Root]>,
    /// Entries that steps renamed since, in order: what is below them is looked for in their new places.
    pub moves: &'a [Move],
    /// Hears of progress.
    pub monitor: &'a dyn Monitor,
    /// Asks to stop; between two inodes.
    pub stop: &'a Stop,
}

/// How a replay went.
pub struct Replayed {
    /// Counts.
    pub stats: Stats,
    /// It was stopped before its end, on request or by the first trouble of a strict one.
    pub cut_short: bool,
}

impl Replay<'_> {
    /// Goes through all frames with `jobs` threads: no inode is in two frames, so their order does
    /// not matter. What is changed is counted in `changed`.
    ///
    /// # Errors
    /// The journal cannot be read any more.
    pub fn run(
        &self,
        jobs: usize,
        changed: Option<&ChangedCounter>,
    ) -> Result<Replayed, JournalError> {
        let roots = self.open_roots();
        let live_mounts = self.journal.header.walk.cross_mounts.then(LiveMounts::new);
        let next = AtomicU32::new(0);
        let over = AtomicBool::new(false);
        let broken: Mutex<Option<JournalError>> = Mutex::new(None);
        let jobs = jobs.min(self.journal.frames().max(1) as usize);
        let all_stats = on_threads(jobs, || {
            let mut worker = Worker::new(self, &roots, &over, changed, live_mounts.as_ref());
            while !worker.is_over() {
                let frame = next.fetch_add(1, Ordering::Relaxed);
                if frame >= self.journal.frames() {
                    break;
                }
                if !self.journal.names_inodes(frame) {
                    continue;
                }
                if let Err(error) = worker.frame(frame) {
                    over.store(true, Ordering::Relaxed);
                    let mut first = broken.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error);
                }
            }
            worker.finish_deferred();
            worker.stats
        });
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(Replayed {
                stats: Stats::sum(all_stats),
                cut_short: over.load(Ordering::Relaxed),
            }),
        }
    }

    /// The roots of the journal, in its order.
    fn open_roots(&self) -> Vec<Result<Root, String>> {
        let lines = &self.journal.header.roots;
        let Some(open) = self.roots else {
            return reopen::open_each(lines);
        };
        let again = |(line, root): (&RootLine, &Root)| match root.identity == line.identity {
            true => root.try_clone().map_err(|errno| errno.to_string()),
            false => reopen::open_unmapped(line),
        };
        lines.iter().zip(open).map(again).collect()
    }
}
