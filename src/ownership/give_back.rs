//! What a forced rollback gives an inode that somebody changed since the run.

use super::acl::{Acl, AclEntry, Who};
use super::{Change, Mode, Ownership, OwnershipXattrs};

const SET_IDS: u16 = 0o6000;

impl Change {
    /// Owner and group as before the change; of the rest, what was changed since stays, so that nobody gets
    /// an access that was taken away meanwhile.
    ///
    /// - Permission bits that the change itself set are taken back, all others stay as they are now.
    /// - Set-id bits stay only where the inode had them before and has them now. One that was set since would
    ///   count for the old owner, often root; one that is gone may have been taken away on purpose, or by a
    ///   chown to somebody who then wrote the file.
    /// - A capability, likewise, is given only where the one that the change left is still there.
    /// - An attribute of overlayfs that is gone stays away.
    /// - An access ACL in which only permissions changed (by chmod) gets its old ids back and keeps them; one
    ///   with other entries stays whole, as does another default ACL.
    pub fn give_back(&self, now: &Ownership) -> Ownership {
        let Change { before, after } = self;
        let xattrs = OwnershipXattrs {
            acl: acl(self, now),
            default_acl: match [before.default_acl(), after.default_acl()]
                .contains(&now.default_acl())
            {
                true => before.default_acl().cloned(),
                false => now.default_acl().cloned(),
            },
            capability: match [before.capability(), after.capability()].contains(&now.capability())
            {
                true => before
                    .capability()
                    .filter(|_| now.capability().is_some())
                    .copied(),
                false => None,
            },
            overlay: before.overlay().given_back(now.overlay()),
        };
        Ownership::new(before.uid, before.gid, mode(self, now), xattrs)
    }
}

fn mode(change: &Change, now: &Ownership) -> Mode {
    let [before, after, now] =
        [&change.before, &change.after, now].map(|ownership| ownership.mode.bits());
    let changed = before ^ after;
    let permissions = (now & !changed | before & changed) & !SET_IDS;
    let set_ids = now & before & SET_IDS;
    Mode::from_st_mode((permissions | set_ids).into())
}

fn acl(change: &Change, now: &Ownership) -> Option<Acl> {
    let (before, after) = (change.before.acl(), change.after.acl());
    if [before, after].contains(&now.acl()) {
        return before.cloned();
    }
    let (Some(before), Some(after), Some(now)) = (before, after, now.acl()) else {
        return now.acl().cloned();
    };
    let is_named = |entry: &&AclEntry| matches!(entry.who, Who::User(_) | Who::Group(_));
    let named = |acl: &Acl| {
        acl.entries()
            .iter()
            .filter(is_named)
            .copied()
            .collect::<Vec<_>>()
    };
    if named(now) != named(after) {
        return Some(now.clone());
    }
    let others = now
        .entries()
        .iter()
        .filter(|entry| !is_named(entry))
        .copied();
    let entries = named(before).into_iter().chain(others).collect();
    Some(Acl::new(entries).unwrap_or_else(|_| now.clone()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(uid: u32, bits: u16) -> Ownership {
        let mode = Mode::from_st_mode(bits.into());
        Ownership::new(uid, uid, mode, OwnershipXattrs::default())
    }

    proptest! {
        #[test]
        fn no_bit_is_given_that_is_not_there_now(bits in 0u16..0o10000, since in 0u16..0o10000, uid in 0u32..200_000) {
            let change = Change { before: of(0, bits), after: of(100_000, bits) };
            let back = change.give_back(&of(uid, since));
            prop_assert_eq!((back.uid, back.gid), (0, 0));
            prop_assert_eq!(back.mode.bits() & !since, 0);
            prop_assert_eq!(back.mode.bits() & 0o1777, since & 0o1777);
            prop_assert_eq!(back.mode.bits() & 0o6000 & !bits, 0);
        }

        #[test]
        fn what_the_change_left_is_given_back_whole(bits in 0u16..0o10000, after in 0u16..0o10000) {
            // A change never takes set-id bits away for good.
            let after = after & 0o1777 | bits & 0o6000;
            let change = Change { before: of(0, bits), after: of(100_000, after) };
            prop_assert_eq!(&change.give_back(&change.after), &change.before);
        }
    }

    fn with_acl(uid: u32, acl: &str, mode: &str) -> Ownership {
        let json = format!(r#"{{"uid":{uid},"gid":{uid},"mode":"{mode}","acl":"{acl}"}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn an_acl_changed_by_chmod_gets_ids_and_keeps_mask() {
        let change = Change {
            before: with_acl(0, "u::rw-,u:5:rw-,g::r--,m::rw-,o::r--", "0664"),
            after: with_acl(100_000, "u::rw-,u:100005:rw-,g::r--,m::rw-,o::r--", "0664"),
        };
        let now = with_acl(100_000, "u::rw-,u:100005:rw-,g::r--,m::---,o::---", "0600");
        let expected = with_acl(0, "u::rw-,u:5:rw-,g::r--,m::---,o::---", "0600");
        assert_eq!(change.give_back(&now), expected);
        // One that was taken away stays away.
        assert_eq!(change.give_back(&of(100_000, 0o644)), of(0, 0o644));
    }
}
