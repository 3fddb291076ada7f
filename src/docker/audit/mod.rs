//! What an operator should know before a data-root is migrated. Reads only; also on a live host.
//!
//! - [`readiness`]: what stands in the way
//! - [`remapped_roots`]: roots that are remapped already, and what earlier migrations left
//! - [`containers`]: containers that will not work as they are
//! - [`selinux`]: labels of the remapped root
//! - [`state`]: whose images, containers and volumes there are
//! - [`store`]: the containerd image store, read
//! - [`strategies`]: by changing owners, or by a mount
//! - `survey`: its phases
//! - [`work`]: what a migration would have to do

pub mod containers;
pub mod readiness;
pub mod remapped_roots;
mod selinux;
pub mod state;
pub mod store;
pub mod strategies;
mod survey;
pub mod work;

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DockerError;
use super::bind_mounts::BindMount;
use super::conversion::summary::ConversionSummary;
use super::daemon_json::DaemonJson;
use super::daemon_start::DaemonStart;
use super::data_root::{Holds, canonical};
use super::idmapped::unit;
use super::inventory::volumes::VolumeElsewhere;
use super::migration_plan::shifted_before;
use crate::engine::RunControl;
use crate::host::{Finding, Level};
use crate::journal::{Store, name};
use containers::IncompatibleContainer;
use state::RootState;
use strategies::Strategy;
use survey::Survey;
use work::Work;

/// The result of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    /// The data-root.
    #[serde(serialize_with = "name::serialize_path")]
    pub data_root: PathBuf,
    /// Whose images, containers and volumes there are.
    pub state: RootState,
    /// The user the ranges belong to, and the map; `None` where there is none yet.
    pub remap: Option<String>,
    /// Storage drivers with images.
    pub drivers: Vec<String>,
    /// Counts.
    #[serde(flatten)]
    pub holds: Holds,
    /// What a migration would have to do; `None` if it could not be planned.
    pub work: Option<Work>,
    /// `B.B` of roots that are remapped by a mount.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub idmapped_roots: Vec<String>,
    /// By changing owners and by a mount; none where there is nothing to be migrated.
    #[serde(rename = "ways")]
    pub strategies: Vec<Strategy>,
    /// Readiness.
    pub findings: Vec<Finding>,
    /// Names of containers that run.
    pub running: Vec<String>,
    /// Containers that will not start, or not work, remapped.
    pub containers: Vec<IncompatibleContainer>,
    /// Host bind mounts.
    pub bind_mounts: Vec<BindMount>,
    /// Volumes whose content is elsewhere, and what becomes of it.
    pub volumes_elsewhere: Vec<VolumeElsewhere>,
    /// An idmapped mount shows the data-root: its owners are not those on disk, and a migration refuses it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_idmapped: bool,
    /// Whether images and container files are in a store that can be migrated.
    pub is_carried: bool,
    /// What happens to the containerd image store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containerd_store: Option<ConversionSummary>,
}

impl Audit {
    /// The worst finding.
    pub fn verdict(&self) -> Level {
        let worst = self.findings.iter().map(|finding| finding.level).max();
        let people = !self.containers.is_empty()
            || !self.bind_mounts.is_empty()
            || !self.volumes_elsewhere.is_empty();
        let least = if people { Level::Warning } else { Level::Ok };
        worst.unwrap_or(Level::Ok).max(least)
    }
}

/// Options of an audit.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// Threads.
    pub jobs: usize,
    /// Layers of the containerd image store are not read.
    pub quick: bool,
}

/// Audits a data-root that is to be remapped.
///
/// # Errors
/// The data-root cannot be read at all.
pub fn audit(
    data_root: &Path,
    remap_to: &str,
    daemon: (&DaemonStart, &DaemonJson),
    journals: &Store,
    options: AuditOptions,
    control: RunControl<'_>,
) -> Result<Audit, DockerError> {
    let mut survey = Survey::of_host(canonical(data_root)?, remap_to, daemon)?;
    let containers = survey.containers()?;
    let store = survey.image_store(&containers, options.quick, control)?;
    let before = shifted_before(journals, &survey.top);
    let (inventory, incompatible) =
        survey.bind_mounts(&containers, &store.converted, &before, control)?;
    let running = survey.running(containers, store.summary.as_ref());
    let idmapped_roots = survey.idmapped_roots()?;
    let (state, holds) = state::state(
        &survey.top,
        store.holds,
        survey.remap.as_ref(),
        &idmapped_roots,
    )?;
    let host = strategies::Host {
        store: journals,
        jobs: options.jobs,
        control,
        units: unit::is_made(daemon.0, &survey.top),
    };
    let (work, strategies) = survey.plan(idmapped_roots.is_empty(), host);
    Ok(Audit {
        drivers: survey.root.drivers()?,
        data_root: survey.top,
        state,
        remap: survey
            .remap
            .map(|remap| format!("{}, {}", remap.user, remap.map)),
        holds,
        work,
        idmapped_roots: idmapped_roots.into_iter().map(|root| root.range).collect(),
        strategies,
        findings: survey.findings,
        running,
        containers: incompatible,
        bind_mounts: inventory.bind_mounts,
        volumes_elsewhere: inventory.volumes,
        is_idmapped: survey.is_idmapped,
        is_carried: store.is_carried,
        containerd_store: store.summary,
    })
}
