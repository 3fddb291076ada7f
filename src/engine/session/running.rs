//! What a run may do that has a journal, and how it ends.

use std::cell::Cell;
use std::io;
use std::path::Path;

use super::conclude::RunEnd;
use super::{Running, Session};
use crate::engine::context::{RunState, WalkScope};
use crate::engine::execute::{Execution, execute};
use crate::engine::refusal::Refusal;
use crate::engine::replay::{Replayed, Unreadable};
use crate::engine::undo::{RollbackOptions, Undo};
use crate::engine::walk_again::shift_until_no_name_vanishes;
use crate::engine::{Ending, Phase, Report, Stats};
use crate::fs::Root;
use crate::journal::Journal;
use crate::journal::writer::{Appender, Writer};

impl Session<'_, Running<'_>> {
    /// The journal file.
    pub fn journal(&self) -> &Path {
        &self.stage.journal
    }

    /// Adds frames to the journal.
    pub fn append<T>(&mut self, work: impl FnOnce(&mut Appender) -> T) -> T {
        work(&mut self.stage.appender)
    }

    /// What was counted so far.
    pub fn stats(&mut self) -> &mut Stats {
        &mut self.stage.stats
    }

    /// Whether nothing has ended the run so far, and nobody asked.
    pub fn goes_on(&self) -> bool {
        self.stage.written.is_ok() && !self.stage.run.is_cut_short()
    }

    /// Whether it was stopped before it had visited everything.
    pub fn was_interrupted(&self) -> bool {
        self.stage.run.was_interrupted()
    }

    /// The error that stopped the journal, for a caller that ends the run without `finish`.
    pub fn take_written(&mut self) -> io::Result<()> {
        std::mem::replace(&mut self.stage.written, Ok(()))
    }

    /// Runs `work` with the thread that writes the journal, and adds its counts.
    pub fn write_journal(
        mut self,
        work: impl FnOnce(&RunState<'_>, &[Root], &Writer) -> Stats,
    ) -> Self {
        let writer = Writer::start(self.stage.appender);
        let stats = work(&self.stage.run, &self.roots[..self.trees], &writer);
        let (appender, written) = writer.close();
        self.stage.appender = appender;
        self.stage.stats.add(stats);
        self.stage.written = written;
        self
    }

    /// Walks the trees. Each change is journalled first, then made.
    pub fn shift_trees(self, scope: WalkScope<'_>, jobs: usize) -> Self {
        self.control.monitor.phase(Phase::Shifting, None);
        self.write_journal(|run, trees, writer| {
            shift_until_no_name_vanishes(run, trees, scope, jobs, writer)
        })
    }

    /// Carries out the changes of the journal.
    pub fn execute(&mut self, execution: &Execution<'_>) {
        let stage = &mut self.stage;
        let (stats, written) = execute(&stage.run, &self.roots, execution, &mut stage.appender);
        stage.stats.add(stats);
        stage.written = written;
    }

    /// Undoes the changes of the journal, and marks that in it.
    ///
    /// # Errors
    /// The journal cannot be read any more: what was done before that is in the error, and the journal says that it
    /// is being undone.
    pub fn undo(
        &mut self,
        journal: &Journal,
        options: RollbackOptions,
    ) -> Result<Replayed, Unreadable> {
        let appender = &mut self.stage.appender;
        let undo = Undo {
            journal,
            options,
            roots: None,
            control: self.control,
            filesystems: &self.stage.run.filesystems,
            taken_back: Cell::new(None),
        };
        undo.run_and_mark(|mark, stats| {
            // One that is left may be half done where the run did not come to its end.
            let conflicts = match journal.may_be_half_done() {
                true => 0,
                false => stats.conflicts,
            };
            appender.mark_with_conflicts(mark, stats.left(), conflicts)
        })
    }

    /// Reads the journal of a run that has changed nothing so far.
    ///
    /// # Errors
    /// It cannot be read; it is removed, as nothing was done under it.
    pub fn read_journal(self) -> Result<(Self, Journal), Refusal> {
        match Journal::open(self.journal()) {
            Ok(journal) => Ok((self, journal)),
            Err(error) => {
                self.discard();
                Err(error.into())
            }
        }
    }

    /// Ends a run that changed nothing: its journal is removed.
    pub fn discard(self) {
        let _ = std::fs::remove_file(&self.stage.journal);
    }

    /// Ends a run that changed nothing, and returns its report.
    pub fn unchanged(self, ending: Ending, stats: Stats) -> Report {
        let report = self.report(ending, stats.without_changes());
        self.discard();
        report
    }

    /// Ends a rollback.
    pub fn close(self, ending: Ending, stats: Stats) -> Report {
        let report = self.report(ending, stats);
        // Room that is not given back is harmless: it reads as the journal's end.
        let _ = self.stage.appender.close();
        report
    }

    /// Ends a run: with a mark in the journal when all went well, else by undoing it.
    pub fn finish(self, jobs: usize) -> Report {
        let Running {
            lock: _lock,
            run,
            journal,
            appender,
            stats,
            written,
        } = self.stage;
        let end = RunEnd {
            run: &run,
            roots: &self.roots,
            appender,
            stats,
            written,
            jobs,
        };
        let (journal, stats, ending) = end.conclude(journal);
        Report {
            journal,
            ..Report::new(self.start, ending, stats)
        }
    }
}
