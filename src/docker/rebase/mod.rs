//! The plan that carries a remapped root to another range: `165536.165536` becomes `100000.100000`, with its owners
//! and the paths in its metadata, in one run.
//!
//! - `map`: the map from one range to the other
//! - `checks`: what refuses it
//! - `policy`: whose owners change
//! - `other_ranges`: what an audit says of roots that the daemon does not see

mod checks;
mod map;
mod other_ranges;
mod policy;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::container::Container;
use super::data_root::{ContainerFiles, DockerRoot, canonical, names};
use super::idmapped::IdmappedRoot;
use super::image_store::ContainerdStore;
use super::inventory::Inventory;
use super::migration_plan::{config_with_new_paths, hostconfig_with_new_paths};
use super::path_rewriter::PathRewriter;
use super::remap::Remap;
use super::rootless::recognise;
use super::steps::{CONTAINERS, StepList};
use super::swarm::SwarmServices;
use super::{DockerError, Reason, guidance};
use crate::engine::{Plan, Rule, RunControl, ShiftRequest};
use crate::fs::Identity;
use crate::host::range_users::SharedRange;
use crate::idmap::{Direction, IdMap};
use crate::journal::record::{RunKind, WalkOptions};
use crate::ownership::Mode;
use crate::preflight::TransientBlocker;
use checks::{check_is_there, check_range_is_free};
use map::{map_of, remap_of};
pub use other_ranges::findings;
use policy::InRoot;

/// What a rebase is asked to do.
#[derive(Clone, Debug)]
pub struct RebaseRequest {
    /// The data-root.
    pub data_root: PathBuf,
    /// The range that the root is in.
    pub from: IdMap,
    /// The range that it is to be in.
    pub to: IdMap,
    /// Threads.
    pub jobs: usize,
    /// Clear immutable and append-only flags for a change, and set them again.
    pub clear_flags: bool,
    /// Also change files with hard links outside the data-root.
    pub allow_outside_links: bool,
    /// Whom the daemon remaps to.
    pub user: String,
    /// Whose the new range is, as lines of `/etc/subuid` name an owner.
    pub owners: Vec<String>,
    /// Remapped roots that the journal of an earlier run knows by their inodes.
    pub known_roots: HashSet<Identity>,
}

impl RebaseRequest {
    /// For the engine.
    fn shift_request(&self, data_root: PathBuf, map: IdMap) -> ShiftRequest {
        let walk = WalkOptions {
            outside_links: self.allow_outside_links,
            clear_flags: self.clear_flags,
            ..WalkOptions::default()
        };
        let (kind, paths) = (RunKind::DockerRebase, vec![data_root]);
        ShiftRequest::of_service(kind, Direction::Into, map, paths, self.jobs, walk)
    }
}

/// A plan, and its facts for people.
pub struct Rebase {
    /// For the engine.
    pub plan: Plan,
    /// Where an unused root of the new range was in the way and goes.
    pub set_aside: Option<String>,
    /// The empty root of the old range, where a rollback could not make it again as it was.
    pub left_root: Option<String>,
    /// Lines of `/etc/subuid` and `/etc/subgid` that give ids of the new range to somebody else.
    pub shared: Vec<SharedRange>,
    /// What containers bind of the host and is in the old range. It stays so.
    pub left_behind: Vec<PathBuf>,
    /// What of a swarm's services is not seen, for people.
    pub services: Option<String>,
    /// What is in the way until containers are stopped, and what they left is unmounted.
    pub mounted: Option<TransientBlocker>,
}

/// A root and its two ranges.
struct RangeChange {
    data_root: PathBuf,
    from: Remap,
    to: Remap,
    /// The root of today.
    root: DockerRoot,
    containers: Vec<(Container, ContainerFiles)>,
}

impl Rebase {
    /// Reads the data-root and makes the plan.
    ///
    /// # Errors
    /// What is in the way. Nothing was changed.
    pub fn prepare(
        request: &RebaseRequest,
        control: RunControl<'_>,
    ) -> Result<Rebase, DockerError> {
        let (map, it) = RangeChange::of(request)?;
        let shared = check_range_is_free(&request.to, &request.owners)?;
        let new_dir = it.to.dir_name();
        let rewriter = PathRewriter::new(&it.root.path, &it.data_root.join(&new_dir), Vec::new())?;
        let inventory = it.inventory(&rewriter, control)?;
        let mut steps = StepList::new(&it.data_root, 1, None, &new_dir)?;
        it.rewrite_metadata(&mut steps, &rewriter)?;
        for edit in inventory.edits() {
            steps.edit_volume(edit, (&it.root.path, &it.root.path), &[&new_dir])?;
        }
        let set_aside = it.rename_entries(&mut steps)?;
        let left_root = it.add_last_steps(&mut steps, &request.known_roots)?;
        let policy = InRoot {
            name: it.from.dir_name().into_bytes(),
        };
        let left_behind = inventory.left_shifted(&it.from);
        let left_behind = left_behind.filter(|(path, _)| !path.starts_with(&it.root.path));
        Ok(Rebase {
            set_aside,
            left_root,
            shared,
            left_behind: left_behind.map(|(path, _)| path.to_path_buf()).collect(),
            services: inventory
                .services
                .as_ref()
                .map(SwarmServices::note_of_rebase),
            mounted: inventory.still_mounted(),
            plan: Plan::new(
                request.shift_request(it.data_root.clone(), map),
                Box::new(policy),
                steps.finish(),
            ),
        })
    }
}

impl RangeChange {
    /// With the map from the one range to the other.
    fn of(request: &RebaseRequest) -> Result<(IdMap, RangeChange), DockerError> {
        let data_root = canonical(&request.data_root)?;
        recognise::check_is_none(&data_root)?;
        let (from, to) = (remap_of(&request.from)?, remap_of(&request.to)?);
        let old_dir = from.dir_name();
        let root = data_root.join(&old_dir);
        if old_dir == to.dir_name() {
            return Err(DockerError::in_the_way(root, same_root(request)));
        }
        check_is_there(&data_root, &root)?;
        if IdmappedRoot::find(&data_root, &old_dir)?.is_some() {
            return Err(DockerError::in_the_way(root, Reason::RebaseOfIdmapped));
        }
        let map = map_of(&request.from, &request.to)?;
        let root = DockerRoot::at(root);
        root.check_drivers()?;
        let parse = |files: ContainerFiles| Ok((files.parse(&root)?, files));
        let containers: Result<Vec<_>, DockerError> =
            root.container_files()?.into_iter().map(parse).collect();
        let containers = containers?;
        let all = containers.iter().map(|(container, _)| container);
        let store = ContainerdStore::of(&root, &data_root, all)?;
        store.check(&root, Direction::OutOf, Some(&from))?;
        let found = RangeChange {
            data_root,
            from,
            to,
            root,
            containers,
        };
        Ok((map, found))
    }

    fn inventory(
        &self,
        rewriter: &PathRewriter,
        control: RunControl<'_>,
    ) -> Result<Inventory, DockerError> {
        let mut sources = Vec::new();
        for (_, files) in &self.containers {
            sources.extend(files.bind_sources_if_remapped(&self.root)?);
        }
        let inventory = Inventory::for_revert(rewriter, &self.from, sources, false, control)?;
        inventory.check()?;
        Ok(inventory)
    }

    fn rewrite_metadata(
        &self,
        steps: &mut StepList<'_>,
        rewriter: &PathRewriter,
    ) -> Result<(), DockerError> {
        for (_, files) in &self.containers {
            let dir = self.root.path.join(CONTAINERS).join(&files.id);
            let mut rewrite = |name: &str, before: &str, after: String| {
                steps.rewrite_container_file(&dir, &files.id, name, before, after)
            };
            let config = config_with_new_paths(files, &dir, rewriter)?;
            rewrite("config.v2.json", &files.config, config)?;
            if let Some(before) = &files.hostconfig {
                let after = hostconfig_with_new_paths(before, &dir, rewriter)?;
                rewrite("hostconfig.json", before, after)?;
            }
        }
        Ok(())
    }

    /// Adds the steps that rename all of the old root into the new one. Gives where an unused root of the new range is
    /// then.
    fn rename_entries(&self, steps: &mut StepList<'_>) -> Result<Option<String>, DockerError> {
        let (old, new) = (self.from.dir_name(), self.to.dir_name());
        steps.keep_mtime(&[&old])?;
        steps.park_containers(&[&old])?;
        let set_aside = steps.set_unused_remapped_root_aside(&new)?;
        steps.make_remapped_root(&new, self.to.root.1);
        steps.add_guard(&[&new]);
        let entries = names(&self.root.path)?;
        for name in entries.iter().filter(|name| *name != CONTAINERS) {
            steps.rename(&[&old, name], &[&new, name])?;
        }
        Ok(set_aside)
    }

    fn add_last_steps(
        &self,
        steps: &mut StepList<'_>,
        known_roots: &HashSet<Identity>,
    ) -> Result<Option<String>, DockerError> {
        let (old, new) = (self.from.dir_name(), self.to.dir_name());
        if group_of(&self.data_root)? == self.from.root.1 {
            steps.set_data_root_owner(Rule::Set {
                uid: 0,
                gid: self.to.root.1,
                at_least: Mode::from_st_mode(0o710),
            })?;
        }
        steps.unpark_containers(&self.root.path.join(CONTAINERS), &[&new])?;
        // Last: the daemon of the old range must not start without its data.
        steps.remove_guard(&[&old]);
        steps.leave_root(&[&old], &old, known_roots)
    }
}

/// Why a root is not moved that has its name in both ranges.
fn same_root(request: &RebaseRequest) -> Reason {
    let (from, to) = (&request.from, &request.to);
    Reason::SameRoot(match map::all_stay(from, to) {
        true => guidance::nothing_to_move(from, to),
        false => guidance::revert_and_migrate(from, to, &request.data_root, &request.user),
    })
}

fn group_of(path: &Path) -> Result<u32, DockerError> {
    Ok(path.metadata().map_err(DockerError::io(path))?.gid())
}
