//! The end of a run: with a mark in its journal when all went well, else by undoing it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::engine::context::RunState;
use crate::engine::refusal::Refusal;
use crate::engine::undo::undo_failed_run;
use crate::engine::{Ending, Phase, Problem, ProblemKind, Stats};
use crate::fs::Root;
use crate::journal::Mark;
use crate::journal::writer::Appender;

/// A run that has nothing more to do.
pub(super) struct RunEnd<'a> {
    pub run: &'a RunState<'a>,
    pub roots: &'a [Root],
    pub appender: Appender,
    pub stats: Stats,
    /// What kept the journal, or a filesystem, from being written.
    pub written: io::Result<()>,
    /// Threads, for undoing.
    pub jobs: usize,
}

impl RunEnd<'_> {
    /// Ends it. Gives the journal too, where it is of use.
    pub fn conclude(self, journal: PathBuf) -> (Option<PathBuf>, Stats, Ending) {
        let RunEnd {
            run,
            roots,
            mut appender,
            mut stats,
            written,
            jobs,
        } = self;
        let (gave_up, interrupted) = (run.has_given_up(), run.was_interrupted());
        // The header's frame alone announces nothing: nothing was changed, and nothing can be undone.
        let is_empty = appender.frames() <= 1;
        // What was announced and not begun needs no undoing, and is not said to have been done.
        let is_untouched = is_empty || stats.begun == 0;
        let marked = written.and_then(|()| match (gave_up || is_empty, interrupted) {
            (true, _) => Ok(()),
            (false, true) => appender.mark(Mark::Interrupted, 0),
            (false, false) => {
                run.control.monitor.phase(Phase::Syncing, None);
                run.filesystems.sync()?;
                appender.mark(Mark::Finished, stats.left())
            }
        });
        if let Err(error) = &marked {
            let problem = Problem {
                path: journal.clone(),
                kind: ProblemKind::Failed,
                reason: format!("the journal cannot be written: {error}"),
            };
            run.control.monitor.problem(&problem);
            stats.add_problem(problem);
        }
        // Room that is not given back is harmless: it reads as the journal's end.
        let (file, _) = appender.close();
        let failed = gave_up || marked.is_err();
        let ending = match (failed, interrupted) {
            (true, _) if is_untouched => Ending::RolledBack {
                why: std::mem::take(&mut stats.problems),
            },
            (true, _) => undo((run, roots), &mut stats, (&journal, file), jobs),
            (false, true) => Ending::Interrupted,
            (false, false) => Ending::Done,
        };
        let is_of_no_use = is_empty || failed && is_untouched;
        if is_of_no_use {
            let _ = std::fs::remove_file(&journal);
        }
        ((!is_of_no_use).then_some(journal), stats, ending)
    }
}

/// Undoes what a failed run did.
fn undo(
    run: (&RunState<'_>, &[Root]),
    stats: &mut Stats,
    (path, file): (&Path, File),
    jobs: usize,
) -> Ending {
    let why = std::mem::take(&mut stats.problems);
    match undo_failed_run(path, file, run, jobs) {
        Ok(undone) if undone.left() == 0 => Ending::RolledBack { why },
        Ok(undone) => {
            stats.problems = undone.problems;
            Ending::Stuck { why }
        }
        Err(error) => {
            stats.add_problem(Problem {
                path: path.to_path_buf(),
                kind: ProblemKind::Failed,
                reason: Refusal::from(error).to_string(),
            });
            Ending::Stuck { why }
        }
    }
}
