//! A move of a whole store, to a user or back: refused, shown, asked about, done, and told.
//!
//! - [`bind_note`]: what becomes of host directories that containers bind
//! - [`copy_notes`]: what is told of a copy
//! - [`trust_note`]: what no check can tell of what a user made

pub mod bind_note;
pub mod copy_notes;
pub mod trust_note;

use std::path::Path;

use crate::cli::announce::rollback_latest;
use crate::cli::args::{ExecutionArgs, MigrationArgs, PodmanMoveArgs, PreviewArgs};
use crate::cli::confirm::{self, ask_before};
use crate::cli::exit::{Exit, Failure};
use crate::cli::limits::{Limits, interrupted};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tense::Tense;
use crate::cli::run_output::RunOutput;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;
use crate::store_move::copy::PlannedCopy;
use crate::store_move::execute::ExecuteError;
use crate::store_move::planned_move::Blockers;
use crate::store_move::unfinished_run::unfinished_run;

/// What both engines' commands have in common.
pub struct MoveArgs<'a> {
    preview: &'a PreviewArgs,
    execution: &'a ExecutionArgs,
}

impl<'a> From<&'a PodmanMoveArgs> for MoveArgs<'a> {
    fn from(args: &'a PodmanMoveArgs) -> MoveArgs<'a> {
        MoveArgs {
            preview: &args.preview,
            execution: &args.execution,
        }
    }
}

impl<'a> From<&'a MigrationArgs> for MoveArgs<'a> {
    fn from(args: &'a MigrationArgs) -> MoveArgs<'a> {
        MoveArgs {
            preview: &args.preview,
            execution: &args.execution,
        }
    }
}

impl MoveArgs<'_> {
    /// The command that undoes the run.
    pub fn undo(&self) -> String {
        rollback_latest(&self.execution.store.journal_dir)
    }

    /// That of its notes.
    pub fn tense(&self) -> Tense {
        Tense::of(self.preview.dry_run)
    }

    fn output(&self) -> Result<RunOutput<'_>, Failure> {
        RunOutput::with_manifest(&self.execution.output, self.preview.manifest.as_deref())
    }

    fn store(&self) -> Store {
        Store::at(&self.execution.store.journal_dir)
    }
}

/// What a run left that was cut short is told first.
pub struct CutShort<'a> {
    /// Where the store is.
    pub now: &'a Path,
    /// Of a copy that was being made.
    pub of_copy: &'a dyn Fn(&Store) -> Option<Refusal>,
}

impl CutShort<'_> {
    /// Makes the plan.
    ///
    /// # Errors
    /// What `prepare` is refused for, or the run that was cut short.
    pub fn prepared<T, E: ToString>(
        &self,
        args: &MoveArgs<'_>,
        invocation: &mut Invocation,
        prepare: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Failure> {
        invocation.set_roots(&[self.now.to_path_buf()]);
        args.output()?;
        let store = args.store();
        prepare().map_err(|error| self.first(&store, error))
    }

    /// That, or else what is in the way.
    fn first(&self, store: &Store, error: impl ToString) -> Failure {
        self.told(store).unwrap_or_else(|| Failure::refused(error))
    }

    fn told(&self, store: &Store) -> Option<Failure> {
        let run = unfinished_run(store, self.now).map(Refusal::from);
        run.or_else(|| (self.of_copy)(store)).map(Failure::from)
    }
}

/// Carries out a move, with the copy that is asked for.
pub type Execute<'a, E> =
    dyn Fn(Option<&PlannedCopy>, &Store, RunControl<'_>) -> Result<Report, ExecuteError<E>> + 'a;

/// A plan, and what is said of it.
pub struct MoveCommand<'a, E> {
    /// The plan.
    pub plan: &'a Plan,
    /// What keeps it from being done now.
    pub blockers: Blockers,
    /// The copy that is asked for.
    pub copy: &'a dyn Fn() -> Result<Option<PlannedCopy>, E>,
    /// What is about to be done.
    pub question: &'a dyn Fn(Option<&PlannedCopy>) -> Vec<String>,
    /// Does it.
    pub execute: &'a Execute<'a, E>,
    /// What a person should know afterwards.
    pub notes: &'a dyn Fn(&Report) -> Vec<String>,
    /// A note that comes last.
    pub last_note: Option<String>,
}

impl<E: ToString> MoveCommand<'_, E> {
    /// Carries it out, or shows it.
    ///
    /// # Errors
    /// It is refused.
    pub fn carry_out(
        mut self,
        (args, cut_short): (&MoveArgs<'_>, &CutShort<'_>),
        limits: &Limits,
        invocation: &mut Invocation,
    ) -> Result<Exit, Failure> {
        let output = args.output()?;
        let store = args.store();
        let monitor = Terminal::new(args.execution.output.quiet);
        let control = limits.control(&monitor);
        self.refuse(args.preview.dry_run, cut_short, &store, control)?;
        let copy = (self.copy)().map_err(|error| cut_short.first(&store, error))?;
        let copy = copy.as_ref();
        let (report, kind) = match args.preview.dry_run {
            true => (self.dry_run(output, &store, control)?, SummaryKind::DryRun),
            false => {
                let lines = || {
                    drop(self.plan.lock(&store, control)?);
                    Ok((self.question)(copy))
                };
                let asked = ask_before(args.execution, limits, &monitor, invocation, lines);
                if let Some(exit) = asked? {
                    return Ok(exit);
                }
                let report = (self.execute)(copy, &store, control);
                monitor.clear();
                match report {
                    Ok(report) => (report, SummaryKind::Shift),
                    Err(error) => return not_executed(error, invocation),
                }
            }
        };
        monitor.clear();
        output.print(invocation, &report, kind);
        output.tell((self.notes)(&report));
        if let Some(copy) = copy {
            output.tell(copy_notes::notes(copy, &report, args.tense()));
        }
        output.tell(self.last_note);
        Ok(Exit::from(&report))
    }

    /// A dry run shows what time cures, unless that hides what would be done.
    fn refuse(
        &mut self,
        dry_run: bool,
        cut_short: &CutShort<'_>,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<(), Failure> {
        if let Some(hiding) = self.blockers.hiding.take() {
            // Of who uses the store, the engine's own words say more.
            let told = cut_short.told(store).filter(|_| !dry_run);
            return Err(told.unwrap_or_else(|| Refusal::from(hiding).into()));
        }
        if dry_run || self.blockers.others.is_empty() {
            return Ok(());
        }
        if let Some(told) = cut_short.told(store) {
            return Err(told);
        }
        // Whoever uses what is carried is told before others.
        drop(self.plan.lock(store, control)?);
        let first = self.blockers.others.swap_remove(0);
        Err(Refusal::from(first).into())
    }

    fn dry_run(
        &mut self,
        output: RunOutput<'_>,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Report, Failure> {
        let manifest = output.open_manifest()?;
        let mut report = self.plan.dry_run(store, manifest, control)?;
        report.would_refuse.append(&mut self.blockers.others);
        Ok(report)
    }
}

/// Tells why there is no report.
///
/// # Errors
/// It was refused, or the operator did not confirm.
pub fn not_executed<E: ToString>(
    error: ExecuteError<E>,
    invocation: &Invocation,
) -> Result<Exit, Failure> {
    match error {
        ExecuteError::InTheWay(error) => Err(Failure::refused(error)),
        ExecuteError::Refusal(refusal) => Err(refusal.into()),
        ExecuteError::Declined => Err(confirm::declined()),
        ExecuteError::Interrupted { copy } => Ok(interrupted(invocation, copy)),
    }
}
