//! ACL entries for more users, who get what is granted, and nobody else gets more or less than before.

use super::acl::{Acl, AclEntry, Who};
use super::{Mode, Ownership, OwnershipXattrs};

const SEARCH: u8 = 0o1;
const WRITE: u8 = 0o2;

/// The ownership of a directory with an ACL entry that lets `uid` search it, and nobody get more or
/// less than before; unchanged where its entry allows it already.
///
/// `None` where an entry cannot help: the directory belongs to `uid`, and the owner's own bits
/// decide (`acl(5)`, "access check algorithm").
pub fn grant_search(before: &Ownership, uid: u32) -> Option<Ownership> {
    if before.uid == uid {
        return None;
    }
    match grant(access_entries(before), uid, SEARCH) {
        Some(entries) => with_access(before, entries),
        None => Some(before.clone()),
    }
}

/// The entries with one that gives `perm` to `uid`, and nobody else more or less than before; `None`
/// where its entry gives that already.
pub(super) fn grant(mut entries: Vec<AclEntry>, uid: u32, perm: u8) -> Option<Vec<AclEntry>> {
    let mask = entry(&entries, Who::Mask).map(|mask| mask.perm);
    // What the mask held back must not come free when it widens.
    if let Some(mask) = mask {
        for one in &mut entries {
            if matches!(one.who, Who::User(_) | Who::Group(_) | Who::GroupObj) {
                one.perm &= mask;
            }
        }
    }
    let group = entry(&entries, Who::GroupObj).map_or(0, |entry| entry.perm);
    let old_mask = mask.unwrap_or(group);
    let other = entry(&entries, Who::Other).map_or(0, |entry| entry.perm);
    let granted = match entries.iter_mut().find(|one| one.who == Who::User(uid)) {
        Some(own) if own.perm & perm == perm => return None,
        Some(own) => {
            own.perm |= perm;
            own.perm
        }
        None => {
            // Who is named is none of the others any more, and keeps what they have.
            let perm = perm | other;
            let who = Who::User(uid);
            entries.push(AclEntry { who, perm });
            perm
        }
    };
    entries.retain(|entry| entry.who != Who::Mask);
    entries.push(AclEntry {
        who: Who::Mask,
        perm: old_mask | granted,
    });
    Some(entries)
}

/// The entries without write permission for `uid`, but for what all others have; nobody else gets more or less than before.
/// `None` where its entry gives none, or there is no such entry.
pub(super) fn withdraw_write(mut entries: Vec<AclEntry>, uid: u32) -> Option<Vec<AclEntry>> {
    let mask = entry(&entries, Who::Mask)?.perm;
    let other = entry(&entries, Who::Other).map_or(0, |entry| entry.perm);
    let kept = other | !WRITE;
    let own = entries.iter_mut().find(|one| one.who == Who::User(uid))?;
    if own.perm & !kept == 0 {
        return None;
    }
    own.perm &= kept;
    // What the mask held back stays so when it is narrower.
    let mut narrow = 0;
    for one in &mut entries {
        if matches!(one.who, Who::User(_) | Who::Group(_) | Who::GroupObj) {
            one.perm &= mask;
            narrow |= one.perm;
        }
    }
    entries.retain(|entry| entry.who != Who::Mask);
    entries.push(AclEntry {
        who: Who::Mask,
        perm: narrow,
    });
    Some(entries)
}

/// The entries of the access ACL, or those that the mode stands for.
pub(super) fn access_entries(ownership: &Ownership) -> Vec<AclEntry> {
    match ownership.acl() {
        Some(acl) => acl.entries().to_vec(),
        None => minimal(ownership.mode.bits()),
    }
}

/// The same ownership with this access ACL, which has a mask; `None` where that is no ACL.
pub(super) fn with_access(before: &Ownership, entries: Vec<AclEntry>) -> Option<Ownership> {
    let mask = entry(&entries, Who::Mask).map_or(0, |mask| mask.perm);
    let xattrs = OwnershipXattrs {
        acl: Some(Acl::new(entries).ok()?),
        ..before.xattrs.as_deref().cloned().unwrap_or_default()
    };
    // With an ACL the group bits of the mode are its mask.
    let mode = before.mode.bits() & !0o070 | u16::from(mask) << 3;
    let mode = Mode::from_st_mode(mode.into());
    Some(Ownership::new(before.uid, before.gid, mode, xattrs))
}

pub(super) fn entry(entries: &[AclEntry], who: Who) -> Option<&AclEntry> {
    entries.iter().find(|entry| entry.who == who)
}

/// The three entries that permission bits stand for.
fn minimal(bits: u16) -> Vec<AclEntry> {
    let perm = |shift: u16| (bits >> shift & 0o7) as u8;
    [
        (Who::UserObj, perm(6)),
        (Who::GroupObj, perm(3)),
        (Who::Other, perm(0)),
    ]
    .map(|(who, perm)| AclEntry { who, perm })
    .to_vec()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ownership::acl::tests::acls;

    /// What somebody with these ids gets, by the algorithm of `acl(5)`.
    pub fn access(ownership: &Ownership, uid: u32, gid: u32) -> Vec<u8> {
        let entries = access_entries(ownership);
        let perm = |who| entry(&entries, who).map(|entry| entry.perm);
        let mask = perm(Who::Mask).unwrap_or(0o7);
        if uid == ownership.uid {
            return vec![perm(Who::UserObj).unwrap()];
        }
        if let Some(own) = perm(Who::User(uid)) {
            return vec![own & mask];
        }
        let mut groups = Vec::new();
        if gid == ownership.gid {
            groups.push(perm(Who::GroupObj).unwrap() & mask);
        }
        groups.extend(perm(Who::Group(gid)).map(|perm| perm & mask));
        match groups.is_empty() {
            true => vec![perm(Who::Other).unwrap()],
            false => groups,
        }
    }

    pub fn directories() -> impl Strategy<Value = Ownership> {
        let acl = prop::option::of(acls(0..6u32));
        (0..6u32, 0..6u32, 0..0o10000u32, acl).prop_map(|(uid, gid, bits, acl)| {
            let mut bits = bits as u16;
            if let Some(acl) = &acl {
                let perm = |who| entry(acl.entries(), who).map(|entry| u16::from(entry.perm));
                let group = perm(Who::Mask).or(perm(Who::GroupObj)).unwrap();
                let (owner, other) = (perm(Who::UserObj).unwrap(), perm(Who::Other).unwrap());
                bits = bits & 0o7000 | owner << 6 | group << 3 | other;
            }
            let xattrs = OwnershipXattrs {
                acl,
                ..OwnershipXattrs::default()
            };
            Ownership::new(uid, gid, Mode::from_st_mode(bits.into()), xattrs)
        })
    }

    proptest! {
        #[test]
        fn one_user_gets_search_and_others_keep_theirs(
            before in directories(), who in 0..8u32, uid in 0..8u32, gid in 0..8u32,
        ) {
            let Some(after) = grant_search(&before, who) else {
                prop_assert_eq!(before.uid, who);
                return Ok(());
            };
            prop_assert_eq!(before.mode.bits() & !0o070, after.mode.bits() & !0o070);
            let entry_had = before.acl().and_then(|acl| entry(acl.entries(), Who::User(who)).copied());
            if uid == who {
                // By an entry of its own now, where before it was one of the others.
                let other = u32::MAX - 1;
                let had = match entry_had {
                    Some(_) => access(&before, who, gid)[0],
                    None => access(&before, other, other)[0],
                };
                prop_assert_eq!(access(&after, who, gid), vec![had | SEARCH]);
            } else {
                prop_assert_eq!(access(&before, uid, gid), access(&after, uid, gid));
            }
        }
    }

    #[test]
    fn a_private_directory_gets_one_entry() {
        let before = Ownership::new(0, 0, Mode::from_st_mode(0o700), OwnershipXattrs::default());
        let after = grant_search(&before, 100_000).unwrap();
        let acl = after.acl().unwrap().to_string();
        assert_eq!(acl, "u::rwx,u:100000:--x,g::---,m::--x,o::---");
        assert_eq!(after.mode.to_string(), "0710");
        assert_eq!(grant_search(&after, 100_000).unwrap(), after);
    }
}
