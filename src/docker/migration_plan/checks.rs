//! What refuses a migration because of what the data-root is.

use std::path::Path;

use super::{Locations, MigrateRequest};
use crate::docker::data_root::{DockerRoot, MOVING, names};
use crate::docker::existing_roots;
use crate::docker::guidance;
use crate::docker::idmapped::{health, probe};
use crate::docker::image_store;
use crate::docker::reason::Instead;
use crate::docker::remap::Remap;
use crate::docker::{DockerError, Reason};
use crate::idmap::Direction;

/// Whether the root that is there is of the kind that the request is about: remapped by a mount, or by changed owners.
pub(super) fn check_kind(
    request: &MigrateRequest,
    locations: &Locations,
    remap: &Remap,
) -> Result<(), DockerError> {
    let data_root = &locations.data_root;
    match (
        request.options.direction,
        request.options.idmapped,
        &locations.idmapped,
    ) {
        (Direction::Into, true, Some(root)) => {
            root.check_mounted()?;
            Err(DockerError::in_the_way(
                root.point(),
                Reason::AlreadyIdmapped,
            ))
        }
        (Direction::Into, true, None) => check_can_be_idmapped(data_root, remap),
        (Direction::Into, false, Some(root)) | (Direction::OutOf, _, Some(root)) => {
            health::check_ranges(root, remap)?;
            root.check_mounted()
        }
        (Direction::OutOf, _, None) if request.options.undated.is_some() => Err(
            DockerError::in_the_way(data_root.join(remap.dir_name()), guidance::NOT_UNDATED),
        ),
        _ => Ok(()),
    }
}

/// Whether a plain root can be remapped by a mount.
fn check_can_be_idmapped(data_root: &Path, remap: &Remap) -> Result<(), DockerError> {
    let mount_point = data_root.join(remap.dir_name());
    let is_unused = |path: &Path| image_store::is_unused(&DockerRoot::at(path));
    if mount_point.is_dir() && !is_unused(&mount_point)? && is_unused(data_root)? {
        return Err(DockerError::in_the_way(
            mount_point,
            Reason::RemappedByOwners,
        ));
    }
    if let Some(overlap) = remap.map.sides_overlap() {
        let why = Reason::OverlapOfIdmapped(overlap.to_string());
        return Err(DockerError::in_the_way(data_root, why));
    }
    let drivers = DockerRoot::at(data_root).drivers()?;
    if let Some(driver) = drivers.iter().find(|driver| *driver != "overlay2") {
        let why = Reason::DriverOfIdmapped(driver.clone());
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
        Some(overlap) if request.options.bind_mounts => Err(DockerError::in_the_way(
            data_root,
            Reason::OverlapOfBindMounts(overlap.to_string()),
        )),
        _ => Ok(()),
    }
}

/// Whether there is anything to migrate, and no other run has begun to.
pub(super) fn check_has_content(
    root: &DockerRoot,
    direction: Direction,
    (data_root, remap): (&Path, &Remap),
) -> Result<(), DockerError> {
    let all = names(data_root)?;
    if all.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(data_root, Reason::Interrupted));
    }
    if root.path.is_dir() && !image_store::is_unused(root)? {
        return Ok(());
    }
    let is_elsewhere = || image_store::content_of(&DockerRoot::at(data_root));
    let instead = match (existing_roots::beside(data_root, remap)?, direction) {
        (Some(roots), _) => Instead::Roots(roots),
        (None, Direction::OutOf) if is_elsewhere()?.is_some() => Instead::PlainRoot,
        (None, _) if image_store::was_used(root) => Instead::EmptyStore,
        (None, _) => Instead::Nothing,
    };
    let why = match direction {
        Direction::Into => Reason::NoPlainContent(instead),
        Direction::OutOf => Reason::NoRemappedContent(instead),
    };
    Err(DockerError::in_the_way(&root.path, why))
}
