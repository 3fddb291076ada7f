//! The plan that carries a data-root into a range or out of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::container::{
    Container, obstacles, rewrite_config, rewrite_hostconfig, set_userns_host, with_graph_driver,
};
use super::conversion::check::{Checked, check_conversion, unpacked};
use super::conversion::plan::{Conversion, is_containerd};
use super::conversion::staging::{Staging, staging_name};
use super::conversion::summary::ConversionSummary;
use super::copy::check_room;
use super::daemon_json;
use super::data_root::{
    ContainerFiles, DockerRoot, INTERRUPTED, MOVING, canonical, is_remapped_name, names, not_json,
    plain_names,
};
use super::idmapped::layout::{ContentStays, GiveBack};
use super::idmapped::{self, IdmappedRoot, health, permanent};
use super::image_store::{self, ContainerdStore};
use super::inventory::{HostBinds, Inventory};
use super::layout::Layout;
use super::path_rewriter::PathRewriter;
use super::remap::Remap;
use super::steps::{GUARDED, StepList, times};
use crate::engine::{Cancel, Plan, Policy, ShiftRequest};
use crate::fs::space::Amount;
use crate::idmap::Direction;
use crate::journal::record::{RunKind, WalkOptions};
use crate::journal::root_line::RootLine;
use crate::journal::step::StepPath;
use crate::journal::{Journal, Step, Store};
use crate::oci::digest::Digest;
use crate::preflight::accounts::LoginAccounts;

/// What is asked.
#[derive(Clone, Debug)]
pub struct MigrateRequest {
    /// The data-root.
    pub data_root: PathBuf,
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Into the range by a mount: no owner is changed.
    pub idmapped: bool,
    /// The unit that mounts it at boot is made or removed, as docker.service runs on this data-root.
    pub units: bool,
    /// A copy of the plain root is asked for.
    pub copies: bool,
    /// Name in the data-root of a copy of the plain root, which is carried instead of it.
    pub copy: Option<String>,
    /// What was made for a conversion of the containerd image store ([`Migration::make_staging`]).
    pub staging: Option<Staging>,
    /// The containerd image store is to stay as it is.
    pub keeps_store: bool,
    /// The ids that images get which a conversion makes for containers whose own are gone, by the containers' ids.
    pub gone_images: BTreeMap<String, Digest>,
    /// Threads.
    pub jobs: usize,
    /// What cannot be shifted is left.
    pub keep_going: bool,
    /// Containers that cannot run remapped are marked to run with the host's user namespace.
    pub set_userns_host: bool,
    /// Host directories that containers bind go along, where that is safe.
    pub bind_mounts: bool,
    /// Also those that login accounts of this host work with.
    pub allow_home: bool,
    /// Out of the range: host directories that went into it with this data-root.
    pub shifted_before: Vec<PathBuf>,
    /// The flag of what is immutable or append-only is cleared while it is changed, and put back.
    pub clear_flags: bool,
    /// Files with names outside the data-root change too, for whoever uses those.
    pub allow_outside_links: bool,
    /// `daemon.json` is to say so too: the file, and the value of `userns-remap`.
    pub daemon_json: Option<(PathBuf, String)>,
}

impl MigrateRequest {
    /// Without any option.
    pub fn plain(data_root: &Path, direction: Direction) -> MigrateRequest {
        MigrateRequest {
            data_root: data_root.to_path_buf(),
            direction,
            idmapped: false,
            units: false,
            copies: false,
            copy: None,
            staging: None,
            keeps_store: false,
            gone_images: BTreeMap::new(),
            jobs: 1,
            keep_going: false,
            set_userns_host: false,
            bind_mounts: false,
            allow_home: false,
            shifted_before: Vec::new(),
            clear_flags: false,
            allow_outside_links: false,
            daemon_json: None,
        }
    }

    /// Adds the steps that make `daemon.json` say so too. `trees`: so many roots come before those of steps.
    pub(super) fn write_daemon_json(
        &self,
        trees: usize,
        step_roots: &mut Vec<PathBuf>,
        steps: &mut StepList<'_>,
    ) -> Result<(), DockerError> {
        let Some((path, value)) = &self.daemon_json else {
            return Ok(());
        };
        let value = (self.direction == Direction::Into).then_some(&value[..]);
        let number = trees + step_roots.len();
        let (root, step) = daemon_json::step(path, value, number)?;
        if !step.is_empty() {
            let dir = StepPath::new(number, [""; 0]);
            steps.late.push(times(dir, &root)?);
            step_roots.push(root);
            // A daemon that is started early must not find the option without the data.
            steps.late.extend(step);
        }
        Ok(())
    }

    /// For the engine.
    fn shift(&self, remap: &Remap, trees: Vec<PathBuf>) -> ShiftRequest {
        ShiftRequest {
            paths: trees,
            map: remap.map.clone(),
            direction: self.direction,
            jobs: self.jobs,
            walk: WalkOptions {
                keep_going: self.keep_going,
                outside_links: self.allow_outside_links,
                clear_flags: self.clear_flags,
                ..WalkOptions::default()
            },
            allow_in_use: false,
            allow_system_path: true,
            allow_home: self.allow_home,
            kind: match self.direction {
                Direction::Into => RunKind::DockerMigrate,
                Direction::OutOf => RunKind::DockerRevert,
            },
        }
    }
}

/// A plan, and what it is of, for people.
pub struct Migration {
    request: ShiftRequest,
    step_roots: Vec<PathBuf>,
    policy: Box<dyn Policy>,
    steps: Vec<Step>,
    steps_before: usize,
    /// What becomes of the containerd image store.
    pub conversion: Option<Conversion>,
    /// What an operator should know of that.
    pub store_summary: Option<ConversionSummary>,
    /// The data-root.
    pub top: PathBuf,
    range: String,
    root_gid: u32,
    /// What becomes of all that is in and around the data-root.
    pub inventory: Inventory,
    /// Where an unused docker root was in the way and goes.
    pub set_aside: Option<String>,
    /// Where the empty directories of storage drivers go, which would keep a plain daemon from the containerd store.
    pub drivers_set_aside: Option<String>,
    /// Names of containers that are marked for the host's user namespace.
    pub marked: Vec<String>,
    /// Names of containers that a remapped daemon will not start, and why.
    pub will_not_start: Vec<(String, String)>,
}

impl Migration {
    /// Looks at the data-root and works out what is to be done.
    ///
    /// # Errors
    /// What stands in the way. Nothing was changed.
    pub fn prepare(request: &MigrateRequest, remap: &Remap) -> Result<Migration, DockerError> {
        let top = canonical(&request.data_root)?;
        let inner = remap.dir_name();
        let into = request.direction == Direction::Into;
        let idmapped = IdmappedRoot::find(&top, &inner)?;
        check_kind(request, idmapped.as_ref(), &top, remap)?;
        if let (Some(root), true) = (&idmapped, into) {
            return permanent::prepare(request, remap, root);
        }
        // By a mount, into it or out of it.
        let by_mount = request.idmapped || idmapped.is_some();
        let own_map = idmapped.as_ref().map(|root| root.remap(remap));
        let remap = own_map.as_ref().unwrap_or(remap);
        // Where the docker root of the remapped daemon is on disk.
        let place = match by_mount {
            true => idmapped::place(&inner).to_vec(),
            false => vec![inner.clone()],
        };
        let place: Vec<&str> = place.iter().map(String::as_str).collect();
        let (from, to) = match into {
            true => (top.clone(), top.join(&inner)),
            false => (top.join(&inner), top.clone()),
        };
        // Where the docker root is now; its metadata says `from`.
        let inside = match (into, &request.copy) {
            (true, copy) => copy.clone(),
            (false, _) => Some(inner.clone()),
        };
        let now = match (into, &inside) {
            (false, _) => place.iter().fold(top.clone(), |path, name| path.join(name)),
            (true, Some(copy)) => top.join(copy),
            (true, None) => top.clone(),
        };
        let docker_root = DockerRoot::at(&now);
        docker_root.check_drivers()?;

        let copy = request.copy.as_deref();
        let mut steps = StepList::new(&top, copy, &inner)?;
        steps.give_back = idmapped.as_ref().map(|root| root.map.clone());
        let (plain, others) = plain_names(&top)?;
        let moved = PathRewriter::new(&from, &to, if into { others.clone() } else { Vec::new() })?;
        let new_path = |path: &str| moved.path(path);
        let parse = |files: ContainerFiles| Ok((files.parse(&docker_root)?, files));
        let all: Result<Vec<(Container, ContainerFiles)>, DockerError> = docker_root
            .container_files()?
            .into_iter()
            .map(parse)
            .collect();
        let all = all?;
        let containers = all.iter().map(|(container, _)| container);
        let store = ContainerdStore::of(&docker_root, &top, containers)?;
        let conversion = match into {
            true => {
                let all = all.iter().map(|(it, files)| (it, &files.config[..]));
                store.conversion(&docker_root, request.keeps_store, all)?
            }
            false => {
                store.check(&docker_root, request.direction, Some(remap))?;
                None
            }
        };
        check_has_content(&docker_root, request.direction, &top)?;
        let obstacles = match into {
            true => obstacles(all.iter().map(|(container, _)| container)),
            false => vec![None; all.len()],
        };
        let (mut marked, mut will_not_start) = (Vec::new(), Vec::new());
        for ((container, files), obstacle) in all.iter().zip(&obstacles) {
            let dir = now.join("containers").join(&files.id);
            let config = rewrite_config(&files.config, &new_path)
                .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?;
            let planned = conversion
                .as_ref()
                .and_then(|it| it.containers.get(&files.id));
            let config = match planned {
                Some(it) => {
                    let image = it.image_id(&request.gone_images).to_string();
                    with_graph_driver(&config, "overlay2", &image)
                        .map_err(|error| not_json(&dir.join("config.v2.json"), &error))?
                }
                None => config,
            };
            steps.rewrite(&dir, &files.id, "config.v2.json", &files.config, config)?;
            let Some(hostconfig) = &files.hostconfig else {
                continue;
            };
            let bad = |error| not_json(&dir.join("hostconfig.json"), &error);
            let mut after = rewrite_hostconfig(hostconfig, &new_path).map_err(bad)?;
            if let Some(why) = obstacle {
                match request.set_userns_host {
                    true => {
                        after = set_userns_host(&after).map_err(bad)?.unwrap_or(after);
                        marked.push(container.name.clone());
                    }
                    false => will_not_start.push((container.name.clone(), why.clone())),
                }
            }
            steps.rewrite(&dir, &files.id, "hostconfig.json", hostconfig, after)?;
        }
        if let (Some(conversion), true) = (&conversion, request.idmapped) {
            return Err(not_converted(&conversion.containerd.path));
        }
        let mut inventory = match into {
            true => {
                check_binds_are_told_apart(request, remap, &top)?;
                let each = all.iter().zip(&obstacles).map(|((container, files), why)| {
                    let is_host = container.userns_mode == "host" || why.is_some();
                    (container, files, is_host)
                });
                let accounts = (!request.allow_home).then(LoginAccounts::of_host);
                let binds = match request.bind_mounts {
                    true => HostBinds::Shifted,
                    false => HostBinds::Left,
                };
                Inventory::for_migrate(&docker_root, &moved, Some(remap), each, binds, accounts)?
            }
            false => {
                let mut sources = request.shifted_before.clone();
                for (_, files) in &all {
                    sources.extend(files.bind_sources_if_remapped(&docker_root)?);
                }
                Inventory::for_revert(&moved, remap, sources, request.bind_mounts)?
            }
        };
        if idmapped.is_some() {
            inventory.is_plain_on_disk(&top);
        }
        inventory.check()?;
        for edit in inventory.edits() {
            steps.edit(edit, &from, &now, if into { &place } else { &[] })?;
        }

        let name = |id: &str| {
            let mut all = all.iter().map(|(container, _)| container);
            all.find(|it| it.id == id).map(|it| it.name.as_str())
        };
        // When it is made, the store is as it was before.
        let summary = conversion.as_ref().filter(|_| request.staging.is_none());
        let summary = summary.map(|it| ConversionSummary::of(it, (&top, &inner), name));
        let store_summary = summary.transpose()?;
        let hidden: Vec<String> = steps.hidden.clone();
        let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
        let trees: Vec<PathBuf> = [top.clone()]
            .into_iter()
            .chain(inventory.in_place.clone())
            .collect();
        let snapshots = conversion
            .as_ref()
            .map(|it| it.snapshot_trees(&top, trees.len()));
        let own_containerd = conversion.as_ref().map(|it| it.containerd.path.clone());
        let own_containerd = own_containerd.filter(|path| !path.starts_with(&top));
        let trees: Vec<PathBuf> = trees.into_iter().chain(own_containerd).collect();
        let set_aside;
        let mut drivers_set_aside = None;
        if into {
            if inside.is_none() {
                steps.block(&[], &hidden)?;
            }
            set_aside = steps.set_shell_aside(&inner)?;
            let mut carried = match &inside {
                None => plain.clone(),
                Some(_) => names(&now)?,
            };
            let from: Vec<&str> = inside.as_deref().into_iter().collect();
            if let (Some(conversion), Some(snapshots)) = (&conversion, &snapshots) {
                let aside = store.drivers_to_set_aside();
                drivers_set_aside = steps.set_drivers_aside(&from, "plain", aside)?;
                let is_aside = |name: &String| aside.contains(name) && name != "image";
                carried.retain(|name| !is_aside(name));
                steps.use_staging(request.staging.as_ref());
                let staging = staging_name(&inner);
                steps.rename_snapshots(conversion, snapshots, &staging)?;
            }
            match &request.staging {
                Some(staging) => {
                    steps.make_root_of(staging, &from, &inner)?;
                    carried.retain(|name| name != "image");
                }
                None if by_mount => steps.make_idmapped_root(&inner, remap),
                None => {
                    steps.make_root(&inner, remap.root.1);
                    steps.guard(&[&inner]);
                }
            }
            for name in carried.iter().filter(|name| *name != GUARDED) {
                let from = inside.as_deref().into_iter().chain([&name[..]]);
                let to = [&place[..], &[name]].concat();
                steps.rename(&from.collect::<Vec<_>>(), &to)?;
            }
        } else {
            store.check_plain_root(&top)?;
            for (n, _) in place.iter().enumerate() {
                let (way, dir) = (&place[..=n], place[..=n].iter());
                let dir = dir.fold(top.clone(), |path, name| path.join(name));
                steps.early.push(times(StepPath::new(0, way), &dir)?);
            }
            steps.block(&place, &hidden)?;
            if by_mount {
                steps.unmount(&inner);
            }
            set_aside = steps.set_plain_shell_aside(&plain)?;
            let aside = store.drivers_to_set_aside();
            drivers_set_aside = steps.set_drivers_aside(&place, &inner, aside)?;
            for name in names(&now)? {
                if !aside.contains(&name) && name != GUARDED {
                    let from = [&place[..], &[&name]].concat();
                    steps.rename(&from, &[&name])?;
                }
            }
        }
        let bytes = |name: &String| name.clone().into_bytes();
        let layout = Layout {
            direction: request.direction,
            root_uid: remap.root.0,
            root_gid: remap.root.1,
            inside: inside.clone(),
            others: others.iter().map(bytes).collect(),
            elsewhere: inventory
                .volumes
                .iter()
                .map(|it| bytes(&it.volume))
                .collect(),
            own_trees: inventory.own_trees.clone(),
            sides_overlap: remap.map.sides_overlap().is_some(),
            staging: conversion
                .as_ref()
                .map(|_| staging_name(&inner).into_bytes()),
            snapshots,
        };
        steps.own_top(layout.passage_rule())?;
        let to_root: &[&str] = if into { &place } else { &[] };
        steps.unblock(&now.join(GUARDED), to_root)?;
        let mut step_roots = Vec::new();
        if by_mount
            && let Some(units) = idmapped::unit::units_root().filter(|_| request.units || !into)
        {
            let made = match into {
                true => idmapped::unit::make(&top, &inner, trees.len())?,
                false => idmapped::unit::remove(&top, &inner, trees.len())?,
            };
            if !made.is_empty() {
                step_roots.push(units);
                steps.late.extend(made);
            }
        }
        if request.idmapped {
            steps.mount(&inner)?;
        }
        request.write_daemon_json(trees.len(), &mut step_roots, &mut steps)?;
        // Last: until the daemon is told where its data is now, the one of before must not start without it.
        match (into, &inside) {
            (true, None) => steps.remove_guard(&[]),
            (true, Some(copy)) => steps.remove_dir(&[copy])?,
            (false, _) => {
                steps.remove_guard(&place);
                steps.remove_dir(&place)?;
            }
        }
        let since = match &idmapped {
            Some(root) => {
                steps.remove_idmapped_holder(root)?;
                steps.remove_mount_point(&inner);
                root.since
            }
            None => 0,
        };
        let policy: Box<dyn Policy> = match (&idmapped, request.idmapped) {
            (Some(_), _) => Box::new(GiveBack {
                place: idmapped::place(&inner),
                rewritten: steps.rewritten(),
                since,
            }),
            (None, true) => Box::new(ContentStays),
            (None, false) => Box::new(layout),
        };
        let steps_before = steps.early.len();
        let steps = [steps.early, steps.late].concat();
        Ok(Migration {
            policy,
            steps_before,
            request: request.shift(remap, trees),
            conversion,
            store_summary,
            top,
            range: inner,
            root_gid: remap.root.1,
            inventory,
            step_roots,
            steps,
            set_aside,
            drivers_set_aside,
            marked,
            will_not_start,
        })
    }

    /// Of a data-root of which nothing else becomes anything.
    pub(super) fn of_steps(
        request: &MigrateRequest,
        remap: &Remap,
        (top, inventory, step_roots): (&Path, Inventory, Vec<PathBuf>),
        policy: Box<dyn Policy>,
        steps: StepList<'_>,
    ) -> Migration {
        Migration {
            policy,
            steps_before: steps.early.len(),
            steps: [steps.early, steps.late].concat(),
            request: request.shift(remap, vec![top.to_path_buf()]),
            conversion: None,
            store_summary: None,
            top: top.to_path_buf(),
            range: remap.dir_name(),
            root_gid: remap.root.1,
            inventory,
            step_roots,
            set_aside: None,
            drivers_set_aside: None,
            marked: Vec::new(),
            will_not_start: Vec::new(),
        }
    }

    /// Reads all that a conversion reads, for a dry run.
    ///
    /// # Errors
    /// As of [`Migration::make_staging`].
    pub fn check_conversion(&self, cancel: &Cancel) -> Result<Checked, DockerError> {
        let Some(conversion) = &self.conversion else {
            return Ok(Checked::default());
        };
        Staging::check_is_free(&self.top, &self.range)?;
        check_conversion(conversion, cancel)
    }

    /// Room that a conversion takes for layers which it unpacks: their blobs are read.
    ///
    /// # Errors
    /// One is damaged.
    pub fn unpacked(&self, cancel: &Cancel) -> Result<Amount, DockerError> {
        let conversion = self.conversion.as_ref();
        conversion.map_or(Ok(Amount::default()), |it| unpacked(it, cancel))
    }

    /// Whether there is room for what a conversion copies and unpacks; of the latter, `unpacked` is known.
    ///
    /// # Errors
    /// There is not.
    pub fn check_room(&self, unpacked: Amount) -> Result<(), DockerError> {
        let Some(conversion) = &self.conversion else {
            return Ok(());
        };
        let room = conversion.room(&self.top)?;
        let takes = Amount {
            bytes: room.bytes.saturating_add(unpacked.bytes),
            inodes: room.inodes + unpacked.inodes,
        };
        let help = "Make room for layers of the containerd image store that cannot be renamed";
        check_room(&self.top, takes, help)
    }

    /// Makes what a conversion of the containerd image store adds, for [`MigrateRequest::staging`]. `None`: there is
    /// nothing to convert.
    ///
    /// # Errors
    /// A blob is damaged, or the disk is full; nothing is left.
    pub fn make_staging(&self, cancel: &Cancel) -> Result<Option<Staging>, DockerError> {
        let conversion = self.conversion.as_ref();
        let made =
            conversion.map(|it| Staging::make(it, &self.top, &self.range, self.root_gid, cancel));
        made.transpose()
    }

    /// The plan, for the engine.
    pub fn plan(&self) -> Plan<'_> {
        Plan {
            request: self.request.clone(),
            step_roots: self.step_roots.clone(),
            policy: &*self.policy,
            steps: self.steps.clone(),
            steps_before: self.steps_before,
        }
    }
}

/// Whether the root that is there is of the kind that the request is about.
fn check_kind(
    request: &MigrateRequest,
    idmapped: Option<&IdmappedRoot>,
    top: &Path,
    remap: &Remap,
) -> Result<(), DockerError> {
    match (request.direction, request.idmapped, idmapped) {
        (Direction::Into, true, Some(root)) => {
            root.check_mounted()?;
            let why = "is remapped by a mount already; `idshift docker migrate` changes the owners on disk for good, and \
                       `idshift docker revert` takes it back";
            Err(DockerError::in_the_way(root.point(), why))
        }
        (Direction::Into, true, None) => {
            let point = top.join(remap.dir_name());
            let is_shell = |path: &Path| DockerRoot::at(path).holds().map(|it| it.is_shell());
            if point.is_dir() && !is_shell(&point)? && is_shell(top)? {
                let why = "is remapped by changed owners. To have it remapped by a mount, first `idshift docker revert`, then \
                           `idshift docker migrate --idmapped`";
                return Err(DockerError::in_the_way(point, why));
            }
            if let Some(overlap) = remap.map.sides_overlap() {
                let why = format!(
                    "{overlap}, so they cannot be exchanged by a mount. Use a range that is above the ids of containers, or \
                     migrate without --idmapped"
                );
                return Err(DockerError::in_the_way(top, why));
            }
            let others = DockerRoot::at(top).drivers()?;
            if let Some(driver) = others.iter().find(|driver| *driver != "overlay2") {
                let why = format!(
                    "the storage driver {driver} was not tried with idmapped layers, only overlay2 was. Migrate without \
                     --idmapped"
                );
                return Err(DockerError::in_the_way(top.join(driver), why));
            }
            idmapped::probe::check(top, &remap.map)
        }
        (Direction::Into, false, Some(root)) | (Direction::OutOf, _, Some(root)) => {
            health::check_ranges(root, remap)?;
            root.check_mounted()
        }
        _ => Ok(()),
    }
}

/// That a containerd image store is converted by changing owners only.
fn not_converted(containerd: &Path) -> DockerError {
    let why = "images are in the containerd image store, which --idmapped does not convert. Migrate without --idmapped";
    DockerError::in_the_way(containerd, why)
}

/// The host directories that went into the range with this data-root, as the journals have it that are
/// still there.
pub fn shifted_before(store: &Store, data_root: &Path) -> Vec<PathBuf> {
    let Ok(top) = canonical(data_root) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for file in store.files().unwrap_or_default() {
        let Ok(journal) = Journal::outline(&file) else {
            continue;
        };
        let path = |line: &RootLine| PathBuf::from(line.path.clone());
        let mut trees = journal.header.roots.iter().filter(|line| !line.steps_only);
        let is_of_root = trees.next().is_some_and(|line| path(line) == top);
        if is_of_root && journal.header.command == RunKind::DockerMigrate {
            found.extend(trees.map(path).filter(|path| !is_containerd(path)));
        }
    }
    found
}

fn check_binds_are_told_apart(
    request: &MigrateRequest,
    remap: &Remap,
    top: &Path,
) -> Result<(), DockerError> {
    match remap.map.sides_overlap() {
        Some(overlap) if request.bind_mounts => Err(DockerError::in_the_way(
            top,
            format!(
                "{overlap}, so an id does not tell whether a file that containers bind is shifted already. \
                 Migrate without --bind-mounts, and shift those that are not: idshift prepare --assume-unshifted"
            ),
        )),
        _ => Ok(()),
    }
}

fn check_has_content(
    root: &DockerRoot,
    direction: Direction,
    top: &Path,
) -> Result<(), DockerError> {
    let all = names(top)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(top, INTERRUPTED));
    }
    if root.path.is_dir() && (!root.holds()?.is_shell() || image_store::has_images(root)) {
        return Ok(());
    }
    let remapped: Vec<String> = all
        .into_iter()
        .filter(|name| is_remapped_name(name))
        .collect();
    let there = match &remapped[..] {
        _ if image_store::was_used(root) => {
            "its daemon used the containerd image store, which cannot be carried, and there are no images in it either".into()
        }
        [] => "and there is no remapped root either. Is it the right --data-root?".to_string(),
        names => format!("beside it there is {}", names.join(", ")),
    };
    Err(DockerError::in_the_way(
        &root.path,
        match direction {
            Direction::Into => {
                format!("has no images, containers or volumes of a plain daemon; {there}")
            }
            Direction::OutOf => format!(
                "there are no images, containers or volumes of a daemon remapped to this range; {there}"
            ),
        },
    ))
}
