//! A run that writes all of its changes into the journal before the first one: that of a plan, and a shift of which ids do
//! not tell what is shifted. An inode that is met twice, because it was renamed meanwhile, is changed once.

use std::io;

use super::context::{WalkContext, WalkScope};
use super::control::RunControl;
use super::deferred_links::verify::walk_and_verify;
use super::execute::Execution;
use super::planned_steps::{OnListed, PlannedSteps};
use super::refusal::Refusal;
use super::replay::FailurePolicy;
use super::request::ShiftRequest;
use super::session::{Running, Session};
use super::sinks::list::ListSink;
use super::steps::Steps;
use super::visitor::ShiftVisitor;
use super::walk_again::record_vanished;
use super::{Ending, Phase, Report};
use crate::guidance::Guidance;
use crate::journal::Mark;

/// What is listed, and then carried out.
pub(super) struct ListedRun<'a> {
    /// The trees, the map, and how the run is limited.
    pub request: &'a ShiftRequest,
    /// Steps beside the changes of owners, in order.
    pub steps: &'a PlannedSteps,
    /// Done once all of it is in the journal, and before the journal says so.
    pub on_listed: OnListed<'a>,
    /// What helps where names went away while the trees were read.
    pub vanished: Guidance<'a>,
}

impl ListedRun<'_> {
    /// Lists everything. If an inode cannot be shifted and the request does not say `keep_going`, nothing is changed. Then
    /// the journal is carried out.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed. What goes wrong later is in the report.
    pub fn carry_out(
        &self,
        session: Session<'_, Running<'_>>,
        scope: WalkScope<'_>,
        control: RunControl<'_>,
    ) -> Result<Report, Refusal> {
        control.monitor.phase(Phase::Listing, None);
        let (mut session, written, outside) = self.journal_changes(session, scope);
        let interrupted = session.was_interrupted();
        let mut found = std::mem::take(session.stats());
        let stands = found.left() > 0 && !self.request.walk.keep_going;
        let nothing = found.changed == 0 && self.steps.list.is_empty();
        let outside = match stands || interrupted {
            true => Ok(()),
            false => outside,
        };
        if stands || interrupted || nothing || outside.is_err() || written.is_err() {
            let path = session.journal().to_path_buf();
            let why = std::mem::take(&mut found.problems);
            let ending = match (interrupted, stands) {
                (true, _) => Ending::Interrupted,
                (false, true) => Ending::RolledBack { why },
                (false, false) => Ending::Done,
            };
            let report = session.unchanged(ending, found);
            outside?;
            written.map_err(|source| Refusal::journal(&path, source))?;
            return Ok(report);
        }
        let (mut session, journal) = session.read_journal()?;
        if let Some(step) = Steps::of(&journal).first_changed() {
            session.discard();
            return Err(Refusal::NotThisOne {
                path: step.path,
                reason: format!(
                    "{}. It was changed since the run was planned; run the command again",
                    step.reason
                ),
            });
        }
        session.execute(&Execution {
            journal: &journal,
            accept_partial: false,
            give_up: match self.request.walk.keep_going {
                true => FailurePolicy::Never,
                false => FailurePolicy::OnConflict,
            },
            jobs: self.request.jobs,
        });
        // The inodes that stay as they are were met while the journal was written.
        let seen = found.seen;
        session.stats().add(found.without_changes());
        session.stats().seen = seen;
        Ok(session.finish(self.request.jobs))
    }

    /// Writes all changes into the journal. Returns whether that succeeded, and whether hard links
    /// outside the trees are in the way.
    fn journal_changes<'s>(
        &self,
        session: Session<'s, Running<'s>>,
        scope: WalkScope<'_>,
    ) -> (
        Session<'s, Running<'s>>,
        io::Result<()>,
        Result<(), Refusal>,
    ) {
        let jobs = self.request.jobs;
        let (mut outside, mut whole) = (Ok(()), false);
        let mut session = session.write_journal(|run, trees, writer| {
            let walk = WalkContext::new(run, trees, scope);
            let visitor = || ShiftVisitor::new(&walk, ListSink::new(writer));
            let mut stats = walk_and_verify(&walk, trees, jobs, visitor);
            // Nothing is changed yet: it can be begun again.
            if stats.vanished > 0 && !run.is_cut_short() {
                let vanished = stats.vanished;
                record_vanished(run, trees, vanished, self.vanished, &mut stats);
            }
            outside = check_no_outside_links(&walk);
            whole = !run.is_cut_short() && (stats.left() == 0 || walk.scope.options.keep_going);
            if whole {
                self.steps.journal(writer);
            }
            stats
        });
        let mut written = session.take_written();
        if written.is_ok() && whole {
            written = (self.on_listed)();
        }
        if written.is_ok() && whole {
            written = session.append(|appender| appender.mark(Mark::Listed, 0));
        }
        (session, written, outside)
    }
}

/// Refuses hard links outside the trees, unless the request allows them.
pub(super) fn check_no_outside_links(walk: &WalkContext<'_>) -> Result<(), Refusal> {
    let all = walk.links.linked_outside();
    let Some(first) = all.first() else {
        return Ok(());
    };
    Err(Refusal::OutsideLinks {
        path: walk.path(&first.dir, &first.name),
        names: first.names,
        more: match all.len() {
            1 => String::new(),
            n => format!(" (and {} more such files)", n - 1),
        },
        command: walk.scope.command,
    })
}
