//! What a journal says, compared with the disk and brought about.
//!
//! - `job`: what a replay is of, and how it is done
//! - `worker`: one thread of it; `locator`: where entries are now; `change`: one inode; `guard`: one that a user had

mod change;
mod guard;
mod job;
mod locator;
mod worker;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

pub use self::job::{FailurePolicy, Replay, ReplayMode, Replayed, Unreadable};
use self::worker::Worker;
use super::Stats;
use super::control::RunControl;
use super::control::monitor::Silent;
use super::missing_tree::NotTheTree;
use super::refusal::Refusal;
use super::reopen::{missing, open_each, open_unmapped};
use super::target::Target;
use crate::fs::Root;
use crate::fs::live_mounts::LiveMounts;
use crate::fs::threads::on_threads;
use crate::journal::root_line::RootLine;
use crate::journal::{Journal, JournalError};

impl Replay<'_> {
    /// Goes through all frames with `jobs` threads: no inode is in two frames, so their order does
    /// not matter.
    ///
    /// # Errors
    /// The journal cannot be read any more: what was done before that is in the error.
    pub fn run(&self, jobs: usize) -> Result<Replayed, Unreadable> {
        let roots = self.open_roots();
        let live_mounts = self.journal.header.walk.cross_mounts.then(LiveMounts::new);
        let next = AtomicU32::new(0);
        let over = AtomicBool::new(false);
        let broken: Mutex<Option<JournalError>> = Mutex::new(None);
        let jobs = jobs.min(self.journal.frames().max(1) as usize);
        let all_stats = on_threads(jobs, || {
            let mut worker = Worker::new(self, &roots, &over, live_mounts.as_ref());
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
            worker.into_stats()
        });
        let stats = Stats::sum(all_stats);
        match broken.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(Unreadable {
                error,
                stats: Box::new(stats),
            }),
            None => Ok(Replayed {
                stats,
                cut_short: over.load(Ordering::Relaxed),
                is_stuck: false,
            }),
        }
    }

    /// The roots of the journal, in its order.
    fn open_roots(&self) -> Vec<Result<Root, NotTheTree>> {
        let lines = &self.journal.header.roots;
        let Some(open) = self.roots else {
            return open_each(lines);
        };
        let again = |(line, root): (&RootLine, &Root)| match root.identity == line.identity {
            true => root
                .try_clone()
                .map_err(|errno| NotTheTree::NotOpened(errno.into())),
            false => open_unmapped(line),
        };
        lines.iter().zip(open).map(again).collect()
    }
}

/// Of a run that crossed mount points: refuses where a directory is another one now, as it is where its
/// filesystem is not mounted.
///
/// # Errors
/// [`Refusal::TreeMissing`]; or the journal cannot be read any more.
pub(super) fn check_crossed_mounts(
    journal: &Journal,
    jobs: usize,
    control: RunControl<'_>,
) -> Result<(), Refusal> {
    if !journal.header.walk.cross_mounts {
        return Ok(());
    }
    let control = RunControl {
        monitor: &Silent,
        ..control
    };
    let compare = Replay {
        accept_partial: true,
        ..Replay::new(journal, Target::Before, control)
    };
    let compared = compare.run(jobs)?;
    match compared.stats.replaced_dirs.first() {
        Some(path) => Err(missing(journal, path, NotTheTree::AnotherDirectory)),
        None => Ok(()),
    }
}
