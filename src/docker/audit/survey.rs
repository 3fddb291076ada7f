//! The phases of an audit. What each finds is told in this order.

mod image_store;

use std::collections::HashSet;
use std::path::PathBuf;

use super::containers::{self, IncompatibleContainer};
use super::remapped_roots::revert_findings;
use super::strategies::{self, Strategy};
use super::work::{self, Work};
use super::{readiness, selinux};
use crate::docker::DockerError;
use crate::docker::container::{Container, obstacles};
use crate::docker::conversion::summary::ConversionSummary;
use crate::docker::create_user::NewUser;
use crate::docker::daemon_json::DaemonJson;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::data_root::{ContainerFiles, DockerRoot, plain_names};
use crate::docker::existing_roots::ExistingRoot;
use crate::docker::idmapped::{IdmappedRoot, health};
use crate::docker::inventory::{HostBinds, Inventory};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::rebase;
use crate::docker::remap::{Remap, user_of};
use crate::docker::rootless::recognise;
use crate::engine::RunControl;
use crate::host::{Finding, Level};
use crate::idmap::{Direction, IdMap};
use crate::preflight::TransientBlocker;
use crate::preflight::accounts::LoginAccounts;
use crate::store_move::unfinished_run::unfinished_run;

/// A data-root, and what was found of it so far.
pub struct Survey<'a> {
    /// The data-root, without symlinks.
    pub top: PathBuf,
    /// The plain docker root.
    pub root: DockerRoot,
    /// The user and the map, also of a user that dockerd would make for itself.
    pub remap: Option<Remap>,
    /// An idmapped mount shows the data-root.
    pub is_idmapped: bool,
    /// What was found.
    pub findings: Vec<Finding>,
    /// What is in layers of the containerd image store and cannot be shifted.
    cannot_shift: Option<Finding>,
    /// What a daemon has mounted in the data-root.
    mounted: Option<Finding>,
    start: &'a DaemonStart,
}

impl<'a> Survey<'a> {
    /// Looks at the host, the daemon's configuration and the directory.
    pub fn of_host(
        top: PathBuf,
        remap_to: &str,
        (start, daemon_json): (&'a DaemonStart, &'a DaemonJson),
    ) -> Result<Survey<'a>, DockerError> {
        recognise::check_is_none(&top)?;
        let root = DockerRoot::at(&top);
        let resolved = Remap::resolve_for(remap_to, &top, Direction::Into);
        let existing = match &resolved {
            Ok(_) => Vec::new(),
            Err(_) => ExistingRoot::all(&top).unwrap_or_default(),
        };
        // What dockerd makes for itself when it is missing is planned with as if it were there.
        let new_user = match (&resolved, remap_to) {
            (Err(_), "default") if existing.is_empty() => {
                NewUser::plan().ok().filter(|new| !new.missing().is_empty())
            }
            _ => None,
        };
        let options = start.image_options()?;
        let switches = (daemon_json, &options);
        let mut findings = readiness::host(&resolved, new_user.as_ref(), switches);
        findings.extend(readiness::command_line(start));
        // A remapped root is looked at with the ranges that it was made for.
        let of_existing = match &existing[..] {
            [root] => root.remap(user_of(remap_to)),
            _ => None,
        };
        let remap = resolved.ok().or(new_user.map(|new| new.remap));
        let remap = remap.or(of_existing);
        let idmapped = readiness::idmapped(&top);
        let is_idmapped = idmapped.is_some();
        findings.extend(idmapped);
        findings.extend(readiness::data_root(&root, remap.as_ref())?);
        findings.extend(selinux::labels(&top, remap.as_ref()));
        if let Some(remap) = &remap {
            findings.extend(rebase::findings(&top, remap)?);
        }
        Ok(Survey {
            top,
            root,
            remap,
            is_idmapped,
            findings,
            cannot_shift: None,
            mounted: None,
            start,
        })
    }

    /// Name of the remapped root in the data-root. Without a range, any other place will do to tell what is in the
    /// data-root.
    fn range_dir(&self) -> String {
        self.remap
            .as_ref()
            .map_or("remapped".into(), Remap::dir_name)
    }

    /// The containers; what is not dockerd's becomes a finding.
    pub fn containers(&mut self) -> Result<Vec<(Container, ContainerFiles)>, DockerError> {
        let mut all = Vec::new();
        for files in self.root.container_files()? {
            match files.parse(&self.root) {
                Ok(container) => all.push((container, files)),
                Err(error) => self
                    .findings
                    .push(Finding::error("container metadata", error.to_string())),
            }
        }
        // Directories of containers are named by random ids.
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        Ok(all)
    }

    /// What containers bind, in the plain root and in a remapped one (`before`: what earlier migrations shifted), and the containers that will not work as they are.
    pub fn bind_mounts(
        &mut self,
        all: &[(Container, ContainerFiles)],
        converted: &HashSet<String>,
        before: &[(PathBuf, IdMap)],
        control: RunControl<'_>,
    ) -> Result<(Inventory, Vec<IncompatibleContainer>), DockerError> {
        let (root, top, remap) = (&self.root, &self.top, self.remap.as_ref());
        let remapped = top.join(self.range_dir());
        let (_, stay) = plain_names(top)?;
        let moved = PathRewriter::new(top, &remapped, stay)?;
        let accounts = Some(LoginAccounts::of_host());
        let mut incompatible = Vec::new();
        let reasons = obstacles(all.iter().map(|(container, _)| container));
        for ((container, files), why) in all.iter().zip(&reasons) {
            let is_converted = converted.contains(&container.id);
            let why = why.as_deref();
            incompatible.extend(containers::incompatibilities(
                container,
                files,
                why,
                root,
                remap,
                is_converted,
            ));
        }
        let each = all.iter().zip(&reasons).map(|((container, files), why)| {
            let is_host = container.userns_mode == "host" || why.is_some();
            (container, files, is_host)
        });
        let inventory = Inventory::for_migrate(
            root,
            &moved,
            remap,
            each,
            HostBinds::LookedAt,
            accounts,
            control,
        )?;
        self.findings.extend(inventory.findings());
        self.mounted = inventory.mounted_by_daemon();
        if let Some(remap) = remap.filter(|_| !remapped.is_symlink()) {
            let root = DockerRoot::at(remapped);
            self.findings
                .extend(revert_findings(&root, (top, remap), before, control)?);
        }
        Ok((inventory, incompatible))
    }

    /// Whether a daemon and its containers run; the names of those.
    pub fn running(
        &mut self,
        all: Vec<(Container, ContainerFiles)>,
        store: Option<&ConversionSummary>,
    ) -> Vec<String> {
        let running = all.into_iter().filter(|(container, _)| container.running);
        let running: Vec<String> = running.map(|(container, _)| container.name).collect();
        let containerd = store.map(|it| it.containerd.as_path());
        let mounted = self.mounted.take();
        self.findings
            .extend(readiness::daemon(&self.top, containerd, &running, mounted));
        running
    }

    /// Roots that are remapped by a mount.
    pub fn idmapped_roots(&mut self) -> Result<Vec<IdmappedRoot>, DockerError> {
        let roots = IdmappedRoot::all(&self.top)?;
        for root in &roots {
            let is_service = self.start.is_service_on(&self.top);
            self.findings
                .extend(health::findings(root, self.remap.as_ref(), is_service)?);
        }
        Ok(roots)
    }

    /// What a migration would have to do, and both strategies if the data-root is a plain one.
    /// Obstacles become findings.
    pub fn plan(
        &mut self,
        is_plain: bool,
        host: strategies::Host<'_>,
    ) -> (Option<Work>, Vec<Strategy>) {
        let Some(remap) = &self.remap else {
            return (None, Vec::new());
        };
        match work::look_through(&self.top, remap, host.store, host.jobs, host.control) {
            Ok((work, would_refuse)) => {
                self.findings.extend(work::refused_now(&would_refuse));
                let mut in_the_way = work.findings();
                in_the_way.extend(self.cannot_shift.take());
                let why = in_the_way.iter().find(|it| it.level == Level::Error);
                let why = why.map(|it| format!("{}: {}", it.what, it.found));
                let strategies = match is_plain {
                    true => strategies::both(&self.top, remap, (&work, why), host).into(),
                    false => Vec::new(),
                };
                self.findings.extend(in_the_way);
                (Some(work), strategies)
            }
            Err(error) => {
                let unfinished = unfinished_run(host.store, &self.top);
                let unfinished = unfinished.map(TransientBlocker::Unfinished);
                self.findings
                    .extend(work::refused_now(unfinished.as_slice()));
                // What stands in the way of a plan stands in the way of a migration.
                if self.findings.iter().all(|f| f.level < Level::Error) {
                    self.findings
                        .push(Finding::error("plan", error.to_string()));
                }
                (None, Vec::new())
            }
        }
    }
}
