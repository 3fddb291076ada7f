//! What refuses a migration because of what the data-root is.

use std::path::Path;

use super::{Locations, MigrateRequest};
use crate::docker::data_root::{DockerRoot, INTERRUPTED, MOVING, is_remapped_name, names};
use crate::docker::idmapped::{health, probe};
use crate::docker::image_store;
use crate::docker::remap::Remap;
use crate::docker::{DockerError, guidance};
use crate::idmap::Direction;

/// Whether the root that is there is of the kind that the request is about: remapped by a mount, or by changed owners.
pub(super) fn check_kind(
    request: &MigrateRequest,
    locations: &Locations,
    remap: &Remap,
) -> Result<(), DockerError> {
    let data_root = &locations.data_root;
    match (request.direction, request.idmapped, &locations.idmapped) {
        (Direction::Into, true, Some(root)) => {
            root.check_mounted()?;
            let why = "is remapped by a mount already; `idshift docker migrate` changes the owners on disk for good, and \
                       `idshift docker revert` takes it back";
            Err(DockerError::in_the_way(root.point(), why))
        }
        (Direction::Into, true, None) => check_can_be_idmapped(data_root, remap),
        (Direction::Into, false, Some(root)) | (Direction::OutOf, _, Some(root)) => {
            health::check_ranges(root, remap)?;
            root.check_mounted()
        }
        _ => Ok(()),
    }
}

/// Whether a plain root can be remapped by a mount.
fn check_can_be_idmapped(data_root: &Path, remap: &Remap) -> Result<(), DockerError> {
    let mount_point = data_root.join(remap.dir_name());
    let is_unused = |path: &Path| DockerRoot::at(path).holds().map(|it| it.is_unused());
    if mount_point.is_dir() && !is_unused(&mount_point)? && is_unused(data_root)? {
        let why = format!(
            "is remapped by changed owners. To have it remapped by a mount, {}",
            guidance::REVERT_THEN_IDMAPPED
        );
        return Err(DockerError::in_the_way(mount_point, why));
    }
    if let Some(overlap) = remap.map.sides_overlap() {
        let why = format!(
            "{overlap}, so they cannot be exchanged by a mount. Use a range that is above the ids of containers, or \
             {}",
            guidance::NOT_IDMAPPED
        );
        return Err(DockerError::in_the_way(data_root, why));
    }
    let drivers = DockerRoot::at(data_root).drivers()?;
    if let Some(driver) = drivers.iter().find(|driver| *driver != "overlay2") {
        let why = format!(
            "the storage driver {driver} was not tried with idmapped layers, only overlay2 was: {}",
            guidance::NOT_IDMAPPED
        );
        return Err(DockerError::in_the_way(data_root.join(driver), why));
    }
    probe::check(data_root, &remap.map)
}

/// Whether an id tells which side of the map it is on, which is needed to shift bind mounts.
pub(super) fn check_ids_are_unambiguous(
    request: &MigrateRequest,
    remap: &Remap,
    data_root: &Path,
) -> Result<(), DockerError> {
    match remap.map.sides_overlap() {
        Some(overlap) if request.bind_mounts => Err(DockerError::in_the_way(
            data_root,
            format!(
                "{overlap}, so an id does not tell whether a file that containers bind is shifted already. \
                 {}",
                guidance::NO_BIND_MOUNTS
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether there is anything to migrate, and no other run has begun to.
pub(super) fn check_has_content(
    root: &DockerRoot,
    direction: Direction,
    data_root: &Path,
) -> Result<(), DockerError> {
    let all = names(data_root)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(data_root, INTERRUPTED));
    }
    if root.path.is_dir() && (!root.holds()?.is_unused() || image_store::has_images(root)) {
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
        [] => format!(
            "and there is no remapped root either. {}",
            guidance::RIGHT_DATA_ROOT
        ),
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
