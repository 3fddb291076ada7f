//! What is in a data-root that is to be migrated. All of it is read here, before anything is planned.

use super::checks::{check_has_content, check_ids_are_unambiguous};
use super::{Locations, MigrateRequest};
use crate::docker::DockerError;
use crate::docker::container::{Container, obstacles};
use crate::docker::conversion::plan::Conversion;
use crate::docker::data_root::{ContainerFiles, DockerRoot, plain_names};
use crate::docker::image_store::ContainerdStore;
use crate::docker::inventory::{HostBinds, Inventory};
use crate::docker::path_rewriter::PathRewriter;
use crate::docker::remap::Remap;
use crate::engine::RunControl;
use crate::idmap::Direction;
use crate::preflight::accounts::LoginAccounts;

/// What the data-root has.
pub(super) struct Survey<'r> {
    pub request: &'r MigrateRequest,
    /// The range. Of a root that is remapped by a mount: the one that it is mounted with.
    pub remap: Remap,
    pub locations: Locations,
    /// Names in the data-root that are the plain daemon's.
    pub plain_names: Vec<String>,
    /// Its other names: roots of ranges, and what idshift made.
    pub other_names: Vec<String>,
    pub rewriter: PathRewriter,
    pub containers: Vec<SurveyedContainer>,
    /// The containerd image store.
    pub store: ContainerdStore,
    /// What becomes of it, where it is converted.
    pub conversion: Option<Conversion>,
    pub inventory: Inventory,
}

/// One container of the docker root.
pub(super) struct SurveyedContainer {
    pub container: Container,
    pub files: ContainerFiles,
    /// Why it cannot run remapped. Only asked on the way into the range.
    pub obstacle: Option<String>,
}

impl<'r> Survey<'r> {
    /// Reads it.
    ///
    /// # Errors
    /// What is in the way of the migration.
    pub fn of(
        request: &'r MigrateRequest,
        locations: Locations,
        remap: &Remap,
        control: RunControl<'_>,
    ) -> Result<Survey<'r>, DockerError> {
        let remap = match &locations.idmapped {
            Some(root) => root.remap(remap),
            None => remap.clone(),
        };
        let docker_root = DockerRoot::at(locations.source_dir());
        docker_root.check_drivers()?;
        let (plain_names, other_names) = plain_names(&locations.data_root)?;
        let [before, after] = locations.metadata_paths(request.options.direction);
        let not_moved = match request.options.direction {
            Direction::Into => other_names.clone(),
            Direction::OutOf => Vec::new(),
        };
        let rewriter = PathRewriter::new(&before, &after, not_moved)?;
        let mut containers = read_containers(&docker_root)?;
        let all = containers.iter().map(|it| &it.container);
        let store = ContainerdStore::of(&docker_root, &locations.data_root, all)?;
        let place = (locations.data_root.as_path(), &remap);
        check_has_content(&docker_root, request.options.direction, place)?;
        let conversion = conversion(request, &remap, &docker_root, &store, &containers)?;
        if request.options.direction == Direction::Into {
            find_obstacles(&mut containers);
        }
        let mut inventory = inventory(
            request,
            &remap,
            &locations,
            &docker_root,
            &rewriter,
            &containers,
            control,
        )?;
        if locations.idmapped.is_some() {
            inventory.is_plain_on_disk(&locations.data_root);
        }
        inventory.check()?;
        Ok(Survey {
            request,
            remap,
            locations,
            plain_names,
            other_names,
            rewriter,
            containers,
            store,
            conversion,
            inventory,
        })
    }

    /// The name of a container.
    pub fn container_name(&self, id: &str) -> Option<&str> {
        let mut all = self.containers.iter().map(|it| &it.container);
        all.find(|it| it.id == id).map(|it| it.name.as_str())
    }
}

fn read_containers(root: &DockerRoot) -> Result<Vec<SurveyedContainer>, DockerError> {
    let parse = |files: ContainerFiles| {
        Ok(SurveyedContainer {
            container: files.parse(root)?,
            files,
            obstacle: None,
        })
    };
    root.container_files()?.into_iter().map(parse).collect()
}

fn find_obstacles(containers: &mut [SurveyedContainer]) {
    let found = obstacles(containers.iter().map(|it| &it.container));
    for (container, obstacle) in containers.iter_mut().zip(found) {
        container.obstacle = obstacle;
    }
}

/// What happens to the containerd image store. Out of a range, it has to be the plain daemon's
/// already.
fn conversion(
    request: &MigrateRequest,
    remap: &Remap,
    root: &DockerRoot,
    store: &ContainerdStore,
    containers: &[SurveyedContainer],
) -> Result<Option<Conversion>, DockerError> {
    match request.options.direction {
        Direction::Into => {
            let all = containers.iter();
            let all = all.map(|it| (&it.container, it.files.config.as_str()));
            store.conversion(root, request.options.copy, all)
        }
        Direction::OutOf => {
            store.check(root, request.options.direction, Some(remap))?;
            Ok(None)
        }
    }
}

fn inventory(
    request: &MigrateRequest,
    remap: &Remap,
    locations: &Locations,
    root: &DockerRoot,
    rewriter: &PathRewriter,
    containers: &[SurveyedContainer],
    control: RunControl<'_>,
) -> Result<Inventory, DockerError> {
    if request.options.direction == Direction::OutOf {
        let before = &request.shifted_before;
        let mut sources: Vec<_> = before.iter().map(|(path, _)| path.clone()).collect();
        for it in containers {
            sources.extend(it.files.bind_sources_if_remapped(root)?);
        }
        let mut inventory = Inventory::for_revert(
            rewriter,
            remap,
            sources,
            request.options.bind_mounts,
            control,
        )?;
        inventory.add_of_other_ranges(before, remap, rewriter, control);
        return Ok(inventory);
    }
    check_ids_are_unambiguous(request, remap, &locations.data_root)?;
    let all = containers.iter().map(|it| {
        let is_host = it.container.userns_mode == "host" || it.obstacle.is_some();
        (&it.container, &it.files, is_host)
    });
    let accounts = (!request.options.allow_home).then(LoginAccounts::of_host);
    let binds = match request.options.bind_mounts {
        true => HostBinds::Shifted,
        false => HostBinds::Left,
    };
    Inventory::for_migrate(root, rewriter, Some(remap), all, binds, accounts, control)
}
