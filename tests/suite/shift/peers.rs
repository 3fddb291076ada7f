//! On a tree that the older program handles, both leave the same.

use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, sh, tree};

#[test]
fn fuidshift_leaves_the_same_owners_and_modes() {
    let fs = TestFs::new(Kind::Ext4);
    // It does not know sockets and does not map every entry of an ACL: those are left out.
    let build = |name: &str| tree::plain_zoo(&fs.path().join(name));
    let (ours, theirs) = (build("ours"), build("theirs"));
    for socket in [&ours, &theirs].map(|tree| tree.join("kinds/socket")) {
        std::fs::remove_file(socket).unwrap();
    }
    let start = owners(&ours);
    assert_eq!(start, owners(&theirs));

    let idshift = Idshift::new();
    idshift.shift(&ours);
    sh("fuidshift", [theirs.as_os_str(), MAP.as_ref()]);
    assert_eq!(owners(&ours), owners(&theirs), "after the shift");

    idshift.reverse(&ours);
    sh(
        "fuidshift",
        [theirs.as_os_str(), "-r".as_ref(), MAP.as_ref()],
    );
    assert_eq!(owners(&ours), owners(&theirs), "after the way back");
    assert_eq!(owners(&ours), start);
}

/// Path, owner, group and mode of every name.
pub(super) fn owners(tree: &std::path::Path) -> Vec<String> {
    let snapshot = Snapshot::of(tree);
    let line = |(path, line): (&Vec<u8>, &serde_json::Value)| {
        format!(
            "{} {} {} {}",
            path.escape_ascii(),
            line["uid"],
            line["gid"],
            line["mode"]
        )
    };
    snapshot.lines().iter().map(line).collect()
}

#[test]
fn what_fuidshift_shifted_comes_back_with_us() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::plain_zoo(&fs.path().join("tree"));
    // It sets the atime of directories.
    fs.keep_atimes();
    let start = Snapshot::of(&tree);
    sh("fuidshift", [tree.as_os_str(), MAP.as_ref()]);
    Idshift::new().reverse(&tree);
    // The top directory's mtime is fuidshift's doing.
    let top = |path: &[u8]| path == b".";
    assert_same(
        &start.without(top),
        &Snapshot::of(&tree).without(top),
        "after the way back",
    );
}
