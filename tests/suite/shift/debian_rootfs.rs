//! A real Debian root filesystem works in a user namespace after a shift, and is the same again
//! after the way back.

use std::path::{Path, PathBuf};

use crate::support::userns::enter;
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, sh};

pub(super) fn debian(at: &Path) -> PathBuf {
    let tar = std::env::var_os("IDSHIFT_TEST_DEBIAN_TAR").expect(
        "IDSHIFT_TEST_DEBIAN_TAR names no Debian root filesystem: run tests/run, which makes one",
    );
    std::fs::create_dir(at).unwrap();
    let args = [
        "--zstd",
        "--xattrs",
        "--xattrs-include=*",
        "--numeric-owner",
        "-xpf",
    ]
    .map(AsRef::as_ref);
    sh(
        "tar",
        args.into_iter()
            .chain([&*tar, "-C".as_ref(), at.as_os_str()]),
    );
    let file = std::fs::File::open(at).unwrap();
    nix::unistd::syncfs(file).unwrap();
    at.to_path_buf()
}

#[test]
fn a_shifted_debian_works_in_a_user_namespace() {
    let fs = TestFs::new(Kind::Ext4);
    let root = debian(&fs.path().join("debian"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&root);
    idshift.shift(&root);
    let there = Snapshot::of(&root);
    assert_same(&start.shifted(&[MAP]), &there, "after the shift");

    // On the host, the capability is void: it belongs to another root.
    let ping = there.at("usr/bin/ping")["xattrs"]["security.capability"]
        .as_str()
        .unwrap();
    let (revision_3, root_id) = ("03", "a0860100");
    assert_eq!((&ping[6..8], &ping[40..]), (revision_3, root_id), "{ping}");
    assert_eq!(there.at("usr/bin/passwd")["mode"], "4755");
    assert_eq!(there.at("usr/bin/chage")["mode"], "2755");

    // Running programs is to leave no trace of its own.
    fs.keep_atimes();
    let inside = |command: &[&str]| enter(&root, &[MAP], command).exits(0);
    let audit = inside(&["dpkg", "--audit"]);
    assert_eq!(audit.text(), "", "{audit}");
    let caps = inside(&["getcap", "/usr/bin/ping"]);
    assert_eq!(caps.text(), "/usr/bin/ping cap_net_raw=ep\n");
    let as_nobody = |command: &str| inside(&["su", "-s", "/bin/sh", "nobody", "-c", command]);
    let id = as_nobody("id");
    assert_eq!(
        id.text(),
        "uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)\n"
    );
    // Only with the capability of its file may ping do this, only as setuid may passwd read shadow.
    as_nobody("ping -c1 -W5 127.0.0.1");
    as_nobody("passwd -S");
    let strangers = inside(&["find", "/", "-xdev", "-nouser", "-o", "-nogroup"]);
    assert_eq!(strangers.text(), "");

    idshift.reverse(&root);
    assert_same(&start, &Snapshot::of(&root), "after the way back");
}

#[test]
fn a_debian_is_the_same_after_shift_and_rollback() {
    let fs = TestFs::new(Kind::Ext4);
    let root = debian(&fs.path().join("debian"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&root);
    idshift.shift(&root);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&root),
        "after the shift",
    );
    idshift.rollback();
    assert_same(&start, &Snapshot::of(&root), "after the rollback");
}
