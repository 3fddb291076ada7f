//! The plan that carries a remapped root to another range: `165536.165536` becomes `100000.100000`, with its owners
//! and the paths in its metadata, in one run.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::DockerError;
use super::container::Container;
use super::data_root::{
    ContainerFiles, DockerRoot, INTERRUPTED, MOVING, canonical, is_remapped_name, names,
};
use super::idmapped::IdmappedRoot;
use super::image_store::{self, ContainerdStore};
use super::inventory::Inventory;
use super::migration::{config_with_new_paths, hostconfig_with_new_paths};
use super::path_rewriter::PathRewriter;
use super::remap::Remap;
use super::steps::{CONTAINERS, PlannedSteps, StepList};
use crate::engine::{Plan, Policy, Rule, ShiftRequest};
use crate::fs::DirPath;
use crate::host::{Finding, range_users};
use crate::idmap::{Direction, IdMap, Range, RangeMap};
use crate::journal::record::{RunKind, WalkOptions};
use crate::ownership::Mode;
use crate::preflight::Passing;

/// Ids below this one that are in neither range are the host's, and stay: what the kernel and `--userns=host` containers
/// made.
const HOST_IDS: u32 = 65_536;

/// What is asked.
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
    /// The flag of what is immutable or append-only is cleared while it is changed, and put back.
    pub clear_flags: bool,
    /// Files with names outside the data-root change too.
    pub allow_outside_links: bool,
}

/// A plan, and what it is of, for people.
pub struct Rebase {
    request: ShiftRequest,
    policy: InRoot,
    steps: PlannedSteps,
    /// Where an unused root of the new range was in the way and goes.
    pub set_aside: Option<String>,
    /// What containers bind of the host and is in the old range. It stays so.
    pub left_behind: Vec<PathBuf>,
    /// What is in the way until containers are stopped, and what they left is unmounted.
    pub mounted: Option<Passing>,
}

/// Everything in one directory of the data-root goes through the map.
struct InRoot {
    name: Vec<u8>,
}

impl Policy for InRoot {
    fn is_of_containers(&self, _number: usize) -> bool {
        true
    }

    /// Steps of their own change the data-root and make the new root.
    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        let way = dir.tail(dir.depth);
        way.first().map(|first| match *first == self.name {
            true => Rule::MapAll,
            false => Rule::Skip,
        })
    }

    fn name_in(&self, _dir: &DirPath, name: &[u8]) -> Rule {
        match name == self.name {
            true => Rule::Keep,
            false => Rule::Skip,
        }
    }
}

/// From the one range to the other; ids of the host stay.
///
/// # Errors
/// The two have no id of the container in common.
fn map_of(from: &IdMap, to: &IdMap) -> Result<IdMap, DockerError> {
    let moved = from.onto(to);
    let whole = |moved: &RangeMap, from: &RangeMap, to: &RangeMap| {
        let mut stays = Range::new(0, 0, HOST_IDS).into_iter().collect::<Vec<_>>();
        for range in from.ranges().iter().chain(to.ranges()) {
            let parts = stays.into_iter();
            stays = parts
                .flat_map(|part| part.without_host_ids(range.host(), range.size()))
                .collect();
        }
        RangeMap::new(moved.ranges().iter().copied().chain(stays))
            .map_err(|error| bad_maps(error.to_string()))
    };
    match moved.uids.is_empty() || moved.gids.is_empty() {
        true => Err(bad_maps(format!(
            "{from} and {to} have no id of the container in common"
        ))),
        false => Ok(IdMap::new(
            whole(&moved.uids, &from.uids, &to.uids)?,
            whole(&moved.gids, &from.gids, &to.gids)?,
        )),
    }
}

fn bad_maps(reason: String) -> DockerError {
    DockerError::Remap {
        value: "from one range to another".into(),
        reason: format!("{reason}. `idshift map` shows the range of the daemon"),
    }
}

fn remap_of(map: &IdMap) -> Result<Remap, DockerError> {
    let root = map
        .container_root()
        .ok_or_else(|| bad_maps(format!("{map} has no id for the container's root")))?;
    Ok(Remap {
        user: String::new(),
        map: map.clone(),
        root,
    })
}

impl Rebase {
    /// Looks at the data-root and works out what is to be done.
    ///
    /// # Errors
    /// What stands in the way. Nothing was changed.
    pub fn prepare(request: &RebaseRequest) -> Result<Rebase, DockerError> {
        let top = canonical(&request.data_root)?;
        let (from, to) = (remap_of(&request.from)?, remap_of(&request.to)?);
        let (old, new) = (from.dir_name(), to.dir_name());
        if old == new {
            return Err(DockerError::in_the_way(
                top.join(old),
                "is the root of both ranges: it stays where it is, and there is nothing to move",
            ));
        }
        check_range_is_free(&request.to)?;
        let now = top.join(&old);
        check_is_there(&top, &now)?;
        if IdmappedRoot::find(&top, &old)?.is_some() {
            let why = "is remapped by a mount. `idshift docker revert` with the range of before, then `idshift docker migrate \
                       --idmapped` with the new one, takes it there";
            return Err(DockerError::in_the_way(now, why));
        }
        let map = map_of(&request.from, &request.to)?;
        let docker_root = DockerRoot::at(&now);
        docker_root.check_drivers()?;
        let all = containers(&docker_root)?;
        let store = ContainerdStore::of(&docker_root, &top, all.iter().map(|(it, _)| it))?;
        store.check(&docker_root, Direction::OutOf, Some(&from))?;

        let moved = PathRewriter::new(&now, &top.join(&new), Vec::new())?;
        let mut steps = StepList::new(&top, 1, None, &new)?;
        rewrite_metadata(&mut steps, &now, &all, &moved)?;
        let mut sources = Vec::new();
        for (_, files) in &all {
            sources.extend(files.bind_sources_if_remapped(&docker_root)?);
        }
        let inventory = Inventory::for_revert(&moved, &from, sources, false)?;
        inventory.check()?;
        for edit in inventory.edits() {
            steps.edit_volume(edit, (&now, &now), &[&new])?;
        }
        let left_behind = inventory.left_shifted(&from);
        let left_behind = left_behind.map(|(path, _)| path.to_path_buf());
        let left_behind = left_behind.filter(|path| !path.starts_with(&top)).collect();

        steps.keep_mtime(&[&old])?;
        steps.park_containers(&[&old])?;
        let set_aside = steps.set_unused_remapped_root_aside(&new)?;
        steps.make_remapped_root(&new, to.root.1);
        steps.add_guard(&[&new]);
        for name in names(&now)?.iter().filter(|name| *name != CONTAINERS) {
            steps.rename(&[&old, name], &[&new, name])?;
        }
        let gid = top.metadata().map_err(DockerError::io(&top))?.gid();
        if gid == from.root.1 {
            steps.set_data_root_owner(Rule::Set {
                uid: 0,
                gid: to.root.1,
                at_least: Mode::from_st_mode(0o710),
            })?;
        }
        steps.unpark_containers(&now.join(CONTAINERS), &[&new])?;
        // Last: the daemon of the old range must not start without its data.
        steps.remove_guard(&[&old]);
        steps.remove_dir(&[&old])?;
        let steps = steps.finish();
        Ok(Rebase {
            request: ShiftRequest {
                paths: vec![top],
                map,
                direction: Direction::Into,
                jobs: request.jobs,
                walk: WalkOptions {
                    outside_links: request.allow_outside_links,
                    clear_flags: request.clear_flags,
                    ..WalkOptions::default()
                },
                allow_in_use: false,
                allow_system_path: true,
                allow_home: true,
                kind: RunKind::DockerRebase,
            },
            policy: InRoot {
                name: old.clone().into_bytes(),
            },
            steps,
            set_aside,
            left_behind,
            mounted: inventory.still_mounted(),
        })
    }

    /// The plan, for the engine.
    pub fn plan(&self) -> Plan<'_> {
        Plan {
            request: self.request.clone(),
            step_roots: self.steps.roots.clone(),
            policy: &self.policy,
            steps: self.steps.steps.clone(),
            steps_before: self.steps.early,
        }
    }
}

fn containers(root: &DockerRoot) -> Result<Vec<(Container, ContainerFiles)>, DockerError> {
    let parse = |files: ContainerFiles| Ok((files.parse(root)?, files));
    root.container_files()?.into_iter().map(parse).collect()
}

fn rewrite_metadata(
    steps: &mut StepList<'_>,
    now: &Path,
    all: &[(Container, ContainerFiles)],
    rewriter: &PathRewriter,
) -> Result<(), DockerError> {
    for (_, files) in all {
        let dir = now.join("containers").join(&files.id);
        let config = config_with_new_paths(files, &dir, rewriter)?;
        steps.rewrite_container_file(&dir, &files.id, "config.v2.json", &files.config, config)?;
        if let Some(before) = &files.hostconfig {
            let after = hostconfig_with_new_paths(before, &dir, rewriter)?;
            steps.rewrite_container_file(&dir, &files.id, "hostconfig.json", before, after)?;
        }
    }
    Ok(())
}

/// Refuses where there is nothing to move, or a run has not ended.
fn check_is_there(top: &Path, now: &Path) -> Result<(), DockerError> {
    let all = names(top)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(top, INTERRUPTED));
    }
    let root = DockerRoot::at(now);
    if now.is_dir() && (!root.holds()?.is_unused() || image_store::has_images(&root)) {
        return Ok(());
    }
    let there: Vec<String> = all
        .into_iter()
        .filter(|name| is_remapped_name(name))
        .collect();
    let there = match there.is_empty() {
        true => "there is no root of any other range either. Is it the right --data-root?".into(),
        false => format!(
            "beside it there is {}: name its range with --from",
            there.join(", ")
        ),
    };
    Err(DockerError::in_the_way(
        now,
        format!(
            "has no images, containers or volumes of a daemon remapped to the range of --from; {there}"
        ),
    ))
}

/// Refuses a range that accounts of this host are in.
fn check_range_is_free(map: &IdMap) -> Result<(), DockerError> {
    let users = range_users::of_map(map, &[]);
    let inside = users.accounts.iter().filter(|it| it.container != 0);
    let names: Vec<String> = inside
        .map(|it| format!("{} ({} {})", it.name, it.ids, it.id))
        .collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(bad_maps(format!(
            "host accounts are inside {map}, and containers' files would belong to them: {}",
            names.join(", ")
        ))),
    }
}

/// The roots in a data-root that hold something, and are in another range than the daemon's.
///
/// # Errors
/// The data-root cannot be read.
pub fn findings(top: &Path, remap: &Remap) -> Result<Vec<Finding>, DockerError> {
    let own = remap.dir_name();
    let mut findings = Vec::new();
    for name in names(top)? {
        if !is_remapped_name(&name) || name == own {
            continue;
        }
        let root = DockerRoot::at(top.join(&name));
        if root.path.is_symlink() || root.holds()?.is_unused() {
            continue;
        }
        let found = format!(
            "{name} is of another range than that of {}, {own}: the daemon does not see its {}",
            remap.user,
            root.holds()?
        );
        let finding = Finding::warning("another range", found);
        findings.push(finding.remedy(format!(
            "if the range of {} was changed: {}",
            remap.user,
            command(&name, remap)
        )));
    }
    Ok(findings)
}

/// The command that carries a root with this name into the daemon's range, if its own was as large.
fn command(name: &str, remap: &Remap) -> String {
    let (uid, gid) = name.split_once('.').unwrap_or((name, name));
    let [uids, gids] = [&remap.map.uids, &remap.map.gids].map(|map| match map.ranges() {
        [range] => range.size().to_string(),
        _ => "SIZE".to_string(),
    });
    let from = match uid == gid && uids == gids {
        true => format!("b:0:{uid}:{uids}"),
        false => format!("u:0:{uid}:{uids},g:0:{gid}:{gids}"),
    };
    format!("idshift docker rebase --from {from}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::{MapSpec, Mapped};

    fn map(text: &str) -> IdMap {
        let specs: Vec<MapSpec> = text.split(' ').map(|spec| spec.parse().unwrap()).collect();
        IdMap::from_specs(&specs).unwrap()
    }

    #[test]
    fn ids_of_the_host_stay_and_all_others_are_moved_or_named() {
        let map = map_of(&map("b:0:165536:65536"), &map("b:0:100000:65536")).unwrap();
        for (id, expected) in [
            (0, Mapped::To(0)),
            (1000, Mapped::To(1000)),
            (165_536, Mapped::To(100_000)),
            (231_071, Mapped::To(165_535)),
            // Of neither range: a larger one would have been.
            (231_072, Mapped::Unmapped),
            (70_000, Mapped::Unmapped),
            // Not of the old range; the rule MapAll refuses it.
            (100_000, Mapped::Already),
        ] {
            assert_eq!(map.uids.map(id, Direction::Into), expected, "{id}");
        }
    }

    #[test]
    fn ranges_that_overlap_each_other_and_the_hosts_ids_make_a_map() {
        let map = map_of(&map("b:0:60000:10000"), &map("b:0:65000:10000")).unwrap();
        assert_eq!(map.gids.map(59_999, Direction::Into), Mapped::To(59_999));
        assert_eq!(map.gids.map(60_000, Direction::Into), Mapped::To(65_000));
        assert_eq!(map.gids.map(65_000, Direction::Into), Mapped::To(70_000));
        assert_eq!(map.gids.map(74_999, Direction::Into), Mapped::Already);
        let map = map_of(&self::map("b:0:165536:9000"), &self::map("b:0:20000:9000")).unwrap();
        assert_eq!(map.uids.map(20_005, Direction::Into), Mapped::Already);
        assert_eq!(map.uids.map(19_999, Direction::Into), Mapped::To(19_999));
    }
}
