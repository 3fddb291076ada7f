//! On every filesystem, a shift changes just what names ids, a second one changes nothing, and both
//! the reverse shift and the rollback give back the start.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support;
use crate::support::{
    Idshift, Kind, MAP, ROOTLESS, Run, Snapshot, TestFs, assert_same, idshift::shift_args, scene,
    sh, trace, tree,
};

/// One module for each filesystem, with each of the promises as a test.
macro_rules! on_each_filesystem {
    ($($name:ident: $kind:expr,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn a_shift_changes_what_names_ids_and_nothing_else() {
                shift_and_reverse($kind, tree::zoo);
            }

            #[test]
            fn rollback_gives_back_the_start() {
                shift_and_rollback($kind, tree::zoo);
            }

            #[test]
            fn deeper_than_path_max_as_well() {
                shift_and_reverse($kind, tree::deep_zoo);
                shift_and_rollback($kind, tree::deep_zoo);
            }

            #[test]
            fn one_thread_and_two_leave_the_same() {
                with_jobs($kind, &["1", "2"], tree::zoo);
            }

            #[test]
            fn a_rootless_map_needs_assume_unshifted() {
                rootless($kind);
            }
        }
    )*};
}

on_each_filesystem! {
    ext4: Kind::Ext4,
    xfs: Kind::Xfs,
    btrfs: Kind::Btrfs,
    tmpfs: Kind::Tmpfs,
}

type Build = fn(&Path) -> PathBuf;

fn shift_and_reverse(kind: Kind, build: Build) {
    let fs = TestFs::new(kind);
    let tree = build(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);

    let run = idshift.shift(&tree);
    let there = Snapshot::of(&tree);
    assert_same(&start.shifted(&[MAP]), &there, "after the shift");
    verify(&idshift, &tree, &[]);
    let inodes = start.inodes().len() as u64;
    assert_eq!(
        (run.count("seen"), run.count("changed")),
        (inodes, inodes),
        "{run}"
    );

    let again = idshift.shift(&tree);
    assert_eq!(again.count("changed"), 0, "{again}");
    assert_eq!(again.count("already_shifted"), inodes, "{again}");
    assert_same(&there, &Snapshot::of(&tree), "after a second shift");

    idshift.reverse(&tree);
    verify(&idshift, &tree, &["--reverse"]);
    assert_same(&start, &Snapshot::of(&tree), "after the way back");
}

/// The disk is what the newest journal says, and what the map says; looking leaves no trace.
fn verify(idshift: &Idshift, tree: &Path, direction: &[&str]) {
    let before = Snapshot::of(tree);
    idshift.run(["verify", "latest"]).exits(0);
    let by_map = ["verify", "--map", MAP].iter().chain(direction);
    let by_map = by_map.map(AsRef::as_ref).chain([tree.as_os_str()]);
    idshift.run(by_map).exits(0);
    assert_same(&before, &Snapshot::of(tree), "after verify");
}

fn shift_and_rollback(kind: Kind, build: Build) {
    let fs = TestFs::new(kind);
    let tree = build(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    let back = idshift.rollback();
    verify(&idshift, &tree, &["--reverse"]);
    assert_same(&start, &Snapshot::of(&tree), "after the rollback");
    assert_eq!(back.count("changed"), start.inodes().len() as u64, "{back}");
    assert_eq!(back.count("conflicts"), 0, "{back}");
}

fn rootless(kind: Kind) {
    let fs = TestFs::new(kind);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);

    let refused = idshift.run(shift_args(&tree, &ROOTLESS, &[])).exits(4);
    refused.says("--assume-unshifted");
    assert_same(&start, &Snapshot::of(&tree), "after the refusal");

    idshift
        .run(shift_args(&tree, &ROOTLESS, &["--assume-unshifted"]))
        .exits(0);
    assert_same(
        &start.shifted(&ROOTLESS),
        &Snapshot::of(&tree),
        "after the shift",
    );
    idshift.run(["verify", "latest"]).exits(0);
    idshift.rollback();
    idshift.run(["verify", "latest"]).exits(0);
    assert_same(&start, &Snapshot::of(&tree), "after the rollback");
}

/// One of its two files has names in two directories, and its directories are changed by the run itself.
fn linked_across_directories(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("z");
    std::fs::create_dir_all(tree.join("d")).unwrap();
    std::fs::write(tree.join("a"), "content").unwrap();
    std::fs::hard_link(tree.join("a"), tree.join("d/b")).unwrap();
    tree
}

#[test]
fn hard_links_are_shifted_with_whole_second_times() {
    let mut kinds = vec![Kind::Ext2OfSmallInodes, Kind::Ext4OfSmallInodes];
    if support::long() {
        kinds.extend([Kind::Ext3OfSmallInodes, Kind::Ext4]);
    }
    for kind in kinds {
        let fs = TestFs::new(kind);
        let tree = linked_across_directories(&fs);
        let start = Snapshot::of(&tree);
        let path = tree.to_str().unwrap();
        let idshift = Idshift::new();
        let began = std::time::Instant::now();
        for ahead in [false, true] {
            if ahead {
                fs.put_ctimes_ahead(&["/z", "/z/d", "/z/a"]);
            }
            // A plan looks at all of it before it changes anything, a shift after.
            for args in [
                &["shift", "--map", MAP, path][..],
                &["prepare", "--map", MAP, path],
            ] {
                idshift.run(args).exits(0);
                assert_same(
                    &start.shifted(&[MAP]),
                    &Snapshot::of(&tree),
                    &format!("{kind:?}"),
                );
                idshift.rollback();
                assert_same(&start, &Snapshot::of(&tree), &format!("{kind:?}: back"));
            }
        }
        let took = began.elapsed().as_secs();
        assert!(took < 40, "{kind:?}: {took} s");
    }
}

#[test]
fn a_filesystem_without_acls_and_xattrs_is_shifted() {
    let fs = TestFs::new(Kind::Ramfs);
    let tree = tree::plain_zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    // The first look fills the holes of a sparse file: ramfs keeps every page that was read.
    Snapshot::of(&tree);
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&tree),
        "after the shift",
    );
    idshift.reverse(&tree);
    assert_same(&start, &Snapshot::of(&tree), "after the way back");
}

#[test]
fn a_filesystem_that_keeps_no_owners_is_refused() {
    if !Kind::Vfat.is_supported() {
        eprintln!("this kernel has no vfat: nothing to refuse");
        return;
    }
    let fs = TestFs::new(Kind::Vfat);
    std::fs::write(fs.path().join("file"), "content").unwrap();
    let start = Snapshot::of(&fs.path());
    Idshift::new()
        .shift_with(&fs.path(), &[])
        .exits(4)
        .says("vfat");
    assert_same(&start, &Snapshot::of(&fs.path()), "after the refusal");
}

/// chown takes set-id bits and the capability also of what has only an owner left to be shifted.
#[test]
fn what_is_shifted_in_part_loses_nothing() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let file = |name: &str, uid: u32, gid: u32| {
        let path = tree.join(name);
        std::fs::write(&path, name).unwrap();
        std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
        path.to_str().unwrap().to_string()
    };
    for (name, uid, gid) in [("none", 0, 0), ("owner", 100_000, 0), ("group", 0, 100_033)] {
        let (capable, setid) = (
            file(name, uid, gid),
            file(&format!("{name}-setid"), uid, gid),
        );
        sh("setcap", ["-n", "100000", "cap_net_raw+ep", &capable]);
        sh("chmod", ["6755", &setid]);
    }
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    assert_same(&start.shifted(&[MAP]), &Snapshot::of(&tree), "shifted");
    idshift.rollback();
    assert_same(&start, &Snapshot::of(&tree), "rolled back");
}

#[test]
fn a_single_file_is_a_tree() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    for file in [
        "capabilities/with-all",
        "acls/setuid",
        "kinds/fifo",
        "kinds/whiteout",
    ] {
        let run = idshift.shift(&tree.join(file));
        assert_eq!((run.count("seen"), run.count("changed")), (1, 1), "{run}");
        let only = |path: &[u8]| path != file.as_bytes();
        assert_same(
            &start.shifted(&[MAP]).with(&start, only),
            &Snapshot::of(&tree),
            file,
        );
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&tree), "after the rollback");
    }
}

#[test]
fn several_trees_are_one_run() {
    let fs = TestFs::new(Kind::Xfs);
    let other = TestFs::new(Kind::Tmpfs);
    let trees = [fs.path().join("one"), other.path().join("two")].map(|at| tree::zoo(&at));
    let idshift = Idshift::new();
    let start = trees.each_ref().map(|tree| Snapshot::of(tree));
    idshift
        .shift_with(&trees[0], &[trees[1].to_str().unwrap()])
        .exits(0);
    for (tree, start) in trees.iter().zip(&start) {
        assert_same(
            &start.shifted(&[MAP]),
            &Snapshot::of(tree),
            "after the shift",
        );
    }
    assert_eq!(idshift.journal_files().len(), 1);
    idshift.rollback();
    for (tree, start) in trees.iter().zip(&start) {
        assert_same(start, &Snapshot::of(tree), "after the rollback");
    }
}

#[test]
fn any_number_of_threads_leaves_the_same() {
    with_jobs(Kind::Tmpfs, &["1", "2", "7", "32"], |at| {
        tree::many(at, 10_000)
    });
}

fn with_jobs(kind: Kind, counts: &[&str], build: Build) {
    let fs = TestFs::new(kind);
    let tree = build(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    for jobs in counts {
        idshift.shift_with(&tree, &["--jobs", jobs]).exits(0);
        assert_same(
            &start.shifted(&[MAP]),
            &Snapshot::of(&tree),
            "after the shift",
        );
        let rollback = ["rollback", "latest", "--json", "--jobs", jobs];
        idshift.run(rollback).exits(0);
        assert_same(&start, &Snapshot::of(&tree), "after the rollback");
    }
}

#[test]
fn a_deep_tree_is_walked_with_few_descriptors() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::deep_zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    for (limit, jobs) in [("64", "2"), ("256", "1")] {
        let limited = |args: &[&str]| {
            let mut command = Command::new("prlimit");
            command.arg(format!("--nofile={limit}:{limit}"));
            command.arg(Idshift::program()).args(args);
            command.args(["--jobs", jobs, "--json", "--journal-dir"]);
            Run::of(command.arg(idshift.journals())).exits(0)
        };
        let path = tree.to_str().unwrap();
        limited(&["shift", "--map", MAP, path]);
        let there = Snapshot::of(&tree);
        assert_same(
            &start.shifted(&[MAP]),
            &there,
            &format!("{limit}, {jobs} threads"),
        );
        limited(&["verify", "latest"]);
        limited(&["rollback", "latest"]);
        assert_same(&start, &Snapshot::of(&tree), "after the rollback");
    }
}

#[test]
fn hard_links_are_migrated_with_whole_second_times() {
    let fs = TestFs::new(Kind::Ext4OfSmallInodes);
    let top = support::data_root::filled(&fs.path().join("docker"));
    let diff = top.join("overlay2/0123/diff");
    std::fs::create_dir(diff.join("z")).unwrap();
    std::fs::write(diff.join("a"), "").unwrap();
    std::fs::hard_link(diff.join("a"), diff.join("z/b")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let start = Snapshot::of(&top);
    let idshift = Idshift::new();
    let began = std::time::Instant::now();
    let migrate = support::scene::docker_args("migrate", &top, &["--set-userns-host"]);
    idshift.run(migrate).exits(0);
    let moved = top.join("100000.100000/overlay2/0123/diff");
    for name in ["a", "z/b"] {
        let found = std::fs::metadata(moved.join(name)).unwrap();
        assert_eq!((found.uid(), found.nlink()), (100_000, 2), "{name}");
    }
    idshift.rollback();
    assert!(began.elapsed().as_secs() < 40);
    assert_eq!(std::fs::metadata(diff.join("z/b")).unwrap().uid(), 0);
    assert_eq!(Snapshot::of(&top).inodes().len(), start.inodes().len());
}

#[test]
fn an_ambiguous_run_is_finished_on_another_device() {
    let mut numbers = support::Numbers::seeded(7);
    let mut cut = 0;
    for case in 0..if support::long() { 40 } else { 6 } {
        let fs = TestFs::new(Kind::Ext4);
        let tree = tree::specimens(&fs.path().join("tree"));
        // An id that the map does not have.
        std::fs::remove_file(tree.join("shifted")).unwrap();
        tree::many(&tree.join("wide"), 600);
        let start = Snapshot::of(&tree);
        let device = std::fs::metadata(&tree).unwrap().dev();
        let idshift = Idshift::new();
        let args = shift_args(&tree, &ROOTLESS, &["--assume-unshifted"]);
        let events = trace::count(&idshift.command(&args));
        idshift.rollback();
        for file in idshift.journal_files() {
            std::fs::remove_file(file).unwrap();
        }
        let n = events / 4 + numbers.below(events * 3 / 4);
        if !trace::kill_at(&idshift.command(&args), n) || !scene::is_unfinished(&idshift) {
            continue;
        }
        cut += 1;
        let when = format!("case {case}, killed at {n} of {events}");
        fs.mount_on_another_device();
        assert_ne!(std::fs::metadata(&tree).unwrap().dev(), device, "{when}");
        if case % 3 == 2 {
            idshift.rollback();
            assert_same(&start, &Snapshot::of(&tree), &when);
            continue;
        }
        idshift.run(["resume", "latest"]).exits(0);
        assert_same(&start.shifted(&ROOTLESS), &Snapshot::of(&tree), &when);
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&tree), &when);
    }
    assert!(cut > 2, "only {cut} were cut short");
}
