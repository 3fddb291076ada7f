//! The mount that is there already.

use super::planned_mount::PlannedMount;
use super::request::{MountRequest, OwnerPair, mount_map};
use super::{MountError, record};
use crate::fs::containing_mount::{ContainingMount, is_idmapped, mount_of};
use crate::fs::idmapped_mount::MountIdentity;
use crate::fs::{Root, mountinfo};
use crate::idmap::MountMap;

/// The mount that is there already, where it is the one that is asked for.
pub(super) fn existing(
    request: &MountRequest,
    source: &Root,
    at: &Root,
) -> Result<Option<PlannedMount>, MountError> {
    let is_in_place = source.path == at.path;
    let mounts = mountinfo::of_this_thread().map_err(MountError::io(&at.path))?;
    if !is_idmapped(&at.pin, &mounts).map_err(MountError::io(&at.path))? {
        // What is seen through one cannot be shown with other owners once more; the kernel says so.
        return Ok(None);
    }
    let there = MountIdentity::of(&at.pin).map_err(MountError::io(&at.path))?;
    let known = record::records_for(&at.path)?;
    let known = known.iter().find(|one| one.identity().is(&there));
    let Some(known) = known.filter(|one| one.source.as_path() == source.path) else {
        let path = at.path.clone();
        return match (mount_of(&at.pin, &mounts), is_in_place) {
            (Ok(ContainingMount::Listed(mount)), _) if mount.point == path => {
                Err(MountError::There { path })
            }
            // It is no mount of its own, but lies in one.
            (_, true) => Ok(None),
            (Ok(ContainingMount::Listed(mount)), false) => Err(MountError::Inside {
                point: mount.point.clone(),
                path,
            }),
            (_, false) => Err(MountError::There { path }),
        };
    };
    let stat = at.pin.stat();
    let stat = stat.map_err(|errno| MountError::io(&at.path)(errno.into()))?;
    let back = known.map.on_disk(stat.uid, stat.gid);
    let on_disk = (back.0.unwrap_or(stat.uid), back.1.unwrap_or(stat.gid));
    let owner = match mount_map(request, on_disk) {
        (map, owner) if map == known.map => Some(owner),
        _ => owner_when_mounted(request, &known.map).map(Some),
    };
    let Some(owner) = owner.filter(|_| request.read_only == known.read_only) else {
        let path = at.path.clone();
        return Err(MountError::There { path });
    };
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

/// By default, `--owner` means whoever had the path when it was mounted: that owner, where the map shows them as the
/// container's user, and all else as without `--owner`.
fn owner_when_mounted(request: &MountRequest, map: &MountMap) -> Option<OwnerPair> {
    let owner = request.owner.filter(|owner| owner.on_disk.is_none())?;
    let exchange = MountMap::exchange(&request.map);
    let (Some(uid), Some(gid)) = exchange.visible(owner.container.0, owner.container.1) else {
        return None;
    };
    let (Some(uid), Some(gid)) = map.on_disk(uid, gid) else {
        return None;
    };
    // Where nobody is swapped, everybody is seen as the map says: nobody was asked for.
    let is_it =
        (uid, gid) != owner.container && exchange.swapped((uid, gid), owner.container) == *map;
    is_it.then_some(((uid, gid), owner.container))
}
