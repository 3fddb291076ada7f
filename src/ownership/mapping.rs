//! One ownership through an [`IdMap`].

mod error;
mod layer;
mod through;

pub use self::error::{Undated, Unmapped};
pub use self::layer::map_layer_ownership;
use super::acl::{AclEntry, Who};
use super::{Acl, Capability, Ownership, OwnershipXattrs};
use crate::idmap::{Direction, IdMap, Mapped, RangeMap};
use through::Through;

/// The result of mapping an ownership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// This one.
    Change(Ownership),
    /// It is on the target side as it is.
    Already,
    /// It cannot be mapped.
    Unmapped(Unmapped),
}

/// Maps owner, group, every named entry of both ACLs and a capability's root. The mode stays.
///
/// Into the range, a capability of the host (version 2) becomes one of the container's root
/// (version 3): void on the host, valid in the container. Out of it, one whose root becomes 0
/// becomes version 2 again. An inode that has no ACL and no capability is mapped without
/// allocating.
pub fn map_ownership(before: &Ownership, map: &IdMap, direction: Direction) -> Mapping {
    mapped_as(before, map, Through::Map(direction))
}

/// Gives what has host ids to the container ids that they stand for; any other id stays what it is. For a tree that was
/// written to through a mount with exchanged owners: a user of the host leaves such ids on disk.
pub fn give_back_ownership(before: &Ownership, map: &IdMap) -> Mapping {
    mapped_as(before, map, Through::GiveBack)
}

/// As [`give_back_ownership`], of what must have no host id.
pub fn undated_ownership(before: &Ownership, map: &IdMap, why: Undated) -> Mapping {
    match give_back_ownership(before, map) {
        Mapping::Change(_) => Mapping::Unmapped(Unmapped::Undated {
            uid: before.uid,
            gid: before.gid,
            why,
        }),
        stays => stays,
    }
}

/// As [`exchange_ownership`], of what must have no host id.
pub fn exchange_undated(before: &Ownership, map: &IdMap, why: Undated) -> Mapping {
    match undated_ownership(before, map, why) {
        Mapping::Already => exchange_ownership(before, map),
        in_question => in_question,
    }
}

/// Host ids become container ids, and container ids host ids: what a mount with exchanged owners shows.
pub fn exchange_ownership(before: &Ownership, map: &IdMap) -> Mapping {
    mapped_as(before, map, Through::Exchange)
}

/// Container ids become host ids, and an id that is on neither side stays, as such a mount shows it as it is. One that is a host
/// id already cannot be mapped: nothing would tell afterwards that it was not a container id before.
pub fn exchange_in_range(before: &Ownership, map: &IdMap) -> Mapping {
    mapped_as(before, map, Through::ExchangeInRange)
}

fn mapped_as(before: &Ownership, map: &IdMap, through: Through) -> Mapping {
    match mapped(before, map, through) {
        Err(unmapped) => Mapping::Unmapped(unmapped),
        Ok(after) if after == *before => Mapping::Already,
        Ok(after) => Mapping::Change(after),
    }
}

/// As [`map_ownership`], for what is known to be on the side that is mapped from: an id that only the target side
/// has is none of it, and cannot be mapped.
///
/// In a plain data-root 100050 is an id of a container that is larger than the range, and not what
/// the container's 50 became.
pub fn map_all_of_ownership(before: &Ownership, map: &IdMap, direction: Direction) -> Mapping {
    let there = |field, id, map: &RangeMap| {
        let already = map.map(id, direction) == Mapped::Already;
        already.then_some(Unmapped::Id { field, id })
    };
    // One of version 2 is that of id 0 of the side it is on.
    let root = |capability: &Capability| match direction {
        Direction::Into => Some(capability.rootid.unwrap_or(0)),
        Direction::OutOf => capability.rootid,
    };
    let first = there("uid", before.uid, &map.uids)
        .or_else(|| there("gid", before.gid, &map.gids))
        .or_else(|| first_named(before, map, root, there));
    match first {
        Some(unmapped) => Mapping::Unmapped(unmapped),
        None => map_ownership(before, map, direction),
    }
}

/// The first id beside the owner, in an ACL or a capability, that is on both sides of the map and stands for another one
/// on each.
pub fn named_on_both_sides(before: &Ownership, map: &IdMap) -> Option<Unmapped> {
    let on_both = |field, id, map: &RangeMap| {
        let sides = [Direction::Into, Direction::OutOf].map(|direction| map.map(id, direction));
        let is_other = |side| matches!(side, Mapped::To(other) if other != id);
        let is_on_both = sides.into_iter().all(is_other);
        is_on_both.then_some(Unmapped::BothSides { field, id })
    };
    first_named(before, map, |capability| capability.rootid, on_both)
}

/// The first id beside the owner of which `told` says something. `root`: the id of a capability.
fn first_named(
    before: &Ownership,
    map: &IdMap,
    root: impl Fn(&Capability) -> Option<u32>,
    told: impl Fn(&'static str, u32, &RangeMap) -> Option<Unmapped>,
) -> Option<Unmapped> {
    let xattrs = before.xattrs.as_deref()?;
    let acls = [(ACCESS, &xattrs.acl), (DEFAULT, &xattrs.default_acl)];
    let mut entries = acls.into_iter().flat_map(|(words, acl)| {
        let entries = acl.iter().flat_map(Acl::entries);
        entries.map(move |entry| (words, entry))
    });
    let of_entry = |(words, entry): (AclLabels, &AclEntry)| match entry.who {
        Who::User(id) => told(words.user, id, &map.uids),
        Who::Group(id) => told(words.group, id, &map.gids),
        _ => None,
    };
    let of_root = || {
        told(
            "capability rootid",
            root(xattrs.capability.as_ref()?)?,
            &map.uids,
        )
    };
    entries.find_map(of_entry).or_else(of_root)
}

/// Whether what is said to be shifted can be: `Already` where every id is on the target side, whatever else it
/// is on, else as [`map_ownership`].
pub fn expect_ownership(before: &Ownership, map: &IdMap, direction: Direction) -> Mapping {
    // A capability of the host names no id that the way back could miss.
    let of_host = before
        .xattrs
        .as_deref()
        .and_then(|xattrs| xattrs.capability.as_ref())
        .is_some_and(|capability| capability.rootid.is_none());
    let keeps_root = map.uids.map(0, Direction::Into) == Mapped::To(0);
    let is_there = !of_host || direction == Direction::OutOf || keeps_root;
    match map_all_of_ownership(before, map, direction.opposite()) {
        Mapping::Already | Mapping::Change(_) if is_there => Mapping::Already,
        _ => map_ownership(before, map, direction),
    }
}

/// Gives an inode to `owner`, a host uid and gid, whatever its own were. Named ACL entries and a
/// capability's root go through the map; the mode stays.
pub fn give_ownership(
    before: &Ownership,
    owner: (u32, u32),
    map: &IdMap,
    direction: Direction,
) -> Mapping {
    let given = mapped_xattrs(before, map, Through::Map(direction)).map(|xattrs| Ownership {
        uid: owner.0,
        gid: owner.1,
        mode: before.mode,
        xattrs,
    });
    match given {
        Err(unmapped) => Mapping::Unmapped(unmapped),
        Ok(after) if after == *before => Mapping::Already,
        Ok(after) => Mapping::Change(after),
    }
}

fn mapped(before: &Ownership, map: &IdMap, through: Through) -> Result<Ownership, Unmapped> {
    Ok(Ownership {
        uid: mapped_id(before.uid, "uid", &map.uids, through)?,
        gid: mapped_id(before.gid, "gid", &map.gids, through)?,
        mode: before.mode,
        xattrs: mapped_xattrs(before, map, through)?,
    })
}

fn mapped_xattrs(
    before: &Ownership,
    map: &IdMap,
    through: Through,
) -> Result<Option<Box<OwnershipXattrs>>, Unmapped> {
    let Some(xattrs) = &before.xattrs else {
        return Ok(None);
    };
    Ok(Some(Box::new(OwnershipXattrs {
        acl: mapped_acl(xattrs.acl.as_ref(), ACCESS, map, through)?,
        default_acl: mapped_acl(xattrs.default_acl.as_ref(), DEFAULT, map, through)?,
        capability: mapped_capability(xattrs.capability.as_ref(), map, through)?,
        overlay: xattrs.overlay.clone(),
    })))
}

fn mapped_id(
    id: u32,
    field: &'static str,
    map: &RangeMap,
    through: Through,
) -> Result<u32, Unmapped> {
    match through.id(id, map) {
        Mapped::To(id) => Ok(id),
        Mapped::Already => Ok(id),
        Mapped::Unmapped => Err(Unmapped::Id { field, id }),
    }
}

/// How messages call an ACL and its entries.
#[derive(Clone, Copy)]
struct AclLabels {
    acl: &'static str,
    user: &'static str,
    group: &'static str,
}

const ACCESS: AclLabels = AclLabels {
    acl: "ACL",
    user: "ACL user",
    group: "ACL group",
};

const DEFAULT: AclLabels = AclLabels {
    acl: "default ACL",
    user: "default ACL user",
    group: "default ACL group",
};

fn mapped_acl(
    acl: Option<&Acl>,
    words: AclLabels,
    map: &IdMap,
    through: Through,
) -> Result<Option<Acl>, Unmapped> {
    let Some(acl) = acl else { return Ok(None) };
    let entries: Result<Vec<AclEntry>, Unmapped> = acl
        .entries()
        .iter()
        .map(|entry| {
            let who = match entry.who {
                Who::User(id) => Who::User(mapped_id(id, words.user, &map.uids, through)?),
                Who::Group(id) => Who::Group(mapped_id(id, words.group, &map.gids, through)?),
                other => other,
            };
            Ok(AclEntry { who, ..*entry })
        })
        .collect();
    // The map can put ids in another order, and `new` puts the entries into the kernel's. What
    // was an ACL can only fail to be one again by two ids becoming one.
    let collision = |_| Unmapped::Collision { field: words.acl };
    Acl::new(entries?).map(Some).map_err(collision)
}

fn mapped_capability(
    capability: Option<&Capability>,
    map: &IdMap,
    through: Through,
) -> Result<Option<Capability>, Unmapped> {
    let Some(capability) = capability else {
        return Ok(None);
    };
    let root = match (capability.rootid, through) {
        (None, Through::Map(Direction::OutOf) | Through::GiveBack) => 0,
        (None, Through::Map(Direction::Into) | Through::Exchange | Through::ExchangeInRange) => {
            match map.uids.map(0, Direction::Into) {
                Mapped::To(root) => root,
                // The target side has the host's root, whose capability it is then.
                Mapped::Already => 0,
                Mapped::Unmapped => return Err(Unmapped::NoContainerRoot),
            }
        }
        (Some(root), _) => mapped_id(root, "capability rootid", &map.uids, through)?,
    };
    // Version 3 with root 0 says what version 2 says, and the kernel shows it as version 2
    // (`security/commoncap.c`, `cap_inode_getsecurity`): it could never be found as it was written.
    Ok(Some(Capability {
        rootid: (root != 0).then_some(root),
        ..*capability
    }))
}

#[cfg(test)]
mod tests;
