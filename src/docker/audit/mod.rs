//! What an operator should know before a data-root is migrated. Reads only; also on a live host.
//!
//! - [`readiness`]: what stands in the way
//! - [`containers`]: containers that will not work as they are
//! - [`bind_mounts`]: host directories and files that containers bind
//! - [`work`]: what a migration would have to do

pub mod bind_mounts;
pub mod containers;
pub mod readiness;
pub mod work;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DockerError;
use super::data_root::{DockerRoot, Holds};
use super::remap::Remap;
use crate::engine::{Monitor, Stop};
use crate::host::{Finding, Level};
use bind_mounts::BindMount;
use containers::Troubled;
use work::Work;

/// All that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The data-root.
    pub data_root: PathBuf,
    /// The user the ranges belong to, and the map; `None` where there is none yet.
    pub remap: Option<String>,
    /// Storage drivers with images.
    pub drivers: Vec<String>,
    /// Counts.
    #[serde(flatten)]
    pub holds: Holds,
    /// What a migration would have to do; `None` where it could not be worked out.
    pub work: Option<Work>,
    /// Readiness.
    pub findings: Vec<Finding>,
    /// Names of containers that run.
    pub running: Vec<String>,
    /// Containers that will not start, or not work, remapped.
    pub containers: Vec<Troubled>,
    /// Host bind mounts.
    pub bind_mounts: Vec<BindMount>,
    /// Volumes whose content is elsewhere: not shifted.
    pub mounted_volumes: Vec<String>,
}

impl Audit {
    /// The worst finding.
    pub fn verdict(&self) -> Level {
        let worst = self.findings.iter().map(|finding| finding.level).max();
        let people = !self.containers.is_empty() || !self.bind_mounts.is_empty();
        let least = if people { Level::Warning } else { Level::Ok };
        worst.unwrap_or(Level::Ok).max(least)
    }
}

/// Looks at a data-root that is to be remapped.
///
/// # Errors
/// The data-root cannot be read at all.
pub fn audit(
    data_root: &Path,
    remap_to: &str,
    jobs: usize,
    monitor: &dyn Monitor,
    stop: &Stop,
) -> Result<Audit, DockerError> {
    let top = std::fs::canonicalize(data_root).map_err(DockerError::io(data_root))?;
    let root = DockerRoot::at(&top);
    let remap = Remap::resolve(remap_to);
    let mut findings = readiness::host(&remap);
    findings.extend(readiness::data_root(&root, remap.as_ref().ok())?);

    let (mut troubled, mut bind_mounts, mut running) = (Vec::new(), Vec::new(), Vec::new());
    for files in root.container_files()? {
        let container = match files.parse(&root) {
            Ok(container) => container,
            Err(error) => {
                findings.push(Finding::error("container metadata", error.to_string()));
                continue;
            }
        };
        troubled.extend(containers::troubles(&container, &files));
        bind_mounts.extend(bind_mounts::of(
            &root,
            &container,
            &files,
            remap.as_ref().ok(),
        )?);
        if container.running {
            running.push(container.name);
        }
    }
    let daemon = readiness::daemon(&top, &running);
    findings.extend(daemon);
    let mut work = None;
    if let Ok(remap) = &remap {
        match work::look_through(&top, remap, jobs, monitor, stop) {
            Ok(found) => {
                findings.extend(found.finding());
                work = Some(found);
            }
            // What stands in the way of a plan stands in the way of a migration.
            Err(reason) if findings.iter().all(|f| f.level < Level::Error) => {
                findings.push(Finding::error("plan", reason));
            }
            Err(_) => {}
        }
    }
    let volumes = root.volumes()?;
    let mounted = volumes.into_iter().filter(|volume| volume.mounts.is_some());
    Ok(Audit {
        data_root: top,
        remap: remap
            .ok()
            .map(|remap| format!("{}, {}", remap.user, remap.map)),
        drivers: root.drivers()?,
        holds: root.holds()?,
        work,
        findings,
        running,
        containers: troubled,
        bind_mounts,
        mounted_volumes: mounted.map(|volume| volume.name).collect(),
    })
}
