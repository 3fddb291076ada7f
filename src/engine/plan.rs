//! A change of a host that is worked out whole before it begins: owners by where an inode is, and
//! steps beside them.

mod outside_links;

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use jiff::Timestamp;

use self::outside_links::check_no_outside_links;
use super::context::{WalkContext, WalkScope};
use super::control::RunControl;
use super::deferred_links::verify::walk_and_verify;
use super::dry_run::{DryRun, ManifestOutput};
use super::execute::Execution;
use super::hardlinks::OutsideLinks;
use super::policy::Policy;
use super::refusal::Refusal;
use super::replay::FailurePolicy;
use super::request::ShiftRequest;
use super::session::{Locked, Opened, Running, Session};
use super::sinks::list::ListSink;
use super::steps::Steps;
use super::steps::precheck::StepPlaces;
use super::steps::rename_needs::RenameNeeds;
use super::visitor::ShiftVisitor;
use super::walk_again::record_vanished;
use super::{Ending, Phase, Report};
use crate::fs::Root;
use crate::guidance::Guidance;
use crate::journal::record::{NameCounts, Record};
use crate::journal::run_lock::RunLock;
use crate::journal::writer::Writer;
use crate::journal::{Mark, Step, Store};
use crate::preflight::rename_flags::UntestedRename;
use crate::preflight::{PermanentBlocker, check_writable};

/// What is to be done.
pub struct Plan<'a> {
    /// The trees whose inodes change owners, the map, and how the run is limited. Roots of steps
    /// are counted on from its paths.
    pub request: ShiftRequest,
    /// Directories in which only steps are taken. The trees come first in the numbering of roots.
    pub step_roots: Vec<PathBuf>,
    /// What each inode becomes.
    pub policy: &'a dyn Policy,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How many of them are taken before any owner is changed.
    pub steps_before: usize,
    /// Done once all of it is in the journal, and before the journal says so: nothing is changed before that, and from
    /// then on the journal knows what to do about what was made for the plan.
    pub on_listed: Option<&'a dyn Fn() -> io::Result<()>>,
    /// The first tree is a user's, who is to have changed nothing since then.
    pub unchanged_since: Option<Timestamp>,
    /// The trees are only checked: a copy of them is changed, which has none of their flags and project ids.
    pub is_of_original: bool,
}

impl Plan<'_> {
    /// Opens the roots. The paths of a plan have no symlinks: one that is there now was put there
    /// to have another tree changed.
    fn open_roots(&self) -> Result<Vec<Root>, Refusal> {
        let mut roots = match self.policy.maps_owners() {
            true => self.request.open_roots()?,
            false => self.request.open_trees()?,
        };
        for (root, path) in roots.iter().zip(&self.request.paths) {
            root.check_exactly(path)?;
        }
        for path in &self.step_roots {
            roots.push(Root::open_exactly(path)?);
        }
        self.request.check_mount_views(&roots)?;
        self.rename_needs(&roots).check_known()?;
        for root in &roots[self.request.paths.len()..] {
            check_writable(root.pin.as_fd(), &root.path).map_err(PermanentBlocker::from)?;
        }
        let steps = &self.steps;
        StepPlaces {
            steps,
            roots: &roots,
            trees: self.request.paths.len(),
            is_of_original: self.is_of_original,
        }
        .check()?;
        Ok(roots)
    }

    fn rename_needs<'r>(&'r self, roots: &'r [Root]) -> RenameNeeds<'r> {
        RenameNeeds {
            steps: &self.steps,
            roots,
            trees: self.request.paths.len(),
        }
    }

    /// The filesystems of which only a run can tell whether they support the renames of the steps:
    /// it tests that before its first change.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn untested_renames(&self) -> Result<Vec<UntestedRename>, Refusal> {
        let roots = self.open_roots()?;
        Ok(self.rename_needs(&roots).check_known()?)
    }

    /// All checks before the first change. The last one tests renames, under the lock.
    fn preflight<'s>(
        &self,
        session: Session<'s, Opened>,
        store: &Store,
    ) -> Result<Session<'s, Locked>, Refusal> {
        let session = session.preflight(&self.request, store)?;
        self.rename_needs(session.roots()).check_tried()?;
        session.copy_up_step_roots()
    }

    fn open<'s>(&self, control: RunControl<'s>) -> Result<Session<'s, Opened>, Refusal> {
        let trees = self.request.paths.len();
        Session::open(control, || Ok((self.open_roots()?, trees)))
    }

    fn scope(&self, roots: &[Root]) -> Result<WalkScope<'_>, Refusal> {
        Ok(WalkScope {
            policy: self.policy,
            // All that stands in the way is to be told at once.
            carry_on: true,
            outside_links: match self.request.walk.outside_links {
                true => OutsideLinks::Allowed,
                false => OutsideLinks::Refused,
            },
            ..self.request.scope(roots)?
        })
    }

    /// Says what would be done; changes nothing.
    ///
    /// # Errors
    /// [`Refusal`]; also when the manifest cannot be written.
    pub fn dry_run(
        &self,
        store: &Store,
        manifest: ManifestOutput<'_>,
        control: RunControl<'_>,
    ) -> Result<Report, Refusal> {
        let roots = self.open_roots()?;
        let scope = self.scope(&roots)?;
        let would_refuse = self.request.would_refuse(&roots, store, control.monitor)?;
        let dry_run = DryRun {
            request: &self.request,
            roots: &roots,
            trees: self.request.paths.len(),
            scope,
            steps: &self.steps,
            would_refuse: &would_refuse,
        };
        let (report, outside) = dry_run.run(manifest, control, check_no_outside_links)?;
        outside?;
        Ok(Report {
            would_refuse,
            ..report
        })
    }

    /// Makes all checks before the first change, and locks the trees as long as the result lives.
    /// For work that has to be done before [`Plan::execute`].
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn lock(&self, store: &Store, control: RunControl<'_>) -> Result<RunLock, Refusal> {
        Ok(self.preflight(self.open(control)?, store)?.into_lock())
    }

    /// Carries out the plan. First all of it is written into the journal. If an inode cannot be
    /// shifted and the request does not say `keep_going`, nothing is changed. Then the journal is
    /// carried out.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed. What goes wrong later is in the report.
    pub fn execute(&self, store: &Store, control: RunControl<'_>) -> Result<Report, Refusal> {
        let request = &self.request;
        let session = self.open(control)?;
        let scope = self.scope(session.roots())?;
        let session = self.preflight(session, store)?;
        let mut header = request.header(session.roots(), true);
        header.steps_before = self.steps_before;
        header.unchanged_since = self.unchanged_since;
        let session = session.begin_journal(store, header)?;

        control.monitor.phase(Phase::Listing, None);
        let (mut session, written, outside) = self.journal_changes(session, scope);
        let interrupted = session.was_interrupted();
        let mut found = std::mem::take(session.stats());
        let stands = found.left() > 0 && !request.walk.keep_going;
        let nothing = found.changed == 0 && self.steps.is_empty();
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
            give_up: match request.walk.keep_going {
                true => FailurePolicy::Never,
                false => FailurePolicy::OnConflict,
            },
            jobs: request.jobs,
        });
        // The inodes that stay as they are were met while the journal was written.
        let seen = found.seen;
        session.stats().add(found.without_changes());
        session.stats().seen = seen;
        Ok(session.finish(request.jobs))
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
                record_vanished(run, trees, vanished, Guidance::RunAgain, &mut stats);
            }
            outside = check_no_outside_links(&walk);
            whole = !run.is_cut_short() && (stats.left() == 0 || walk.scope.options.keep_going);
            if whole {
                self.journal_steps(writer);
            }
            stats
        });
        let mut written = session.take_written();
        if let Some(on_listed) = self.on_listed.filter(|_| written.is_ok() && whole) {
            written = on_listed();
        }
        if written.is_ok() && whole {
            written = session.append(|appender| appender.mark(Mark::Listed, 0));
        }
        (session, written, outside)
    }

    /// Hands in the steps; whether they could be written, [`Writer::close`] says.
    fn journal_steps(&self, writer: &Writer) {
        // A frame is read whole into memory.
        const FRAME: usize = 1 << 20;
        let mut lines = Vec::new();
        let mut named = NameCounts::default();
        for (n, step) in self.steps.iter().enumerate() {
            named.steps += 1;
            lines.extend_from_slice(&Record::Step(Box::new(step.clone())).to_bytes());
            if lines.len() >= FRAME || n + 1 == self.steps.len() {
                drop(writer.commit(std::mem::take(&mut lines), std::mem::take(&mut named)));
            }
        }
    }
}
