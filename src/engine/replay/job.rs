//! What a replay is of, and how it is done.

use crate::engine::Stats;
use crate::engine::control::RunControl;
use crate::engine::hand_over::Window;
use crate::engine::refusal::Refusal;
use crate::engine::target::Target;
use crate::engine::{Problem, ProblemKind};
use crate::fs::Root;
use crate::journal::step::Move;
use crate::journal::{Journal, JournalError};

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

/// How a journal is replayed.
pub struct Replay<'a> {
    /// The journal.
    pub journal: &'a Journal,
    /// The side of the changes that is wanted.
    pub target: Target,
    /// Whether inodes in a partial state are the work of this journal: true while its run or its
    /// rollback has not ended.
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
    /// Inodes that are not as they were before a run are only changed where nobody but the run has changed them: a user had
    /// them.
    pub unchanged: Option<Window>,
    /// Progress, cancellation and rate limit.
    pub control: RunControl<'a>,
}

impl<'a> Replay<'a> {
    /// A replay that only counts, and that goes to the end of the journal.
    pub fn new(journal: &'a Journal, target: Target, control: RunControl<'a>) -> Replay<'a> {
        Replay {
            journal,
            target,
            accept_partial: false,
            force: false,
            act: ReplayMode::Count,
            give_up: FailurePolicy::Never,
            roots: None,
            moves: &[],
            unchanged: None,
            control,
        }
    }

    /// Whether the part of the trees that the run had not reached is walked after it.
    pub(super) fn is_before_walk(&self) -> bool {
        let is_done = self.act == ReplayMode::Change && self.target == Target::After;
        is_done && !self.journal.header.listed_first
    }
}

/// How a replay went.
pub struct Replayed {
    /// Counts.
    pub stats: Stats,
    /// It was stopped before its end, on request or by the first trouble of a strict one.
    pub cut_short: bool,
    /// Not all of it was undone, and the journal must not say that it is over.
    pub is_stuck: bool,
}

/// The journal could not be read to its end.
#[derive(Debug)]
pub struct Unreadable {
    /// Why not.
    pub error: JournalError,
    /// What was done before.
    pub stats: Box<Stats>,
}

impl Unreadable {
    /// The counts with this problem added, and the problem.
    pub(in crate::engine) fn into_stats(self, journal: &Journal) -> (Stats, Problem) {
        let mut stats = *self.stats;
        let why = match &self.error {
            JournalError::Io { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        let problem = Problem {
            path: journal.path.clone(),
            kind: ProblemKind::Failed,
            reason: format!("the journal cannot be read any more: {why}"),
        };
        stats.add_problem(problem.clone());
        (stats, problem)
    }
}

/// Of a replay that changes nothing.
impl From<Unreadable> for Refusal {
    fn from(unreadable: Unreadable) -> Refusal {
        unreadable.error.into()
    }
}
