//! A move of a store, either way: refused, shown, asked about, done, and told.

use std::path::Path;

use super::refused;
use crate::cli::args::PodmanMoveArgs;
use crate::cli::commands::copied;
use crate::cli::commands::shift::{is_manifest_to_stdout, open_manifest, print_report};
use crate::cli::confirm::{self, Answer};
use crate::cli::effort::Limits;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::json::Invocation;
use crate::cli::output::progress::Terminal;
use crate::cli::output::summary::SummaryKind;
use crate::cli::output::tell_sentences;
use crate::cli::output::text::printable;
use crate::docker::rootless::copied_move::CopiedError;
use crate::docker::unfinished_run::unfinished_run;
use crate::engine::{Plan, Refusal, Report, RunControl};
use crate::journal::Store;
use crate::podman::PodmanError;
use crate::preflight::TransientBlocker;

/// What a run left that was cut short is told first.
pub(super) struct CutShort<'a> {
    /// Where the store is.
    pub now: &'a Path,
    /// Of a copy that was being made.
    pub of_copy: &'a dyn Fn() -> Option<Refusal>,
}

impl CutShort<'_> {
    /// Makes the plan.
    pub fn prepared<T>(
        &self,
        args: &PodmanMoveArgs,
        call: &mut Invocation,
        prepare: impl FnOnce() -> Result<T, PodmanError>,
    ) -> Result<T, Failure> {
        call.is_of(&[self.now.to_path_buf()]);
        is_manifest_to_stdout(args.manifest.as_deref(), &args.output)?;
        let store = Store::at(&args.store.journal_dir);
        prepare().map_err(|error| self.first(&store, error))
    }

    /// That, or else what is in the way.
    pub fn first(&self, store: &Store, error: PodmanError) -> Failure {
        self.told(store).unwrap_or_else(|| refused(error))
    }

    fn told(&self, store: &Store) -> Option<Failure> {
        let run = unfinished_run(store, self.now).map(Refusal::from);
        run.or_else(self.of_copy).map(Failure::from)
    }
}

/// What keeps a move from being done now.
pub(super) struct Blockers {
    /// It hides what would be done, too.
    pub mounted: Option<TransientBlocker>,
    pub others: Vec<TransientBlocker>,
}

impl Blockers {
    /// Whose run is in the way is told first; of who uses the store, Podman's own words say more.
    pub fn refuse(&mut self, cut_short: &CutShort<'_>, store: &Store) -> Result<(), Failure> {
        let mut all = self.mounted.take().into_iter().chain(self.others.drain(..));
        match all.next() {
            None => Ok(()),
            Some(first) => Err(cut_short
                .told(store)
                .unwrap_or_else(|| Refusal::from(first).into())),
        }
    }
}

type Done = Result<Report, CopiedError<PodmanError>>;

/// A plan, and what is said of it.
pub(super) struct Move<'a> {
    pub plan: Plan<'a>,
    pub blockers: Blockers,
    /// What is about to be done.
    pub question: &'a [String],
    /// Does it.
    pub execute: &'a dyn Fn(&Store, RunControl<'_>) -> Done,
    /// What a person should know afterwards.
    pub notes: &'a dyn Fn(&Report) -> Vec<String>,
}

impl Move<'_> {
    /// Carries it out, or shows it.
    pub fn carry_out(
        mut self,
        (args, cut_short): (&PodmanMoveArgs, &CutShort<'_>),
        limits: &Limits,
        call: &mut Invocation,
    ) -> Result<Exit, Failure> {
        let to_stdout = is_manifest_to_stdout(args.manifest.as_deref(), &args.output)?;
        let store = Store::at(&args.store.journal_dir);
        let monitor = Terminal::new(args.output.quiet);
        let control = limits.control(&monitor);
        let (report, of) = match args.dry_run {
            true => (self.dry_run(args, &store, control)?, SummaryKind::DryRun),
            false => {
                self.blockers.refuse(cut_short, &store)?;
                if confirm::is_asked(&args.confirm, &args.output) {
                    // Whoever is asked is not refused afterwards.
                    drop(self.plan.lock(&store, control)?);
                    match monitor.suspend(|| confirm::ask(self.question, &limits.cancel)) {
                        Answer::Yes => {}
                        Answer::No => return Err(confirm::declined()),
                        Answer::Interrupted => return Ok(confirm::interrupted()),
                    }
                }
                let report = (self.execute)(&store, control);
                monitor.clear();
                match report {
                    Ok(report) => (report, SummaryKind::Shift),
                    Err(CopiedError::InTheWay(error)) => return Err(refused(error)),
                    Err(CopiedError::Refusal(refusal)) => return Err(refusal.into()),
                    Err(CopiedError::Interrupted) => return Ok(copied::interrupted(call)),
                }
            }
        };
        monitor.clear();
        let manifest = args.manifest.as_deref();
        print_report(call, &report, of, &args.output, to_stdout, manifest);
        if !args.output.quiet {
            for note in (self.notes)(&report) {
                tell_sentences!("{}", printable(&note));
            }
        }
        Ok(Exit::from(&report))
    }

    fn dry_run(
        &mut self,
        args: &PodmanMoveArgs,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Report, Failure> {
        // What would change cannot be told, so there is nothing to show.
        if let Some(mounted) = self.blockers.mounted.take() {
            return Err(Refusal::from(mounted).into());
        }
        let manifest = args.manifest.as_deref().map(open_manifest).transpose()?;
        let mut report = self.plan.dry_run(store, manifest, control)?;
        report.would_refuse.append(&mut self.blockers.others);
        Ok(report)
    }
}
