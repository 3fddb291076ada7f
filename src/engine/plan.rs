//! A change of a host that is worked out whole before it begins: owners by where an inode is, and
//! steps beside them.

use std::os::fd::AsFd;

use jiff::Timestamp;

use super::Report;
use super::context::WalkScope;
use super::control::RunControl;
use super::dry_run::{DryRun, ManifestOutput};
use super::hardlinks::OutsideLinks;
use super::listed_run::{ListedRun, check_no_outside_links};
use super::planned_steps::{OnListed, PlannedSteps};
use super::policy::Policy;
use super::refusal::Refusal;
use super::request::ShiftRequest;
use super::session::{Locked, Opened, Session};
use super::steps::precheck::StepPlaces;
use super::steps::rename_needs::RenameNeeds;
use crate::fs::Root;
use crate::guidance::Guidance;
use crate::journal::Store;
use crate::journal::run_lock::RunLock;
use crate::preflight::rename_flags::UntestedRename;
use crate::preflight::{PermanentBlocker, check_writable};

/// What is to be done.
pub struct Plan {
    /// The trees whose inodes change owners, the map, and how the run is limited.
    pub request: ShiftRequest,
    /// What each inode becomes.
    pub policy: Box<dyn Policy>,
    /// What is done besides.
    pub steps: PlannedSteps,
    /// The first tree is a user's, who is to have changed nothing since then.
    pub unchanged_since: Option<Timestamp>,
    /// The trees are only checked: a copy of them is changed, which has none of their flags and project ids.
    pub is_of_original: bool,
}

impl Plan {
    /// A plan that changes these trees themselves, none of which a user could enter.
    pub fn new(request: ShiftRequest, policy: Box<dyn Policy>, steps: PlannedSteps) -> Plan {
        Plan {
            request,
            policy,
            steps,
            unchanged_since: None,
            is_of_original: false,
        }
    }

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
        for path in &self.steps.roots {
            roots.push(Root::open_exactly(path)?);
        }
        self.request.check_mount_views(&roots)?;
        self.rename_needs(&roots).check_known()?;
        for root in &roots[self.request.paths.len()..] {
            check_writable(root.pin.as_fd(), &root.path).map_err(PermanentBlocker::from)?;
        }
        StepPlaces {
            steps: &self.steps.list,
            roots: &roots,
            trees: self.request.paths.len(),
            is_of_original: self.is_of_original,
        }
        .check()?;
        Ok(roots)
    }

    fn rename_needs<'r>(&'r self, roots: &'r [Root]) -> RenameNeeds<'r> {
        RenameNeeds {
            steps: &self.steps.list,
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
            policy: &*self.policy,
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
            steps: &self.steps.list,
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
        self.execute_made(&|| Ok(()), store, control)
    }

    /// Carries out a plan for which something was made, as [`Plan::execute`] does.
    ///
    /// # Errors
    /// As of [`Plan::execute`].
    pub fn execute_made(
        &self,
        on_listed: OnListed<'_>,
        store: &Store,
        control: RunControl<'_>,
    ) -> Result<Report, Refusal> {
        let request = &self.request;
        let session = self.open(control)?;
        let scope = self.scope(session.roots())?;
        let session = self.preflight(session, store)?;
        let mut header = request.header(session.roots(), true);
        header.steps_before = self.steps.early;
        header.unchanged_since = self.unchanged_since;
        let session = session.begin_journal(store, header)?;

        let listed = ListedRun {
            request,
            steps: &self.steps,
            on_listed,
            vanished: Guidance::RunAgain,
        };
        listed.carry_out(session, scope, control)
    }
}
