//! What a run did, and how it ended.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::problem::Problem;
use super::stats::Stats;
use crate::preflight::TransientBlocker;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything asked for is done, but for what the counts say was left.
    Done,
    /// Somebody asked it to stop.
    Interrupted,
    /// Something could not be done, and what was done before is undone.
    RolledBack {
        /// What could not be done.
        why: Vec<Problem>,
    },
    /// Something could not be done, and not everything that was done before is undone.
    Stuck {
        /// What could not be done.
        why: Vec<Problem>,
    },
    /// There was nothing to do.
    Nothing {
        /// Why, for people.
        why: String,
    },
}

/// What a run did.
#[derive(Debug)]
pub struct Report {
    /// The journal file; none for a dry run, or when nothing had to be changed.
    pub journal: Option<PathBuf>,
    /// Counts.
    pub stats: Stats,
    /// How it ended.
    pub ending: Ending,
    /// Wall time.
    pub elapsed: Duration,
    /// Of a dry run: why a real one would be refused now.
    pub would_refuse: Vec<TransientBlocker>,
}

/// The outcome of a run, from which exit codes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All done.
    Done,
    /// Some inodes are left as they were.
    SomeLeft,
    /// Failed, and undone.
    Failed,
    /// Failed, and could not be undone completely.
    Stuck,
    /// Stopped on request.
    Interrupted,
}

impl Report {
    /// Of a run without a journal, which began at `start` and is over now.
    pub fn new(start: Instant, ending: Ending, stats: Stats) -> Report {
        Report {
            journal: None,
            stats,
            ending,
            elapsed: start.elapsed(),
            would_refuse: Vec::new(),
        }
    }

    /// In a word.
    pub fn outcome(&self) -> Outcome {
        match self.ending {
            Ending::Interrupted => Outcome::Interrupted,
            Ending::RolledBack { .. } => Outcome::Failed,
            Ending::Stuck { .. } => Outcome::Stuck,
            Ending::Nothing { .. } => Outcome::Done,
            Ending::Done if self.stats.left() > 0 => Outcome::SomeLeft,
            Ending::Done => Outcome::Done,
        }
    }

    /// Whether it did all that it could, or a dry run looked at all of it.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome(), Outcome::Done | Outcome::SomeLeft)
    }
}
