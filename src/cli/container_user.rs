//! Users of containers and images of this host's Docker, for `check` and `prepare`.

use std::path::PathBuf;

use crate::cli::exit::Failure;
use crate::docker::container_user::{self, RunAs};
use crate::docker::data_root::DockerRoot;
use crate::docker::inventory::volumes::bound_path;
use crate::idmap::IdMap;
use crate::volume::binds::Service;
use crate::volume::user::ContainerUser;

/// The docker roots in a data-root: the remapped daemon's own, where there is one, and then the plain one's.
fn roots(top: PathBuf, map: &IdMap) -> Vec<DockerRoot> {
    let inner = map.container_root();
    let inner = inner.map(|(uid, gid)| top.join(format!("{uid}.{gid}")));
    let there = inner.filter(|dir| dir.is_dir());
    let all = there.into_iter().chain([top]);
    all.map(DockerRoot::at).collect()
}

/// The user that a container runs as; one that is not remapped is refused.
pub fn of_container(top: PathBuf, name: &str, map: &IdMap) -> Result<ContainerUser, Failure> {
    let found = container_user::of_container(&roots(top, map), name);
    let found = found.map_err(Failure::refused)?;
    match found.is_host {
        false => Ok(found.user),
        true => Err(Failure::refused(format!(
            "container {name} runs with --userns=host: it is not remapped, and has the host's own ids"
        ))),
    }
}

/// The host path that a volume of this name binds; `None` also where there is no such volume.
pub fn bound_by_volume(top: PathBuf, name: &str, map: &IdMap) -> Result<Option<PathBuf>, Failure> {
    if name.contains('/') || matches!(name, "" | "." | "..") {
        return Ok(None);
    }
    let dirs = roots(top, map).into_iter();
    let mut dirs = dirs.map(|root| root.path.join("volumes").join(name));
    match dirs.find(|dir| dir.exists()) {
        Some(dir) => bound_path(&dir).map_err(Failure::refused),
        None => Ok(None),
    }
}

/// The user that an image runs as.
pub fn of_image(top: PathBuf, name: &str, map: &IdMap) -> Result<ContainerUser, Failure> {
    container_user::of_image(&roots(top, map), name).map_err(Failure::refused)
}

/// The user of a service whose user and groups are all numbers, which need no image.
pub fn in_numbers(service: &Service) -> Option<ContainerUser> {
    run_as(service).in_numbers()
}

fn run_as(service: &Service) -> RunAs<'_> {
    RunAs {
        user: service.user.as_deref(),
        group_add: &service.group_add,
    }
}

/// The user that a service runs as: what it says itself, else what its image says.
pub fn of_service(top: PathBuf, service: &Service, map: &IdMap) -> Result<ContainerUser, Failure> {
    let image = service.image.as_deref().unwrap_or_default();
    container_user::of_image_as(&roots(top, map), image, run_as(service)).map_err(Failure::refused)
}
