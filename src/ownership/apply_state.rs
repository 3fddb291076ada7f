//! How far a change of an inode got.

use super::{Change, FileType, Mode, Ownership};

/// How far a change of an inode got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyState {
    /// Not changed yet.
    Before,
    /// Changed.
    After,
    /// Some of the system calls were made: on the way there, or on the way back.
    Partial,
    /// Somebody else changed it.
    Modified,
}

impl Change {
    /// The state of an inode that has the ownership `now`. If the change changes nothing, it is
    /// `After`.
    ///
    /// A change is made by several system calls (`fs::apply`): chown, which strips set-id bits and
    /// the capability of everything but a directory; then ACLs, mode, capability. It may be killed
    /// after any of them, and so may its undoing. So each field of an inode in between has its
    /// value of before or of after, or what chown leaves of it; an attribute of overlayfs has one of its names, or both.
    pub fn apply_state(&self, now: &Ownership, file_type: FileType) -> ApplyState {
        let (before, after) = (&self.before, &self.after);
        if now == after {
            return ApplyState::After;
        }
        if now == before {
            return ApplyState::Before;
        }
        let stripped = file_type != FileType::Directory;
        let mode = |whole: Mode| now.mode == whole || (stripped && now.mode.is_stripped_of(whole));
        let is_between = [before.uid, after.uid].contains(&now.uid)
            && [before.gid, after.gid].contains(&now.gid)
            && [before.acl(), after.acl()].contains(&now.acl())
            && [before.default_acl(), after.default_acl()].contains(&now.default_acl())
            && (mode(before.mode) || mode(after.mode))
            && ([before.capability(), after.capability()].contains(&now.capability())
                || (stripped && now.capability().is_none()))
            && now.overlay().is_between(before.overlay(), after.overlay());
        match is_between {
            true => ApplyState::Partial,
            false => ApplyState::Modified,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::idmap::{Direction, IdMap};
    use crate::ownership::acl::Who;
    use crate::ownership::acl::tests::acls;
    use crate::ownership::capability::tests::capabilities;
    use crate::ownership::{Acl, Capability, Mapping, OwnershipXattrs, map_ownership};

    fn sides() -> Change {
        let ownership = |json: &str| serde_json::from_str::<Ownership>(json).unwrap();
        Change {
            before: ownership(
                r#"{"uid":0,"gid":7,"mode":"6755","acl":"u::rwx,u:5:r--,g::r-x,m::r-x,o::r-x","capability":{"version":2,"effective":true,"permitted":"0x2000","inheritable":"0x0"}}"#,
            ),
            after: ownership(
                r#"{"uid":100000,"gid":100007,"mode":"6755","acl":"u::rwx,u:100005:r--,g::r-x,m::r-x,o::r-x","capability":{"version":3,"effective":true,"permitted":"0x2000","inheritable":"0x0","rootid":100000}}"#,
            ),
        }
    }

    /// A system call that changes an inode.
    #[derive(Clone, Debug)]
    enum Call {
        Chown(u32, u32),
        SetAcl(Option<Acl>),
        SetDefaultAcl(Option<Acl>),
        Chmod(Mode),
        SetCapability(Option<Capability>),
    }

    /// The permission bits that an access ACL stands for (`acl(5)`, "correspondence between ACL
    /// entries and file permission bits").
    fn acl_bits(acl: &Acl) -> u16 {
        let perm = |who: Who| acl.entries().iter().find(|entry| entry.who == who);
        let group = perm(Who::Mask).or(perm(Who::GroupObj));
        [perm(Who::UserObj), group, perm(Who::Other)]
            .into_iter()
            .fold(0, |bits, entry| bits << 3 | u16::from(entry.unwrap().perm))
    }

    /// A small model of what the kernel does to an inode.
    fn done(call: &Call, now: &Ownership, file_type: FileType) -> Ownership {
        let mut xattrs = now.xattrs.as_deref().cloned().unwrap_or_default();
        let (mut uid, mut gid) = (now.uid, now.gid);
        let mut bits = now.mode.bits();
        match call.clone() {
            Call::Chown(to_uid, to_gid) => {
                (uid, gid) = (to_uid, to_gid);
                if file_type != FileType::Directory {
                    bits &= if bits & 0o010 != 0 { 0o1777 } else { 0o3777 };
                    xattrs.capability = None;
                }
            }
            Call::SetAcl(acl) => {
                if let Some(acl) = &acl {
                    bits = bits & 0o7000 | acl_bits(acl);
                }
                xattrs.acl = acl;
            }
            Call::SetDefaultAcl(acl) => xattrs.default_acl = acl,
            Call::Chmod(mode) => bits = mode.bits(),
            Call::SetCapability(capability) => xattrs.capability = capability,
        }
        Ownership::new(uid, gid, Mode::from_st_mode(bits.into()), xattrs)
    }

    /// The calls that bring an inode to `wanted`: all that there are, or only those it needs.
    fn calls(now: &Ownership, wanted: &Ownership, file_type: FileType, all: bool) -> Vec<Call> {
        let mut calls = Vec::new();
        let chowns = all || (now.uid, now.gid) != (wanted.uid, wanted.gid);
        let sets_acl = all || now.acl() != wanted.acl();
        if chowns {
            calls.push(Call::Chown(wanted.uid, wanted.gid));
        }
        if file_type == FileType::Symlink {
            return calls;
        }
        if sets_acl {
            calls.push(Call::SetAcl(wanted.acl().cloned()));
        }
        if all || now.default_acl() != wanted.default_acl() {
            calls.push(Call::SetDefaultAcl(wanted.default_acl().cloned()));
        }
        if chowns || sets_acl || now.mode != wanted.mode {
            calls.push(Call::Chmod(wanted.mode));
        }
        if chowns || now.capability() != wanted.capability() {
            calls.push(Call::SetCapability(wanted.capability().copied()));
        }
        calls
    }

    /// Inodes as a filesystem can have them: some of their ids already shifted, the mode as the
    /// access ACL says, nothing but an owner on a symlink, a default ACL on directories only.
    fn changes() -> impl Strategy<Value = (FileType, Change)> {
        let file_type = prop::sample::select(vec![
            FileType::File,
            FileType::Directory,
            FileType::Symlink,
            FileType::Fifo,
        ]);
        let id = || prop_oneof![4 => 0u32..50, 1 => 100_050u32..100_100];
        let acl = || prop::option::of(acls(0u32..50));
        let capability = prop::option::of(capabilities(Just(None)));
        let map: IdMap = serde_json::from_str(r#"{"uid":["0:100000:100"],"gid":["0:100000:100"]}"#)
            .expect("a map");
        (
            file_type,
            id(),
            id(),
            0u16..0o10000,
            acl(),
            acl(),
            capability,
        )
            .prop_filter_map(
                "nothing to change",
                move |(file_type, uid, gid, bits, acl, default_acl, capability)| {
                    let is_symlink = file_type == FileType::Symlink;
                    let acl = acl.filter(|_| !is_symlink);
                    let bits = match &acl {
                        _ if is_symlink => 0o777,
                        Some(acl) => bits & 0o7000 | acl_bits(acl),
                        None => bits,
                    };
                    let xattrs = OwnershipXattrs {
                        acl,
                        default_acl: default_acl.filter(|_| file_type == FileType::Directory),
                        capability: capability.filter(|_| !is_symlink),
                        ..OwnershipXattrs::default()
                    };
                    let before = Ownership::new(uid, gid, Mode::from_st_mode(bits.into()), xattrs);
                    match map_ownership(&before, &map, Direction::Into) {
                        Mapping::Change(after) => Some((file_type, Change { before, after })),
                        _ => None,
                    }
                },
            )
    }

    proptest! {
        #[test]
        fn a_change_or_undo_killed_anywhere_can_be_finished(
            (file_type, change) in changes(),
            all: bool,
            runs in proptest::collection::vec((any::<bool>(), 0usize..6), 1..5),
            forward: bool,
        ) {
            let target = |forward: bool| if forward { &change.after } else { &change.before };
            let mut now = change.before.clone();
            for (forward, killed) in runs {
                for call in calls(&now, target(forward), file_type, all).iter().take(killed) {
                    now = done(call, &now, file_type);
                    let apply_state = change.apply_state(&now, file_type);
                    prop_assert_ne!(apply_state, ApplyState::Modified, "{:?} left {:?}", call, now);
                }
            }
            for call in &calls(&now, target(forward), file_type, all) {
                now = done(call, &now, file_type);
            }
            let expected = if forward { ApplyState::After } else { ApplyState::Before };
            prop_assert_eq!(change.apply_state(&now, file_type), expected);
        }
    }

    #[test]
    fn every_call_leads_to_partial_the_last_to_after() {
        let change = sides();
        let mut now = change.before.clone();
        let mut seen = vec![change.apply_state(&now, FileType::File)];
        for call in &calls(&now, &change.after, FileType::File, false) {
            now = done(call, &now, FileType::File);
            seen.push(change.apply_state(&now, FileType::File));
        }
        let between = ApplyState::Partial;
        assert_eq!(
            seen,
            [
                ApplyState::Before,
                between,
                between,
                between,
                ApplyState::After
            ]
        );
    }

    #[test]
    fn a_change_of_nothing_is_done() {
        let before = sides().before;
        let after = before.clone();
        let change = Change { before, after };
        let apply_state = change.apply_state(&change.before, FileType::File);
        assert_eq!(apply_state, ApplyState::After);
    }

    #[test]
    fn what_no_change_leaves_is_foreign() {
        let change = sides();
        let foreign = |change_it: fn(&mut Ownership)| {
            let mut now = change.after.clone();
            change_it(&mut now);
            assert_eq!(
                change.apply_state(&now, FileType::File),
                ApplyState::Modified,
                "{now:?}"
            );
        };
        foreign(|now| now.uid = 1);
        foreign(|now| now.gid = 1);
        foreign(|now| now.mode = Mode::from_st_mode(0o700));
        foreign(|now| now.mode = Mode::from_st_mode(0o7755));
        foreign(|now| now.xattrs = None);
    }

    #[test]
    fn a_directory_loses_nothing_to_chown() {
        let change = sides();
        let mut now = change.after.clone();
        now.mode = Mode::from_st_mode(0o755);
        assert_eq!(
            change.apply_state(&now, FileType::File),
            ApplyState::Partial
        );
        assert_eq!(
            change.apply_state(&now, FileType::Directory),
            ApplyState::Modified
        );
    }
}
