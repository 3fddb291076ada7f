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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{Mode, OwnershipXattrs};

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
            let acl = acl.map(|text| text.parse().unwrap());
            let xattrs = OwnershipXattrs {
                acl,
                ..OwnershipXattrs::default()
            };
            let ownership = Ownership::new(5, 6, Mode::from_st_mode(mode), xattrs);
            let found = may(&ownership, uid, gids, wanted);
            assert_eq!(
                found, expected,
                "{mode:o} {ownership:?} {uid} {gids:?} {wanted}"
            );
        }
    }
}
