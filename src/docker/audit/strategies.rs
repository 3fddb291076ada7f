//! The two strategies to get into the range, side by side: by changing owners, and by a mount.

use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::work::Work;
use crate::docker::DockerError;
use crate::docker::idmapped::exchanged_data::{ExchangedData, Reach, exchanged_data};
use crate::docker::idmapped::place;
use crate::docker::idmapped::unit::has_systemd;
use crate::docker::migration_plan::{MigrateRequest, Migration, PlanOptions};
use crate::docker::remap::Remap;
use crate::engine::{Refusal, Report, RunControl};
use crate::fs::escape::escaped;
use crate::idmap::Direction;
use crate::journal::Store;

/// What one strategy takes.
#[derive(Clone, Debug, Serialize)]
pub struct Strategy {
    /// The command, without the program's name.
    pub command: String,
    /// Why this host cannot; `None`: it can.
    pub refused: Option<String>,
    /// Seconds for which the daemon is stopped, an estimate.
    pub seconds: f64,
    /// Bytes of journal, an estimate.
    pub journal_bytes: u64,
    /// What a backup program sees.
    pub backups: String,
    /// What user and group quotas count.
    pub quotas: &'static str,
    /// How it is undone later.
    pub going_back: &'static str,
    /// What has to be there from now on.
    pub needs: String,
    /// What the mount shows with other owners than its users expect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exchanged: Vec<ExchangedData>,
}

/// Why this host cannot remap by a mount.
#[derive(Debug, Error)]
enum StrategyRefused {
    /// What is in the way of the plan.
    #[error(transparent)]
    Plan(#[from] DockerError),
    /// What is in the way of a run.
    #[error(transparent)]
    Run(#[from] Refusal),
    /// An inode cannot be changed.
    #[error("{}: {reason}", escaped(.path))]
    Inode { path: PathBuf, reason: String },
}

/// Seconds that the mount, and what is made for it, takes beside renames and rewrites (measured).
const SECONDS_OF_MOUNT: f64 = 0.1;

/// Renames and rewrites that come with the mount.
const STEPS_OF_MOUNT: u64 = 8;

/// How a strategy is tried on this host.
pub struct Host<'a> {
    /// Its journals.
    pub store: &'a Store,
    /// Threads.
    pub jobs: usize,
    /// How the run is limited.
    pub control: RunControl<'a>,
    /// As of [`MigrateRequest`].
    pub units: bool,
}

/// Both strategies; `work`: what changing owners takes, and why that is refused.
pub fn both(
    top: &Path,
    remap: &Remap,
    (work, refused): (&Work, Option<String>),
    host: Host<'_>,
) -> [Strategy; 2] {
    let reach = match work.may_have_range_ids {
        true => Reach::All,
        false => Reach::NotOfDocker,
    };
    let by_mount = try_mount(top, remap, reach, host);
    let range = remap.dir_name();
    // The daemon's own files.
    let (walked, changed) = match &by_mount {
        Ok((report, _)) => (report.elapsed.as_secs_f64(), report.stats.changed),
        Err(_) => (0.0, 0),
    };
    let (refused_mount, exchanged) = match by_mount {
        Ok((report, exchanged)) => (first_problem(&report), exchanged),
        Err(why) => (Some(why), Vec::new()),
    };
    let refused_mount = refused_mount.map(|why| why.to_string());
    let steps = work.steps + STEPS_OF_MOUNT;
    [
        Strategy {
            command: "docker migrate".into(),
            refused,
            seconds: work.seconds,
            journal_bytes: work.journal_bytes,
            backups: "the range's ids".into(),
            quotas: "the range's ids",
            going_back: "docker revert, as long as migrate",
            needs: "nothing".into(),
            exchanged: Vec::new(),
        },
        Strategy {
            command: "docker migrate --idmapped".into(),
            refused: refused_mount,
            seconds: SECONDS_OF_MOUNT
                + super::work::SECONDS_A_STEP * steps as f64
                + super::work::TIMES_A_DRY_RUN * walked,
            journal_bytes: 4096
                + super::work::JOURNAL_BYTES_A_STEP * steps
                + super::work::JOURNAL_BYTES * changed,
            backups: format!(
                "the range's ids in {range}, plain ids in {}",
                place(&range)[0]
            ),
            quotas: "plain ids, as before",
            going_back: "docker revert, reads all inodes, changes few",
            needs: match has_systemd() {
                true => "a mount: a unit that docker.service requires".into(),
                false => "idshift docker mount, before the daemon".into(),
            },
            exchanged,
        },
    ]
}

/// Works a remap by a mount out, as a dry run does; the error is why the host cannot.
fn try_mount(
    top: &Path,
    remap: &Remap,
    reach: Reach,
    host: Host<'_>,
) -> Result<(Report, Vec<ExchangedData>), StrategyRefused> {
    let options = PlanOptions {
        idmapped: true,
        jobs: host.jobs,
        ..PlanOptions::new(Direction::Into)
    };
    let request = MigrateRequest {
        units: host.units,
        ..MigrateRequest::new(top, options)
    };
    let migration = Migration::prepare(&request, remap, host.control)?;
    let report = migration.plan.dry_run(host.store, None, host.control)?;
    let exchanged = exchanged_data(top, &remap.map, reach, host.jobs, host.control)?;
    Ok((report, exchanged))
}

/// What cannot be changed of what the run would have to change.
fn first_problem(report: &Report) -> Option<StrategyRefused> {
    let first = report.stats.problems.first()?;
    Some(StrategyRefused::Inode {
        path: first.path.clone(),
        reason: first.reason.clone(),
    })
}
