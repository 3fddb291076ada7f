//! A change of a host that is worked out whole before it begins: owners by where an inode is, and
//! steps beside them.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::execute::execute;
use super::hardlinks::verify::walk_and_verify;
use super::hardlinks::{HardLinkTable, OutsideLinks};
use super::replay::FailurePolicy;
use super::request::ShiftRequest;
use super::shift::{Dry, conclude, dry_walk};
use super::sink::ListSink;
use super::steps::Steps;
use super::visitor::{RunContext, ShiftVisitor};
use super::{Ending, Monitor, Phase, Policy, Refusal, Report, Stats, Stop};
use crate::fs::Root;
use crate::journal::manifest::ManifestWriter;
use crate::journal::record::{NameCounts, Record};
use crate::journal::run_lock::RunLock;
use crate::journal::writer::{Appender, Writer};
use crate::journal::{Journal, Mark, Step, Store};
use crate::preflight::Lasting;
use crate::preflight::rename_flags::{self, Needs, Untold};

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
    /// So many of them are taken before any owner is changed.
    pub steps_before: usize,
}

impl Plan<'_> {
    /// A plan's paths have no symlinks: one that has come there since is somebody's who wants
    /// another tree to be changed.
    fn open_roots(&self) -> Result<Vec<Root>, Refusal> {
        let mut roots = self.request.open_roots()?;
        for (root, path) in roots.iter().zip(&self.request.paths) {
            root.check_exactly(path)?;
        }
        for path in &self.step_roots {
            roots.push(Root::open_exactly(path)?);
        }
        self.request.check_mount_views(&roots)?;
        self.renames_untold(&roots)?;
        Ok(roots)
    }

    /// What the steps in each root need of its filesystem.
    fn rename_needs<'r>(
        &'r self,
        roots: &'r [Root],
    ) -> impl Iterator<Item = (&'r Root, Needs, bool)> {
        let all = roots.iter().enumerate().map(|(n, root)| {
            let needs = steps_need(&self.steps, n);
            (root, needs, n < self.request.paths.len())
        });
        all.filter(|(_, needs, _)| *needs != Needs::default())
    }

    /// Refuses a filesystem that is known not to rename as the steps need it. Gives those of which only a run can
    /// tell.
    fn renames_untold(&self, roots: &[Root]) -> Result<Vec<Untold>, Lasting> {
        let mut untold = Vec::new();
        for (root, needs, is_tree) in self.rename_needs(roots) {
            let fd = root.pin.as_fd();
            untold.extend(rename_flags::check_known(fd, &root.path, needs, is_tree)?);
        }
        Ok(untold)
    }

    /// The filesystems of which only a run can tell whether they rename as the steps need it: it tries before its
    /// first change.
    ///
    /// # Errors
    /// [`Refusal`]
    pub fn untold_renames(&self) -> Result<Vec<Untold>, Refusal> {
        let roots = self.open_roots()?;
        Ok(self.renames_untold(&roots)?)
    }

    /// All checks before the first change; the last of them tries what only a try tells, under the lock.
    fn clear_to_change(
        &self,
        roots: &[Root],
        store: &Store,
        monitor: &dyn Monitor,
    ) -> Result<RunLock, Refusal> {
        let lock = self.request.clear_to_change(roots, store, monitor)?;
        for (root, needs, is_tree) in self.rename_needs(roots) {
            rename_flags::check_tried(root.pin.as_fd(), &root.path, needs, is_tree)
                .map_err(Lasting::from)?;
        }
        Ok(lock)
    }

    fn run<'r>(
        &'r self,
        roots: &'r [Root],
        monitor: &'r dyn Monitor,
        stop: &'r Stop,
    ) -> Result<RunContext<'r>, Refusal> {
        let request = &self.request;
        let (map, direction) = (&request.map, request.direction);
        let mut run = RunContext::new(roots, map, direction, &request.walk, monitor, stop);
        run.policy = self.policy;
        run.accounts = request.accounts();
        run.exclude = request.excludes(roots)?;
        if !request.walk.outside_links {
            run.links = HardLinkTable::new(OutsideLinks::Refused);
        }
        Ok(run)
    }

    /// Says what would be done; changes nothing.
    ///
    /// # Errors
    /// [`Refusal`]; also when the manifest cannot be written.
    pub fn dry_run(
        &self,
        store: &Store,
        manifest: Option<(ManifestWriter, &Path)>,
        monitor: &dyn Monitor,
        stop: &Stop,
    ) -> Result<Report, Refusal> {
        let roots = self.open_roots()?;
        let mut run = self.run(&roots, monitor, stop)?;
        let would_refuse = self.request.would_refuse(&roots, store, monitor)?;
        let dry = Dry {
            request: &self.request,
            trees: self.request.paths.len(),
            steps: &self.steps,
        };
        let report = dry_walk(&mut run, &dry, manifest)?;
        match outside_links(&run) {
            Some(refusal) => Err(refusal),
            None => Ok(Report {
                would_refuse,
                ..report
            }),
        }
    }

    /// Checks all that must hold before anything is changed, and holds the trees as long as the
    /// result lives: for what has to be done before [`Plan::execute`] can be asked for.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed.
    pub fn lock(&self, store: &Store, monitor: &dyn Monitor) -> Result<RunLock, Refusal> {
        let roots = self.open_roots()?;
        self.clear_to_change(&roots, store, monitor)
    }

    /// Does it. First all of it goes into the journal, and when any inode cannot be shifted and
    /// the request does not say `keep_going`, nothing is changed; then the journal is carried out.
    ///
    /// # Errors
    /// [`Refusal`]: nothing was changed. What goes wrong later is in the report.
    pub fn execute(
        &self,
        store: &Store,
        monitor: &dyn Monitor,
        stop: &Stop,
    ) -> Result<Report, Refusal> {
        let start = Instant::now();
        let request = &self.request;
        let roots = self.open_roots()?;
        let trees = &roots[..request.paths.len()];
        let mut run = self.run(&roots, monitor, stop)?;
        let _lock = self.clear_to_change(&roots, store, monitor)?;
        let mut header = request.header(&roots, true);
        header.format = header.format.max(steps_format(&self.steps));
        header.steps_before = self.steps_before;
        let (appender, path) = store.create(header)?;

        // All that stands in the way is to be told at once.
        run.carry_on = true;
        monitor.phase(Phase::Listing, None);
        let (appender, mut found, written) =
            self.journal_changes(&run, trees, appender, request.jobs);
        run.carry_on = request.walk.keep_going;
        let interrupted = run.interrupted.load(Ordering::Relaxed);
        let stands = found.left() > 0 && !request.walk.keep_going;
        let nothing = found.changed == 0 && self.steps.is_empty();
        let outside = match stands || interrupted {
            true => None,
            false => outside_links(&run),
        };
        if stands || interrupted || nothing || outside.is_some() || written.is_err() {
            // Nothing was done under it.
            let _ = std::fs::remove_file(&path);
            if let Some(refusal) = outside {
                return Err(refusal);
            }
            written.map_err(|source| Refusal::journal(&path, source))?;
            let why = std::mem::take(&mut found.problems);
            found.changed = 0;
            found.owners.clear();
            found.kinds.clear();
            return Ok(Report {
                journal: None,
                ending: match (interrupted, stands) {
                    (true, _) => Ending::Interrupted,
                    (false, true) => Ending::RolledBack { why },
                    (false, false) => Ending::Done,
                },
                stats: found,
                elapsed: start.elapsed(),
                would_refuse: Vec::new(),
            });
        }
        let journal = Journal::open(&path)?;
        if let Some(step) = Steps::of(&journal).first_changed() {
            let _ = std::fs::remove_file(&path);
            return Err(Refusal::NotThisOne {
                path: step.path,
                reason: format!(
                    "{}. It was changed since the run was planned; run the command again",
                    step.reason
                ),
            });
        }
        let give_up = match request.walk.keep_going {
            true => FailurePolicy::Never,
            false => FailurePolicy::OnConflict,
        };
        let mut walked = execute(&run, &journal, appender, false, give_up, request.jobs)?;
        // The inodes that stay as they are were met while the journal was written.
        found.changed = 0;
        found.owners.clear();
        found.kinds.clear();
        let seen = found.seen;
        walked.stats.add(found);
        walked.stats.seen = seen;
        Ok(conclude(&run, walked, path, request.jobs, start))
    }

    /// Puts everything that is to be done into the journal.
    fn journal_changes(
        &self,
        run: &RunContext<'_>,
        trees: &[Root],
        appender: Appender,
        jobs: usize,
    ) -> (Appender, Stats, std::io::Result<()>) {
        let writer = Writer::start(appender, Arc::new(AtomicU64::new(0)));
        let visitor = || ShiftVisitor::new(run, ListSink::new(&writer));
        let stats = walk_and_verify(run, trees, jobs, visitor);
        let whole = !run.is_cut_short() && (stats.left() == 0 || run.walk.keep_going);
        if whole {
            self.journal_steps(&writer);
        }
        let (mut appender, mut written) = writer.close();
        if written.is_ok() && whole {
            written = appender.mark(Mark::Listed, 0);
        }
        (appender, stats, written)
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

/// What the steps in one root need of its filesystem, to be taken and to be undone.
fn steps_need(steps: &[Step], root: usize) -> Needs {
    let mut needs = Needs::default();
    let here = |step: &&Step| step.places().iter().any(|place| place.root == root);
    for step in steps.iter().filter(here) {
        match step {
            Step::Block { .. } | Step::Unblock { .. } => {
                needs = Needs {
                    exchange: true,
                    no_replace: true,
                };
            }
            Step::Rename { .. } | Step::Create { .. } | Step::Remove { .. } => {
                needs.no_replace = true;
            }
            _ => {}
        }
    }
    needs
}

/// The earliest format that has all these steps.
pub(super) fn steps_format(steps: &[Step]) -> u32 {
    steps.iter().map(Step::format).max().unwrap_or(1)
}

/// Names outside the trees, where the request minds them.
fn outside_links(run: &RunContext<'_>) -> Option<Refusal> {
    let all = run.links.linked_outside();
    let first = all.first()?;
    Some(Refusal::OutsideLinks {
        path: run.path(&first.dir, &first.name),
        names: first.names,
        more: match all.len() {
            1 => String::new(),
            n => format!(" (and {} more such files)", n - 1),
        },
    })
}
