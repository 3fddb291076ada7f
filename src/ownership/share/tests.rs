use proptest::prelude::*;

use super::*;
use crate::ownership::Mode;
use crate::ownership::grant::tests::{access, directories};

const HOST: u32 = 1000;
const CONTAINER: u32 = 100_999;

fn map() -> IdMap {
    IdMap::from_specs(&["b:0:100000:65536".parse().unwrap()]).unwrap()
}

fn shared(before: &Ownership, file_type: FileType, read_only: bool) -> Ownership {
    let sharing = Sharing {
        container: CONTAINER,
        host: HOST,
        read_only,
    };
    match share_ownership(before, file_type, sharing, &map()) {
        Mapping::Change(after) => after,
        Mapping::Already => before.clone(),
        Mapping::Unmapped(unmapped) => panic!("{unmapped}"),
    }
}

fn plain(uid: u32, mode: u32) -> Ownership {
    let mode = Mode::from_st_mode(mode);
    Ownership::new(uid, uid, mode, OwnershipXattrs::default())
}

fn texts(ownership: &Ownership) -> (String, String, String) {
    let text = |acl: Option<&Acl>| acl.map(ToString::to_string).unwrap_or_default();
    let mode = ownership.mode.to_string();
    (mode, text(ownership.acl()), text(ownership.default_acl()))
}

#[test]
fn both_sides_are_named_where_they_do_not_own() {
    use FileType::{Directory, File};
    for (uid, mode, file_type, expected) in [
        (
            HOST,
            0o644,
            File,
            ("0664", "u::rw-,u:100999:rw-,g::r--,m::rw-,o::r--", ""),
        ),
        (
            HOST,
            0o600,
            File,
            ("0660", "u::rw-,u:100999:rw-,g::---,m::rw-,o::---", ""),
        ),
        (
            HOST,
            0o444,
            File,
            ("0444", "u::r--,u:100999:r--,g::r--,m::r--,o::r--", ""),
        ),
        (
            CONTAINER,
            0o640,
            File,
            ("0660", "u::rw-,u:1000:rw-,g::r--,m::rw-,o::---", ""),
        ),
        // Another user of the container's: of no use to either.
        (
            100_000,
            0o600,
            File,
            (
                "0660",
                "u::rw-,u:1000:rw-,u:100999:rw-,g::---,m::rw-,o::---",
                "",
            ),
        ),
        (
            HOST,
            0o750,
            Directory,
            (
                "0770",
                "u::rwx,u:100999:rwx,g::r-x,m::rwx,o::---",
                "u::rwx,u:1000:rwx,u:100999:rwx,g::r-x,m::rwx,o::---",
            ),
        ),
        // Root needs no entry.
        (
            0,
            0o755,
            Directory,
            (
                "0775",
                "u::rwx,u:100999:rwx,g::r-x,m::rwx,o::r-x",
                "u::rwx,u:100999:rwx,g::r-x,m::rwx,o::r-x",
            ),
        ),
    ] {
        let found = texts(&shared(&plain(uid, mode), file_type, false));
        let (mode, acl, default_acl) = &found;
        assert_eq!(
            (mode.as_str(), acl.as_str(), default_acl.as_str()),
            expected
        );
    }
}

#[test]
fn read_only_gives_no_write_permission() {
    let (mode, acl, default_acl) = texts(&shared(&plain(HOST, 0o700), FileType::Directory, true));
    assert_eq!(mode, "0750");
    assert_eq!(acl, "u::rwx,u:100999:r-x,g::---,m::r-x,o::---");
    assert_eq!(default_acl, "u::rwx,u:100999:r-x,g::---,m::r-x,o::---");
}

#[test]
fn read_only_takes_write_permission_back() {
    use FileType::{Directory, File};
    for (uid, mode, file_type) in [
        (HOST, 0o644, File),
        (HOST, 0o750, Directory),
        (0, 0o755, Directory),
        // Others may write to it, and so may the container.
        (HOST, 0o666, File),
        (100_000, 0o640, File),
    ] {
        let before = plain(uid, mode);
        let written = shared(&before, file_type, false);
        let read = shared(&written, file_type, true);
        let is_open = mode & 0o2 != 0;
        assert_eq!(read == written, is_open, "{uid} {mode:o}");
        let (mode_text, acl, default_acl) = texts(&read);
        let fresh = texts(&shared(&before, file_type, true));
        // The host's user keeps an entry in the default ACL.
        let default_acl = default_acl
            .replace("u:1000:rwx,", "")
            .replace("m::rwx", "m::r-x");
        assert_eq!((mode_text, acl, default_acl), fresh, "{uid} {mode:o}");
        // And it is given again.
        assert_eq!(texts(&shared(&read, file_type, false)), texts(&written));
    }
}

#[test]
fn a_file_that_became_privileged_gets_no_writer() {
    let written = shared(&plain(HOST, 0o755), FileType::File, false);
    let mode = Mode::from_st_mode(u32::from(written.mode.bits()) | 0o4000);
    let before = Ownership { mode, ..written };
    let (mode, acl, _) = texts(&shared(&before, FileType::File, false));
    assert_eq!(mode, "4755");
    assert_eq!(acl, "u::rwx,u:100999:r-x,g::r-x,m::r-x,o::r-x");
}

#[test]
fn programs_with_privileges_get_no_writer() {
    for (mode, capability) in [
        (0o4755, None),
        (0o2755, None),
        (
            0o755,
            Some(r#"{"version":2,"effective":true,"permitted":"0x2000","inheritable":"0x0"}"#),
        ),
    ] {
        let xattrs = OwnershipXattrs {
            capability: capability.map(|json| serde_json::from_str(json).unwrap()),
            ..OwnershipXattrs::default()
        };
        let before = Ownership::new(0, 0, Mode::from_st_mode(mode), xattrs);
        let after = shared(&before, FileType::File, false);
        assert_eq!(after.mode, before.mode);
        assert_eq!(after.capability(), before.capability());
        let acl = after.acl().unwrap().to_string();
        assert_eq!(acl, "u::rwx,u:100999:r-x,g::r-x,m::r-x,o::r-x");
    }
}

#[test]
fn new_files_are_not_open_to_more_than_a_umask_would_allow() {
    for (mode, expected) in [
        (
            0o1777,
            "u::rwx,u:1000:rwx,u:100999:rwx,g::r-x,m::rwx,o::r-x",
        ),
        (0o775, "u::rwx,u:1000:rwx,u:100999:rwx,g::r-x,m::rwx,o::r-x"),
        // Here the group shares it too.
        (
            0o2775,
            "u::rwx,u:1000:rwx,u:100999:rwx,g::rwx,m::rwx,o::r-x",
        ),
    ] {
        let (_, _, default_acl) = texts(&shared(&plain(HOST, mode), FileType::Directory, false));
        assert_eq!(default_acl, expected, "{mode:o}");
    }
}

#[test]
fn what_leads_elsewhere_stays() {
    use FileType::{BlockDevice, CharDevice, Fifo, Socket, Symlink};
    for file_type in [Symlink, Fifo, Socket, CharDevice, BlockDevice] {
        let before = plain(HOST, 0o660);
        assert_eq!(shared(&before, file_type, false), before, "{file_type:?}");
    }
}

proptest! {
    #[test]
    fn both_sides_get_it_and_others_keep_theirs(
        before in directories(), read_only: bool, owner in 0..4usize, uid in 1..8u32, gid in 0..8u32,
    ) {
        let uid_before = [HOST, CONTAINER, 100_000, before.uid + 1][owner];
        let before = Ownership { uid: uid_before, ..before };
        let after = shared(&before, FileType::Directory, read_only);
        prop_assert_eq!((before.uid, before.gid), (after.uid, after.gid));
        prop_assert_eq!(before.mode.bits() & !0o070, after.mode.bits() & !0o070);
        prop_assert_eq!(access(&before, uid, gid), access(&after, uid, gid));
        let owners = (before.mode.bits() >> 6 & 0o7) as u8;
        let wanted = if read_only { owners & 0o5 } else { owners };
        prop_assert_eq!(access(&after, CONTAINER, gid)[0] & wanted, wanted);
        let others = access(&before, CONTAINER + 1, 1_000_000)[0];
        if read_only && before.uid != CONTAINER {
            prop_assert_eq!(access(&after, CONTAINER, gid)[0] & 0o2 & !others, 0);
        }
        let is_hosts = before.uid != CONTAINER && before.uid != 100_000;
        if !is_hosts {
            prop_assert_eq!(access(&after, HOST, gid)[0] & owners, owners);
        }
        // A second run changes nothing.
        prop_assert_eq!(&shared(&after, FileType::Directory, read_only), &after);
    }
}
