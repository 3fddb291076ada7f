//! One inode among many that cannot be shifted: the run is undone, or leaves it and says so.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use crate::support::zoo::Zoo;
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, need_root, sh, tree};

/// A larger tree with one inode that cannot be shifted, met late.
fn one_bad_inode(kind: Kind, spoil: impl Fn(&Path)) -> (Zoo, &'static str) {
    let it = Zoo::new(kind);
    tree::many(&it.tree.join("wide"), 20_000);
    let bad = "wide/zzz";
    fs::write(it.tree.join(bad), "").unwrap();
    spoil(&it.tree.join(bad));
    (
        Zoo {
            start: Snapshot::of(&it.tree),
            ..it
        },
        bad,
    )
}

fn fails_and_is_undone(it: &Zoo, bad: &str, reason: &str) {
    let run = it
        .idshift
        .shift_with(&it.tree, &[])
        .exits(1)
        .says(bad)
        .says(reason);
    assert_eq!(run.json()["ending"], "rolled-back", "{run}");
    assert_same(&it.start, &Snapshot::of(&it.tree), "after it failed");
    // It does not stand in the way of the next run.
    it.idshift.shift_with(&it.tree, &[]).exits(1);
}

fn goes_on_and_reports(it: &Zoo, bad: &str, count: &str) {
    let run = it
        .idshift
        .shift_with(&it.tree, &["--keep-going"])
        .exits(3)
        .says(bad);
    assert_eq!(run.count(count), 1, "{run}");
    assert!(run.problem_paths()[0].ends_with(bad), "{run}");
    let expected = shifted_but_for(&it.start, bad);
    assert_same(&expected, &Snapshot::of(&it.tree), "after it went on");
    it.idshift.rollback();
    assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
}

/// The expectation after a shift that leaves one path; its ids need not be in the map.
fn shifted_but_for(start: &Snapshot, left: &str) -> Snapshot {
    let rest = start.clone().without(|path| path == left.as_bytes());
    rest.shifted(&[MAP]).edited(|lines| {
        lines.insert(left.into(), start.at(left).clone());
    })
}

fn give_to_a_stranger(path: &Path) {
    lchown(path, Some(0), Some(70_000)).unwrap();
}

#[test]
fn an_id_outside_the_map_fails_the_run_and_undoes_it() {
    let (it, bad) = one_bad_inode(Kind::Tmpfs, give_to_a_stranger);
    fails_and_is_undone(&it, bad, "70000");
}

#[test]
fn keep_going_leaves_and_reports_unmapped_ids() {
    let (it, bad) = one_bad_inode(Kind::Tmpfs, give_to_a_stranger);
    goes_on_and_reports(&it, bad, "unmapped");
}

#[test]
fn an_id_outside_the_map_in_an_acl_counts_as_well() {
    let acl = |path: &Path| {
        sh(
            "setfacl",
            ["-m".as_ref(), "u:1:r,u:70000:r".as_ref(), path.as_os_str()],
        )
    };
    let (it, bad) = one_bad_inode(Kind::Tmpfs, acl);
    fails_and_is_undone(&it, bad, "70000");
    goes_on_and_reports(&it, bad, "unmapped");
}

fn chattr(flag: &str, path: &Path) {
    sh("chattr", [flag.as_ref(), path.as_os_str()]);
}

#[test]
fn an_immutable_file_fails_the_run_and_undoes_it() {
    let (it, bad) = one_bad_inode(Kind::Ext4, |path| chattr("+i", path));
    fails_and_is_undone(&it, bad, "chattr -i");
    goes_on_and_reports(&it, bad, "failed");
    chattr("-i", &it.tree.join(bad));
    it.idshift.shift(&it.tree);
}

#[test]
fn an_append_only_file_as_well() {
    let (it, bad) = one_bad_inode(Kind::Ext4, |path| chattr("+a", path));
    fails_and_is_undone(&it, bad, "chattr -a");
    goes_on_and_reports(&it, bad, "failed");
    chattr("-a", &it.tree.join(bad));
}

/// overlayfs keeps a name of its whiteouts in its work directory, which is no part of a layer.
#[test]
fn a_whiteout_with_a_name_elsewhere_is_shifted() {
    need_root();
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let (removed, device) = (tree.join("removed"), tree.join("device"));
    for (node, minor) in [(&removed, "0"), (&device, "3")] {
        let major = if minor == "0" { "0" } else { "1" };
        sh("mknod", [node.to_str().unwrap(), "c", major, minor]);
    }
    std::fs::hard_link(&removed, fs.path().join("work")).unwrap();
    let idshift = Idshift::new();
    idshift.shift(&tree).exits(0);
    assert_eq!(std::fs::symlink_metadata(&removed).unwrap().uid(), 100_000);
    idshift.rollback().exits(0);
    // Any other device is somebody's.
    std::fs::hard_link(&device, fs.path().join("other")).unwrap();
    let run = idshift.shift_with(&tree, &[]);
    assert_ne!(run.code, Some(0), "{run}");
    assert_eq!(std::fs::symlink_metadata(&device).unwrap().uid(), 0);
}
