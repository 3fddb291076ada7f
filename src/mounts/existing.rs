//! The mount that is there already.

use super::planned_mount::PlannedMount;
use super::request::{MountRequest, mount_map};
use super::{MountError, record};
use crate::fs::containing_mount::is_idmapped;
use crate::fs::idmapped_mount::MountIdentity;
use crate::fs::{Root, mountinfo};
use crate::idmap::MountMap;

/// The mount that is there already, where it is the one that is asked for.
pub(super) fn existing(
    request: &MountRequest,
    source: &Root,
    at: &Root,
) -> Result<Option<PlannedMount>, MountError> {
    let is_mapped = |root: &Root| {
        let mounts = mountinfo::of_this_thread();
        mounts
            .and_then(|mounts| is_idmapped(&root.pin, &mounts))
            .map_err(MountError::io(&root.path))
    };
    let is_in_place = source.path == at.path;
    if !is_mapped(at)? {
        // What is seen through one cannot be shown with other owners once more; the kernel says so.
        return Ok(None);
    }
    let there = MountIdentity::of(&at.pin).map_err(MountError::io(&at.path))?;
    let known = record::records_for(&at.path)?;
    let known = known.iter().find(|one| one.identity().is(&there));
    let Some(known) = known.filter(|one| one.source.as_path() == source.path) else {
        // It is no mount of its own, but lies in one.
        let is_mount = at.pin.stat().is_ok_and(|stat| stat.mount_root);
        return match is_in_place && !is_mount {
            true => Ok(None),
            false => Err(MountError::There {
                path: at.path.clone(),
            }),
        };
    };
    let stat = at.pin.stat();
    let stat = stat.map_err(|errno| MountError::io(&at.path)(errno.into()))?;
    let back = known.map.on_disk(stat.uid, stat.gid);
    let on_disk = (back.0.unwrap_or(stat.uid), back.1.unwrap_or(stat.gid));
    let (map, owner) = mount_map(request, on_disk);
    // By default, `--owner` means whoever had the path when it was mounted.
    let is_same = map == known.map || (owner.is_some() && has_owner(request, &known.map));
    if !is_same || request.read_only != known.read_only {
        let path = at.path.clone();
        return Err(MountError::There { path });
    }
    let again = |root: &Root| {
        let again = root.try_clone();
        again.map_err(|errno| MountError::io(&root.path)(errno.into()))
    };
    Ok(Some(PlannedMount {
        source: again(source)?,
        target: (!is_in_place).then(|| again(at)).transpose()?,
        detached: None,
        made: None,
        map: known.map.clone(),
        container_map: request.map.clone(),
        owner,
        read_only: known.read_only,
        on_disk,
        allows: request.allows(),
    }))
}

/// Whether another owner on disk is seen as this container user, and all else is as the map says.
fn has_owner(request: &MountRequest, map: &MountMap) -> bool {
    let Some(owner) = request.owner else {
        return false;
    };
    let exchange = MountMap::exchange(&request.map);
    let (uid, gid) = exchange.visible(owner.container.0, owner.container.1);
    let (Some(uid), Some(gid)) = (uid, gid) else {
        return false;
    };
    let (Some(uid), Some(gid)) = map.on_disk(uid, gid) else {
        return false;
    };
    // Where nobody is swapped, everybody is seen as the map says: nobody was asked for.
    (uid, gid) != owner.container && exchange.swapped((uid, gid), owner.container) == *map
}
