//! A tree that a user of the host and a user of a container both use: ACL entries, and no other owner.

use super::acl::{Acl, AclEntry, Who};
use super::grant::{access_entries, entry, grant, with_access, withdraw_write};
use super::{FileType, Mapping, Ownership, OwnershipXattrs};
use crate::idmap::{Direction, IdMap, Mapped};

const READ: u8 = 0o4;
const WRITE: u8 = 0o2;
const EXECUTE: u8 = 0o1;

/// Who shares a tree: host ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing {
    /// The container's user.
    pub container: u32,
    /// The host's user, who gets what containers own in it.
    pub host: u32,
    /// The container's user gets no write permission.
    pub read_only: bool,
}

/// The same ownership with ACL entries, so that both sides can do what the owner can. Of a directory, the default ACL
/// names both, for what either side makes in it. Only files and directories get entries: who may write to a socket, a FIFO or
/// a device has the rights of what is behind it.
pub fn share_ownership(
    before: &Ownership,
    file_type: FileType,
    sharing: Sharing,
    map: &IdMap,
) -> Mapping {
    if !matches!(file_type, FileType::File | FileType::Directory) {
        return Mapping::Already;
    }
    let is_of_container = matches!(map.uids.map(before.uid, Direction::OutOf), Mapped::To(_));
    let owner = (before.mode.bits() >> 6 & 0o7) as u8;
    let container = (sharing.container, owner & most(before, file_type, sharing));
    let host = match is_of_container {
        true => sharing.host,
        false => before.uid,
    };
    let for_access = [Some(container), is_of_container.then_some((host, owner))];
    let not_owner = |&(uid, _): &(u32, u8)| uid != before.uid;
    let access = for_access.into_iter().flatten().filter(not_owner);
    let writes = most(before, file_type, sharing) & WRITE != 0;
    let held = (!writes).then_some(sharing.container);
    let mut after = match grant_all(access_entries(before), held, access) {
        Some(entries) => with_access(before, entries).unwrap_or_else(|| before.clone()),
        None => before.clone(),
    };
    if file_type == FileType::Directory {
        // Of what it cannot write, the container makes nothing.
        let for_default = [
            Some(container),
            (!sharing.read_only).then_some((host, owner)),
        ];
        let held = sharing.read_only.then_some(sharing.container);
        let granted = grant_all(
            default_entries(before),
            held,
            for_default.into_iter().flatten(),
        );
        if let Some(default_acl) = granted.and_then(|entries| Acl::new(entries).ok()) {
            let xattrs = OwnershipXattrs {
                default_acl: Some(default_acl),
                ..after.xattrs.as_deref().cloned().unwrap_or_default()
            };
            after = Ownership::new(after.uid, after.gid, after.mode, xattrs);
        }
    }
    match after == *before {
        true => Mapping::Already,
        false => Mapping::Change(after),
    }
}

/// The most that the container's user gets.
fn most(before: &Ownership, file_type: FileType, sharing: Sharing) -> u8 {
    // The kernel clears set-id bits and capabilities on `write(2)`, but not on a write through `mmap(2)`: the program would run
    // with the rights of its owner, and the container's code.
    let is_privileged =
        file_type == FileType::File && (before.mode.has_setid() || before.capability().is_some());
    match sharing.read_only || is_privileged {
        true => READ | EXECUTE,
        false => READ | WRITE | EXECUTE,
    }
}

/// Entries for all of these users; `None` where all are there. Root needs none. `reader` may not write any more.
fn grant_all(
    mut entries: Vec<AclEntry>,
    reader: Option<u32>,
    users: impl Iterator<Item = (u32, u8)>,
) -> Option<Vec<AclEntry>> {
    let mut is_changed = false;
    if let Some(held) = reader.and_then(|uid| withdraw_write(entries.clone(), uid)) {
        entries = held;
        is_changed = true;
    }
    for (uid, perm) in users.filter(|&(uid, _)| uid != 0) {
        if let Some(granted) = grant(entries.clone(), uid, perm) {
            entries = granted;
            is_changed = true;
        }
    }
    is_changed.then_some(entries)
}

/// The entries of the default ACL. Where there is none, those of a new one, which takes the place of the umask: others
/// get no write permission by it, and the group only where the set-group-id bit says that it shares the directory.
fn default_entries(before: &Ownership) -> Vec<AclEntry> {
    if let Some(acl) = before.default_acl() {
        return acl.entries().to_vec();
    }
    let access = access_entries(before);
    let mask = entry(&access, Who::Mask).map_or(0o7, |mask| mask.perm);
    let keeps_group = before.mode.bits() & 0o2000 != 0;
    let base = [
        (Who::UserObj, 0o7),
        (
            Who::GroupObj,
            if keeps_group { mask } else { mask & !WRITE },
        ),
        (Who::Other, !WRITE),
    ];
    base.map(|(who, most)| AclEntry {
        who,
        perm: entry(&access, who).map_or(0, |entry| entry.perm & most),
    })
    .to_vec()
}

#[cfg(test)]
mod tests;
