//! The life of a run, from its request to its report: once for shift, plans, reviewed manifests, resume and
//! rollback.
//!
//! ```text
//! open -> preflight -> Locked -> begin_journal -> Running -> finish -> Report
//!                             -> claim_journal -> Claimed -> reopen_journal -> Running (resume, rollback)
//! ```
//!
//! Each stage is a type, and only what it may do is a method of it: a journal is begun, or gone on with, under the
//! lock of its trees; what changes the disk takes a session that has a journal; whoever ends a session has it no
//! more.

mod conclude;
mod running;

use std::path::PathBuf;
use std::time::Instant;

use super::context::RunState;
use super::control::RunControl;
use super::exclude::Excludes;
use super::refusal::Refusal;
use super::reopen::check_service_stopped;
use super::request::{ShiftRequest, check_mount_views};
use super::{Ending, Phase, Report, Stats};
use crate::fs::root::RootError;
use crate::fs::{Root, copy_up};
use crate::journal::record::Header;
use crate::journal::run_lock::RunLock;
use crate::journal::writer::Appender;
use crate::journal::{Journal, Mark, Store};
use crate::preflight::Places;
use crate::preflight::transient::{check_is_root, check_not_in_use};

/// A run that has reached the stage `Stage`.
pub(super) struct Session<'a, Stage> {
    start: Instant,
    control: RunControl<'a>,
    roots: Vec<Root>,
    /// How many of the roots are trees in which owners are changed; they come first.
    trees: usize,
    stage: Stage,
}

/// The trees are open.
pub(super) struct Opened;

/// All checks before the first change passed, and no other run can use the trees.
pub(super) struct Locked {
    lock: RunLock,
}

/// The journal is locked for this run.
pub(super) struct Claimed {
    lock: RunLock,
    journal: PathBuf,
    appender: Appender,
    cross_mounts: bool,
}

/// There is a journal, so that changes can be made.
pub(super) struct Running<'a> {
    lock: RunLock,
    run: RunState<'a>,
    journal: PathBuf,
    appender: Appender,
    /// What was counted so far.
    stats: Stats,
    /// What kept the journal, or a filesystem, from being written.
    written: std::io::Result<()>,
}

impl<'a, Stage> Session<'a, Stage> {
    /// All roots.
    pub fn roots(&self) -> &[Root] {
        &self.roots
    }

    /// The trees in which owners are changed.
    pub fn trees(&self) -> &[Root] {
        &self.roots[..self.trees]
    }

    /// The report of a run that ends so.
    pub fn report(&self, ending: Ending, stats: Stats) -> Report {
        Report::new(self.start, ending, stats)
    }

    fn with_stage<Next>(self, next: impl FnOnce(Stage) -> Next) -> Session<'a, Next> {
        Session {
            start: self.start,
            control: self.control,
            roots: self.roots,
            trees: self.trees,
            stage: next(self.stage),
        }
    }
}

impl<'a> Session<'a, Opened> {
    /// Opens the trees.
    ///
    /// # Errors
    /// As `open`.
    pub fn open(
        control: RunControl<'a>,
        open: impl FnOnce() -> Result<(Vec<Root>, usize), Refusal>,
    ) -> Result<Self, Refusal> {
        let start = Instant::now();
        let (roots, trees) = open()?;
        Ok(Session {
            start,
            control,
            roots,
            trees,
            stage: Opened,
        })
    }

    /// Opens the trees of a request.
    ///
    /// # Errors
    /// As [`ShiftRequest::open_roots`].
    pub fn of_request(control: RunControl<'a>, request: &ShiftRequest) -> Result<Self, Refusal> {
        Session::open(control, || {
            let roots = request.open_roots()?;
            let trees = roots.len();
            Ok((roots, trees))
        })
    }

    /// Asks every check before the first change, and takes the lock.
    ///
    /// # Errors
    /// The first check that refuses.
    pub fn preflight(
        self,
        request: &ShiftRequest,
        store: &Store,
    ) -> Result<Session<'a, Locked>, Refusal> {
        let lock = request.clear_to_change(&self.roots, store, self.control.monitor)?;
        Ok(self.with_stage(|Opened| Locked { lock }))
    }

    /// Checks a run that has a journal: its trees were asked for when it began.
    ///
    /// # Errors
    /// The first check that refuses.
    pub fn preflight_of_journal(self, journal: &Journal) -> Result<Session<'a, Locked>, Refusal> {
        check_is_root(&journal.path)?;
        check_service_stopped(journal, self.control.monitor)?;
        let lock = RunLock::take(&self.roots)?;
        self.check_mount_views(journal)?;
        Ok(self.with_stage(|Opened| Locked { lock }))
    }

    /// Checks a run that is to be finished: asks what the run asked, by what it was allowed.
    ///
    /// # Errors
    /// The first check that refuses.
    pub fn preflight_of_resume(
        self,
        journal: &Journal,
        allow_in_use: bool,
    ) -> Result<Session<'a, Locked>, Refusal> {
        check_is_root(&journal.path)?;
        // Before its users: an idmapped mount that shows a tree is one of those, too.
        self.check_mount_views(journal)?;
        let header = &journal.header;
        let is_of_service = header.is_of_service();
        let excludes = Excludes::new(&header.walk.exclude, self.trees(), &[])?;
        Places {
            trees: self.trees(),
            is_excluded: &|tree, below| {
                excludes
                    .as_ref()
                    .is_some_and(|excludes| excludes.matches(tree, below))
            },
            cross_mounts: header.walk.cross_mounts,
            allow_system_path: header.allowed.system_path || is_of_service,
        }
        .check()?;
        // Of a service it is asked in other words.
        if !(allow_in_use || header.allowed.in_use || is_of_service) {
            self.control.monitor.phase(Phase::CheckingUse, None);
            check_not_in_use(self.trees(), false)?;
        }
        self.preflight_of_journal(journal)
    }

    /// What a dry run is told of a run that has a journal.
    ///
    /// # Errors
    /// The first check that refuses.
    pub fn check_journal(&self, journal: &Journal) -> Result<(), Refusal> {
        check_service_stopped(journal, self.control.monitor)?;
        self.check_mount_views(journal)
    }

    fn check_mount_views(&self, journal: &Journal) -> Result<(), Refusal> {
        let paths: Vec<_> = self.trees().iter().map(|root| &root.path).collect();
        check_mount_views(&self.roots, (&paths[..], false), &journal.header.walk)
    }
}

impl<'a> Session<'a, Locked> {
    /// Has the directories in which only steps are taken copied up where they are on an overlay, as the first step would
    /// do: the journal has to know which inodes they are then.
    ///
    /// # Errors
    /// Which cannot be changed.
    pub fn copy_up_step_roots(mut self) -> Result<Self, Refusal> {
        for root in &mut self.roots[self.trees..] {
            copy_up(root).map_err(|errno| RootError::Open {
                path: root.path.clone(),
                source: errno.into(),
            })?;
        }
        Ok(self)
    }

    /// Only the lock, for work that has to be done before the run can start.
    pub fn into_lock(self) -> RunLock {
        self.stage.lock
    }

    /// Begins a journal.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin_journal(
        self,
        store: &Store,
        header: Header,
    ) -> Result<Session<'a, Running<'a>>, Refusal> {
        let cross_mounts = header.walk.cross_mounts;
        let (appender, journal) = store.create(&self.stage.lock, header)?;
        Ok(self.claimed(appender, journal, cross_mounts).run())
    }

    /// Locks the journal of an earlier run: from now on nobody else resumes it, rolls it back or
    /// removes it.
    ///
    /// # Errors
    /// It cannot be written, somebody else has it, or it is not what it was when it was read.
    pub fn claim_journal(self, journal: &Journal) -> Result<Session<'a, Claimed>, Refusal> {
        let appender = journal.append(&self.stage.lock)?;
        let cross_mounts = journal.header.walk.cross_mounts;
        Ok(self.claimed(appender, journal.path.clone(), cross_mounts))
    }

    fn claimed(
        self,
        appender: Appender,
        journal: PathBuf,
        cross_mounts: bool,
    ) -> Session<'a, Claimed> {
        self.with_stage(|Locked { lock }| Claimed {
            lock,
            journal,
            appender,
            cross_mounts,
        })
    }
}

impl<'a> Session<'a, Claimed> {
    /// Resumes the journal or rolls it back: `mark` says which.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn reopen_journal(mut self, mark: Mark) -> Result<Session<'a, Running<'a>>, Refusal> {
        let marked = self.stage.appender.mark(mark, 0);
        marked.map_err(|source| Refusal::journal(&self.stage.journal, source))?;
        Ok(self.run())
    }

    fn run(self) -> Session<'a, Running<'a>> {
        let run = RunState::new(self.control, &self.roots, self.stage.cross_mounts);
        self.with_stage(|claimed| Running {
            lock: claimed.lock,
            run,
            journal: claimed.journal,
            appender: claimed.appender,
            stats: Stats::default(),
            written: Ok(()),
        })
    }
}
