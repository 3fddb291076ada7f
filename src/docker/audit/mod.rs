//! What an operator should know before a data-root is migrated. Reads only; also on a live host.
//!
//! - [`readiness`]: what stands in the way
//! - [`containers`]: containers that will not work as they are
//! - [`store`]: the containerd image store, read
//! - [`strategies`]: by changing owners, or by a mount
//! - [`work`]: what a migration would have to do

pub mod containers;
pub mod readiness;
pub mod store;
pub mod strategies;
pub mod work;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::DockerError;
use super::bind_mounts::BindMount;
use super::container::{Container, obstacles};
use super::conversion::summary::ConversionSummary;
use super::create_user::NewUser;
use super::daemon_json::DaemonJson;
use super::daemon_start::DaemonStart;
use super::data_root::{ContainerFiles, DockerRoot, Holds, canonical, plain_names};
use super::idmapped::{IdmappedRoot, health, unit};
use super::image_store::ContainerdStore;
use super::inventory::volumes::VolumeElsewhere;
use super::inventory::{HostBinds, Inventory};
use super::path_rewriter::PathRewriter;
use super::rebase;
use super::remap::Remap;
use super::unfinished_run::unfinished_run;
use crate::engine::RunControl;
use crate::host::{Finding, Level};
use crate::journal::Store;
use crate::preflight::TransientBlocker;
use crate::preflight::accounts::LoginAccounts;
use containers::Troubled;
use strategies::Strategy;
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
    pub containers: Vec<Troubled>,
    /// Host bind mounts.
    pub bind_mounts: Vec<BindMount>,
    /// Volumes whose content is elsewhere, and what becomes of it.
    pub volumes_elsewhere: Vec<VolumeElsewhere>,
    /// An idmapped mount shows the data-root: its owners are not those on disk, and a migration refuses it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_idmapped: bool,
    /// Images and container files are where a migration can carry them.
    pub is_carried: bool,
    /// What becomes of the containerd image store.
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

/// How hard it looks.
#[derive(Clone, Copy, Debug)]
pub struct AuditOptions {
    /// Threads.
    pub jobs: usize,
    /// Layers of the containerd image store are not read.
    pub quick: bool,
}

/// The containers of a docker root; what is not dockerd's becomes a finding.
fn read_containers(
    root: &DockerRoot,
    findings: &mut Vec<Finding>,
) -> Result<Vec<(Container, ContainerFiles)>, DockerError> {
    let mut all = Vec::new();
    for files in root.container_files()? {
        match files.parse(root) {
            Ok(container) => all.push((container, files)),
            Err(error) => findings.push(Finding::error("container metadata", error.to_string())),
        }
    }
    Ok(all)
}

/// What a migration would have to do, and both strategies where the data-root is a plain one. What stands in the way of it
/// becomes findings.
fn plan_migration(
    (top, remap): (&Path, &Remap),
    is_plain: bool,
    host: strategies::Host<'_>,
    findings: &mut Vec<Finding>,
) -> (Option<Work>, Vec<Strategy>) {
    match work::look_through(top, remap, host.store, host.jobs, host.control) {
        Ok((work, would_refuse)) => {
            findings.extend(work::refused_now(&would_refuse));
            let in_the_way = work.findings();
            let why = in_the_way.iter().find(|it| it.level == Level::Error);
            let why = why.map(|it| format!("{}: {}", it.what, it.found));
            let strategies = match is_plain {
                true => strategies::both(top, remap, (&work, why), host).into(),
                false => Vec::new(),
            };
            findings.extend(in_the_way);
            (Some(work), strategies)
        }
        Err(error) => {
            let unfinished = unfinished_run(host.store, top).map(TransientBlocker::Unfinished);
            findings.extend(work::refused_now(unfinished.as_slice()));
            // What stands in the way of a plan stands in the way of a migration.
            if findings.iter().all(|f| f.level < Level::Error) {
                findings.push(Finding::error("plan", error.to_string()));
            }
            (None, Vec::new())
        }
    }
}

/// Looks at a data-root that is to be remapped.
///
/// # Errors
/// The data-root cannot be read at all.
pub fn audit(
    data_root: &Path,
    remap_to: &str,
    (start, daemon_json): (&DaemonStart, &DaemonJson),
    journals: &Store,
    options: AuditOptions,
    control: RunControl<'_>,
) -> Result<Audit, DockerError> {
    let top = canonical(data_root)?;
    let root = DockerRoot::at(&top);
    let resolved = Remap::resolve(remap_to);
    // What dockerd makes for itself when it is missing is planned with as if it were there.
    let new_user = match (&resolved, remap_to) {
        (Err(_), "default") => NewUser::plan().ok(),
        _ => None,
    };
    let mut findings = readiness::host(&resolved, new_user.as_ref(), daemon_json);
    findings.extend(readiness::command_line(start));
    let remap = resolved.ok().or(new_user.map(|new| new.remap));
    let idmapped = readiness::idmapped(&top);
    let is_idmapped = idmapped.is_some();
    findings.extend(idmapped);
    findings.extend(readiness::data_root(&root, remap.as_ref())?);
    if let Some(remap) = &remap {
        findings.extend(rebase::findings(&top, remap)?);
    }

    let all = read_containers(&root, &mut findings)?;
    let store = ContainerdStore::of(&root, &top, all.iter().map(|(container, _)| container))?;
    let with_config = all.iter().map(|(it, files)| (it, &files.config[..]));
    let store = store.conversion(&root, false, with_config);
    let mut is_carried = store.is_ok();
    let inner = remap.as_ref().map_or("remapped".into(), Remap::dir_name);
    let name = |id: &str| {
        let mut all = all.iter().map(|(container, _)| container);
        all.find(|it| it.id == id).map(|it| it.name.as_str())
    };
    let summary = store.as_ref().ok().and_then(Option::as_ref);
    let summary = summary.map(|it| ConversionSummary::of(it, (&top, &inner), name));
    let mut containerd_store = summary.transpose()?;
    let (converted, mut holds) = (store.as_ref().ok().and_then(Option::as_ref), root.holds()?);
    if let Some(it) = converted {
        holds.images += it.images.len();
        holds.layers += it.layers.len() + it.containers.len();
    }
    let converted: HashSet<String> = converted
        .map(|it| it.containers.keys().cloned().collect())
        .unwrap_or_default();
    if let (Ok(Some(conversion)), Some(summary)) = (&store, &mut containerd_store) {
        let place = store::Place {
            top: &top,
            range: &inner,
            daemon_json: (daemon_json, &start.config),
        };
        let checked = store::check(conversion, &place, summary, options.quick, control);
        is_carried &= checked.is_carried;
        findings.extend(checked.findings);
    }
    findings.extend(readiness::image_store(&root, store));
    let (_, stay) = plain_names(&top)?;
    // Without a range, any other place will do to tell what is in the data-root.
    let moved = PathRewriter::new(&top, &top.join(&inner), stay)?;
    let accounts = Some(LoginAccounts::of_host());
    let mut troubled = Vec::new();
    let reasons = obstacles(all.iter().map(|(container, _)| container));
    for ((container, files), why) in all.iter().zip(&reasons) {
        let why = why.as_deref();
        troubled.extend(containers::troubles(
            container,
            files,
            why,
            &root,
            remap.as_ref(),
            converted.contains(&container.id),
        ));
    }
    let each = all.iter().zip(&reasons).map(|((container, files), why)| {
        let is_host = container.userns_mode == "host" || why.is_some();
        (container, files, is_host)
    });
    let inventory = Inventory::for_migrate(
        &root,
        &moved,
        remap.as_ref(),
        each,
        HostBinds::LookedAt,
        accounts,
    )?;
    findings.extend(inventory.findings());
    if let Some(remap) = remap.as_ref().filter(|_| !top.join(&inner).is_symlink()) {
        let remapped = DockerRoot::at(top.join(&inner));
        findings.extend(of_remapped_root(&remapped, &top, remap)?);
    }
    let containerd = containerd_store.as_ref().map(|it| it.containerd.as_path());
    let running = all.into_iter().filter(|(container, _)| container.running);
    let running: Vec<String> = running.map(|(container, _)| container.name).collect();
    findings.extend(readiness::daemon(&top, containerd, &running));
    let idmapped_roots = IdmappedRoot::all(&top)?;
    for root in &idmapped_roots {
        if holds.is_unused() {
            holds = DockerRoot::at(root.content()).holds()?;
        }
        let is_service = start.is_service_on(&top);
        findings.extend(health::findings(root, remap.as_ref(), is_service)?);
    }
    let planned = remap.as_ref().map(|remap| {
        let host = strategies::Host {
            store: journals,
            jobs: options.jobs,
            control,
            units: unit::is_made(start, &top),
        };
        plan_migration(
            (&top, remap),
            idmapped_roots.is_empty(),
            host,
            &mut findings,
        )
    });
    let (work, strategies) = planned.unwrap_or_default();
    Ok(Audit {
        data_root: top,
        remap: remap.map(|remap| format!("{}, {}", remap.user, remap.map)),
        drivers: root.drivers()?,
        holds,
        work,
        idmapped_roots: idmapped_roots.into_iter().map(|root| root.range).collect(),
        strategies,
        findings,
        running,
        containers: troubled,
        bind_mounts: inventory.bind_mounts,
        volumes_elsewhere: inventory.volumes,
        is_idmapped,
        is_carried,
        containerd_store,
    })
}

/// What containers of a remapped daemon bind and `docker revert` would have to shift back.
fn of_remapped_root(
    root: &DockerRoot,
    top: &Path,
    remap: &Remap,
) -> Result<Option<Finding>, DockerError> {
    if root.holds()?.is_unused() {
        return Ok(None);
    }
    let moved = PathRewriter::new(&root.path, top, Vec::new())?;
    let mut sources = Vec::new();
    for files in root.container_files()? {
        sources.extend(files.bind_sources_if_remapped(root)?);
    }
    let inventory = Inventory::for_revert(&moved, remap, sources, false)?;
    Ok(inventory.shifted_finding(remap))
}
