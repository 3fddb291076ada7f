//! What a migration would have to do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::docker::guidance;
use crate::docker::migrate::MigrateError;
use crate::docker::migration_plan::{MigrateRequest, Migration, PlanOptions};
use crate::docker::remap::Remap;
use crate::engine::{ProblemKind, Refusal, RunControl};
use crate::fs::escape::escaped;
use crate::host::Finding;
use crate::idmap::Direction;
use crate::journal::Store;
use crate::preflight::TransientBlocker;

/// What a migration would have to do.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    /// Inodes looked at.
    pub inodes: u64,
    /// Inodes that would get another owner.
    pub to_shift: u64,
    /// Renames and rewrites of files.
    pub steps: u64,
    /// Estimate of the journal's size.
    pub journal_bytes: u64,
    /// Estimate of the time it takes, seconds.
    pub seconds: f64,
    /// Layers and volumes with ids outside the range, or with other trouble, and how many inodes of
    /// each; of the first thousand.
    pub troubles: Vec<(String, u64)>,
    /// Layers and volumes with immutable and append-only inodes, and how many of each.
    pub protected: Vec<(String, u64)>,
    /// A file that has names outside the data-root, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_links: Option<String>,
    /// Filesystems of which only a run can tell whether names can be exchanged there, in words.
    #[serde(rename = "untold_renames", skip_serializing_if = "Vec::is_empty")]
    pub untested_renames: Vec<String>,
    /// Layers or volumes may have inodes with ids of the range.
    #[serde(skip)]
    pub may_have_range_ids: bool,
}

/// Bytes of journal an inode, measured on a Debian root filesystem's layers.
pub(super) const JOURNAL_BYTES: u64 = 8;

/// How much longer than a dry run a migration takes, measured likewise.
pub(super) const TIMES_A_DRY_RUN: f64 = 4.0;

/// Bytes of journal, and seconds, of a rename or a rewrite: measured on 10,000 containers.
pub(super) const JOURNAL_BYTES_A_STEP: u64 = 200;
pub(super) const SECONDS_A_STEP: f64 = 0.000_35;

/// Works the migration out, as a dry run does. Gives also what would keep it from starting now.
///
/// # Errors
/// Why it would be refused at any time.
pub fn look_through(
    top: &Path,
    remap: &Remap,
    store: &Store,
    jobs: usize,
    control: RunControl<'_>,
) -> Result<(Work, Vec<TransientBlocker>), MigrateError> {
    let options = PlanOptions {
        jobs,
        keep_going: true,
        ..PlanOptions::new(Direction::Into)
    };
    let dry_run = |options: PlanOptions| -> Result<_, MigrateError> {
        let migration = Migration::prepare(&MigrateRequest::new(top, options), remap, control)?;
        let plan = &migration.plan;
        let untested = plan.untested_renames().unwrap_or_default();
        Ok((plan.dry_run(store, None, control)?, untested))
    };
    let ((report, untested), outside_links) = match dry_run(options) {
        Err(MigrateError::Refusal(refusal @ Refusal::OutsideLinks { .. })) => {
            let with_links = PlanOptions {
                allow_outside_links: true,
                ..options
            };
            (dry_run(with_links)?, Some(refusal.to_string()))
        }
        result => (result?, None),
    };
    let of_kind = |is_wanted: &dyn Fn(ProblemKind) -> bool| {
        let mut areas: BTreeMap<String, u64> = BTreeMap::new();
        let problems = report.stats.problems.iter();
        for problem in problems.filter(|problem| is_wanted(problem.kind)) {
            let below = problem.path.strip_prefix(top).unwrap_or(&problem.path);
            // `overlay2/LAYER`, `volumes/NAME`
            let area: PathBuf = below.components().take(2).collect();
            *areas.entry(escaped(&area).to_string()).or_default() += 1;
        }
        areas.into_iter().collect()
    };
    let work = Work {
        inodes: report.stats.seen,
        to_shift: report.stats.changed,
        steps: report.stats.steps,
        journal_bytes: 4096
            + JOURNAL_BYTES * report.stats.changed
            + JOURNAL_BYTES_A_STEP * report.stats.steps,
        seconds: report.elapsed.as_secs_f64() * TIMES_A_DRY_RUN
            + SECONDS_A_STEP * report.stats.steps as f64,
        troubles: of_kind(&|kind| kind != ProblemKind::Protected),
        protected: of_kind(&|kind| kind == ProblemKind::Protected),
        outside_links,
        untested_renames: untested.iter().map(ToString::to_string).collect(),
        // To the plan each id in them is one of a container: one of the range is outside the map, and is left as it is.
        may_have_range_ids: report.stats.left() > 0 || remap.map.sides_overlap().is_some(),
    };
    Ok((work, report.would_refuse))
}

/// What keeps a migration from starting now, beside the daemon: of that, [`super::readiness::daemon`] tells more.
pub fn refused_now(would_refuse: &[TransientBlocker]) -> Vec<Finding> {
    let not_of_daemon = would_refuse.iter().filter_map(|one| {
        let what = match one {
            TransientBlocker::InUse(..)
            | TransientBlocker::ServiceRuns(..)
            | TransientBlocker::UseUnknown { .. } => return None,
            // Asked of what a user has, which is not audited.
            TransientBlocker::OwnerRuns { .. } | TransientBlocker::FilesInFlight { .. } => {
                return None;
            }
            // Of Podman's.
            TransientBlocker::Store { .. } => return None,
            // The audit itself does with what it can read.
            TransientBlocker::NotRoot { .. } => return None,
            // The inventory tells of it.
            TransientBlocker::Mounted { .. } => return None,
            TransientBlocker::Held(_) => "another run",
            TransientBlocker::Unfinished(_) => "unfinished run",
        };
        Some(Finding::error(what, one.to_string()))
    });
    not_of_daemon.collect()
}

impl Work {
    /// What of it stands in the way.
    pub fn findings(&self) -> Vec<Finding> {
        let links = self.outside_links.iter();
        let mut findings: Vec<Finding> = links
            .map(|text| Finding::error("hard links", text.clone()))
            .collect();
        let untested = self.untested_renames.iter();
        findings.extend(untested.map(|text| Finding::warning("renames", text.clone())));
        let area = |(area, count): &(String, u64)| format!("{area} ({count})");
        if !self.protected.is_empty() {
            let areas: Vec<String> = self.protected.iter().map(area).collect();
            let found = Finding::error("immutable inodes", areas.join(", "));
            findings.push(found.remedy(guidance::CLEAR_FLAGS));
        }
        if !self.troubles.is_empty() {
            let areas: Vec<String> = self.troubles.iter().map(area).collect();
            let found = Finding::error("inodes that cannot be shifted", areas.join(", "));
            findings.push(found.remedy(guidance::EXPLAIN_PROBLEMS));
        }
        findings
    }
}
