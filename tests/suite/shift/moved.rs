//! `shift --from MAP --to MAP`: a tree in one range moves to another.

use std::fs;
use std::path::Path;

use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, sh, tree};

const OTHER: &str = "b:0:300000:65536";
/// Shares ids with `MAP`, b:0:100000:65536.
const NEAR: &str = "b:0:100001:65536";

fn moved(idshift: &Idshift, from: &str, to: &str, tree: &Path, more: &[&str]) -> Run {
    let tree = tree.to_string_lossy();
    let args = ["shift", "--json", "--from", from, "--to", to, &tree];
    idshift.run([&args[..], more].concat())
}

#[test]
fn a_tree_moves_as_out_of_one_range_and_into_the_other() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let first = Snapshot::of(&tree);
    let dry = moved(&idshift, MAP, OTHER, &tree, &["--dry-run"]).exits(0);
    let run = moved(&idshift, MAP, OTHER, &tree, &[]).exits(0);
    assert_eq!(dry.count("changed"), run.count("changed"));
    assert_same(
        &start.shifted(&[OTHER]),
        &Snapshot::of(&tree),
        "after the move",
    );
    idshift.run(["verify", "latest"]).exits(0);
    assert_eq!(
        moved(&idshift, MAP, OTHER, &tree, &[])
            .exits(0)
            .count("changed"),
        0
    );
    idshift
        .run(["rollback", idshift.journal_files()[1].to_str().unwrap()])
        .exits(0);
    assert_same(&first, &Snapshot::of(&tree), "after the rollback");
    // From a container without a user namespace, and to one.
    moved(&idshift, MAP, "host", &tree, &[]).exits(0);
    assert_same(&start, &Snapshot::of(&tree), "as the host has it");
    moved(&idshift, "host", OTHER, &tree, &["--assume-unshifted"]).exits(0);
    assert_same(
        &start.shifted(&[OTHER]),
        &Snapshot::of(&tree),
        "in the other range",
    );
}

#[test]
fn a_move_is_what_fuidshift_does_in_two_runs() {
    let fs = TestFs::new(Kind::Ext4);
    let build = |name: &str| {
        let tree = tree::plain_zoo(&fs.path().join(name));
        // fuidshift does not know it.
        fs::remove_file(tree.join("kinds/socket")).unwrap();
        sh("fuidshift", [tree.as_os_str(), MAP.as_ref()]);
        tree
    };
    let (ours, theirs) = (build("ours"), build("theirs"));
    moved(&Idshift::new(), MAP, OTHER, &ours, &[]).exits(0);
    sh(
        "fuidshift",
        [theirs.as_os_str(), "-r".as_ref(), MAP.as_ref()],
    );
    sh("fuidshift", [theirs.as_os_str(), OTHER.as_ref()]);
    assert_eq!(super::peers::owners(&ours), super::peers::owners(&theirs));
}

#[test]
fn ranges_that_overlap_are_moved_when_the_operator_knows() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let first = Snapshot::of(&tree);
    for more in [&[][..], &["--dry-run"]] {
        let run = moved(&idshift, MAP, NEAR, &tree, more).exits(4);
        run.says("uids 100001-165535 are on both its sides");
    }
    assert_same(&first, &Snapshot::of(&tree), "after the refusals");
    let dry = moved(
        &idshift,
        MAP,
        NEAR,
        &tree,
        &["--dry-run", "--assume-unshifted"],
    )
    .exits(0);
    let run = moved(&idshift, MAP, NEAR, &tree, &["--assume-unshifted"]).exits(0);
    assert_eq!(dry.count("changed"), run.count("changed"));
    assert_same(
        &start.shifted(&[NEAR]),
        &Snapshot::of(&tree),
        "after the move",
    );
    idshift.rollback().exits(0);
    assert_same(&first, &Snapshot::of(&tree), "after the rollback");
}

#[test]
fn a_killed_move_between_ranges_that_overlap_is_finished() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::many(&fs.path().join("tree"), 3000);
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let tree_name = tree.to_string_lossy().into_owned();
    let args = [
        "shift",
        "--from",
        MAP,
        "--to",
        NEAR,
        &tree_name,
        "--assume-unshifted",
    ];
    let mut changed = 0;
    let killed = trace::run(&idshift.command(args), |event| {
        if let Event::After(call, 0) = event {
            changed += u64::from(call.name == "fchownat");
        }
        match changed {
            1000 => Then::Kill,
            _ => Then::GoOn,
        }
    });
    assert_eq!(killed.signal, Some(9), "{killed}");
    let moved = start.shifted(&[NEAR]);
    let left = moved.differing_inodes(&Snapshot::of(&tree)).len();
    assert!((1..3000).contains(&left), "{left} are left");
    idshift.resume().exits(0);
    assert_same(&moved, &Snapshot::of(&tree), "after the resume");
}

#[test]
fn what_the_other_range_has_no_id_for_stays_and_is_named() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (name, id) in [("in", 100_005), ("out", 102_000)] {
        fs::write(tree.join(name), "").unwrap();
        std::os::unix::fs::chown(tree.join(name), Some(id), Some(id)).unwrap();
    }
    // Of the host's root: no container's could have set it.
    fs::write(tree.join("cap"), "").unwrap();
    std::os::unix::fs::chown(tree.join("cap"), Some(100_000), Some(100_000)).unwrap();
    sh(
        "setcap",
        ["cap_net_raw=ep".as_ref(), tree.join("cap").as_os_str()],
    );
    std::os::unix::fs::chown(&tree, Some(100_000), Some(100_000)).unwrap();
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    let run = moved(&idshift, MAP, "b:0:300000:1000", &tree, &["--dry-run"]).exits(3);
    run.says("uid 102000 is outside the map")
        .says("a capability of uid 0, which is outside the map");
    moved(&idshift, MAP, "b:0:300000:1000", &tree, &[]).exits(1);
    assert_same(&start, &Snapshot::of(&tree), "after what failed");
    let run = moved(&idshift, MAP, "b:5000:300000:1000", &tree, &[]).exits(1);
    run.says("is outside the map");
    moved(&idshift, MAP, "b:70000:300000:1000", &tree, &[])
        .exits(2)
        .says("no uid of the container in common");
    moved(&idshift, MAP, "nobody", &tree, &[]).exits(2);
    idshift
        .run(["shift", "--from", MAP, tree.to_str().unwrap()])
        .exits(2);
}

/// One word has all of a map: there is no `--map` to add.
#[test]
fn half_a_map_is_refused_with_what_completes_it() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::specimens(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let whole = "u:0:300000:65536,g:0:100000:65536";
    let half = moved(&idshift, MAP, "u:0:300000:65536", &tree, &[]).exits(2);
    assert!(half.text().contains(whole), "{half}");
    assert!(!half.text().contains("--map"), "{half}");
    // Nothing of it is in the first range.
    moved(&idshift, MAP, whole, &tree, &["--dry-run"]).exits(3);
}
