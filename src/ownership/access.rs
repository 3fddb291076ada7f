//! What somebody may do with an inode, by the algorithm of `acl(5)`.

use super::Ownership;
use super::acl::{AclEntry, Who};

/// Whether a process with these ids gets all of these permissions (read 4, write 2, execute 1) from
/// owner, mode and ACL. Capabilities are not asked.
pub fn may(ownership: &Ownership, uid: u32, gids: &[u32], wanted: u8) -> bool {
    let has = |perm: u8| perm & wanted == wanted;
    let bits = ownership.mode.bits();
    let class = |shift: u16| (bits >> shift & 0o7) as u8;
    if uid == ownership.uid {
        return has(class(6));
    }
    let entries = ownership.acl().map_or(&[][..], |acl| acl.entries());
    let is_mask = |entry: &&AclEntry| entry.who == Who::Mask;
    let mask = entries.iter().find(is_mask).map_or(0o7, |entry| entry.perm);
    let named = entries.iter().find(|entry| entry.who == Who::User(uid));
    if let Some(named) = named {
        return has(named.perm & mask);
    }
    // Of several groups any one that allows all of it will do; one that allows less still keeps
    // the process from being one of the others.
    let own = match ownership.acl() {
        None => Some(class(3)),
        Some(_) => entries
            .iter()
            .find(|entry| entry.who == Who::GroupObj)
            .map(|entry| entry.perm & mask),
    };
    let mut groups = own
        .filter(|_| gids.contains(&ownership.gid))
        .into_iter()
        .chain(entries.iter().filter_map(|entry| match entry.who {
            Who::Group(gid) if gids.contains(&gid) => Some(entry.perm & mask),
            _ => None,
        }))
        .peekable();
    match groups.peek() {
        Some(_) => groups.any(has),
        None => has(class(0)),
    }
}

/// Whether nobody but root and root's group gets any of these permissions from owner, mode and ACL.
pub fn only_root_may(ownership: &Ownership, any: u8) -> bool {
    let bits = ownership.mode.bits();
    let class = |shift: u16| (bits >> shift & 0o7) as u8;
    let gives = |perm: u8| perm & any != 0;
    let is_roots_group = ownership.gid == 0;
    if ownership.uid != 0 || gives(class(0)) {
        return false;
    }
    let Some(acl) = ownership.acl() else {
        return is_roots_group || !gives(class(3));
    };
    // With an ACL, the bits of the group are its mask (`acl(5)`).
    let mask = class(3);
    acl.entries().iter().all(|entry| match entry.who {
        Who::UserObj | Who::Mask | Who::Other | Who::User(0) | Who::Group(0) => true,
        Who::GroupObj => is_roots_group || !gives(entry.perm & mask),
        Who::User(_) | Who::Group(_) => !gives(entry.perm & mask),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{Mode, OwnershipXattrs};

    fn owned(uid: u32, gid: u32, mode: u32, acl: Option<&str>) -> Ownership {
        let xattrs = OwnershipXattrs {
            acl: acl.map(|text| text.parse().unwrap()),
            ..OwnershipXattrs::default()
        };
        Ownership::new(uid, gid, Mode::from_st_mode(mode), xattrs)
    }

    #[test]
    fn an_entry_of_an_acl_lets_others_in() {
        for (uid, gid, mode, acl, expected) in [
            (0, 0, 0o710, None, true),
            (0, 5, 0o700, None, true),
            (0, 5, 0o710, None, false),
            (0, 0, 0o701, None, false),
            (5, 0, 0o700, None, false),
            (
                0,
                0,
                0o710,
                Some("u::rwx,u:5:--x,g::---,m::--x,o::---"),
                false,
            ),
            (
                0,
                0,
                0o710,
                Some("u::rwx,g::---,g:5:--x,m::--x,o::---"),
                false,
            ),
            (
                0,
                0,
                0o700,
                Some("u::rwx,u:5:--x,g::---,m::---,o::---"),
                true,
            ),
            (
                0,
                0,
                0o710,
                Some("u::rwx,u:0:--x,g::--x,m::--x,o::---"),
                true,
            ),
            (
                0,
                5,
                0o710,
                Some("u::rwx,u:0:--x,g::--x,m::--x,o::---"),
                false,
            ),
            (
                0,
                0,
                0o740,
                Some("u::rwx,u:5:r--,g::---,m::r--,o::---"),
                true,
            ),
        ] {
            let ownership = owned(uid, gid, mode, acl);
            assert_eq!(only_root_may(&ownership, 1), expected, "{ownership:?}");
        }
    }

    #[test]
    fn the_first_class_that_fits_decides() {
        for (mode, acl, uid, gids, wanted, expected) in [
            (0o700, None, 5, &[6][..], 7, true),
            (0o070, None, 5, &[6][..], 7, false),
            (0o070, None, 1, &[1, 6][..], 7, true),
            (0o007, None, 1, &[6][..], 7, false),
            (0o007, None, 1, &[1][..], 7, true),
            (
                0o770,
                Some("u::rwx,u:1:r-x,g::rwx,m::rwx,o::---"),
                1,
                &[6][..],
                7,
                false,
            ),
            (
                0o710,
                Some("u::rwx,u:1:rwx,g::---,m::--x,o::---"),
                1,
                &[1][..],
                1,
                true,
            ),
            (
                0o710,
                Some("u::rwx,u:1:rwx,g::---,m::--x,o::---"),
                1,
                &[1][..],
                5,
                false,
            ),
            (
                0o770,
                Some("u::rwx,g::---,g:9:rwx,m::rwx,o::---"),
                1,
                &[6, 9][..],
                7,
                true,
            ),
            (
                0o777,
                Some("u::rwx,g::---,g:9:r--,m::rwx,o::rwx"),
                1,
                &[9][..],
                7,
                false,
            ),
            (
                0o777,
                Some("u::rwx,g::---,g:9:r--,m::rwx,o::rwx"),
                1,
                &[1][..],
                7,
                true,
            ),
        ] {
            let ownership = owned(5, 6, mode, acl);
            let found = may(&ownership, uid, gids, wanted);
            assert_eq!(
                found, expected,
                "{mode:o} {ownership:?} {uid} {gids:?} {wanted}"
            );
        }
    }
}
