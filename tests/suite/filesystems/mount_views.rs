//! What is shifted is what is on disk, and once: trees behind idmapped mounts and bind mounts.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use crate::support::{Idshift, Kind, MAP, Mounted, Run, Snapshot, TestFs, assert_same, sh};

fn refused(args: &[&str], says: &[&str]) -> Run {
    let mut run = Idshift::new().run(args).exits(4);
    for text in says {
        run = run.says(text);
    }
    run
}

fn owned(path: &Path, uid: u32) {
    fs::write(path, "content").unwrap();
    chown(path, Some(uid), Some(uid)).unwrap();
}

/// A tree with owners that an idmapped mount of it shows as nobody's.
fn tree(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("t");
    fs::create_dir_all(tree.join("a")).unwrap();
    owned(&tree.join("f"), 70_000);
    owned(&tree.join("g"), 70_001);
    owned(&tree.join("a/h"), 33);
    tree
}

fn on_each_kind(test: impl Fn(&TestFs)) {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs] {
        test(&TestFs::new(kind));
    }
}

#[test]
fn a_tree_behind_an_idmapped_mount_is_refused_by_all() {
    on_each_kind(|fs| {
        let tree = tree(fs);
        let mapped = fs.path().join("mapped");
        fs::create_dir(&mapped).unwrap();
        let start = Snapshot::of(&tree);
        let _mounted = Mounted::idmapped(&tree, &mapped);
        let (top, file) = (mapped.to_str().unwrap(), mapped.join("f"));
        let file = file.to_str().unwrap();
        for path in [top, file] {
            for args in [
                &["shift", "--map", MAP, "--allow-in-use", path][..],
                &["shift", "--map", MAP, "--allow-in-use", "--dry-run", path],
                &[
                    "shift",
                    "--map",
                    MAP,
                    "--allow-in-use",
                    "--keep-going",
                    "--reverse",
                    path,
                ],
                &["prepare", "--map", MAP, "--allow-in-use", path],
                &["prepare", "--map", MAP, "--allow-in-use", "--dry-run", path],
                &[
                    "prepare",
                    "--map",
                    MAP,
                    "--allow-in-use",
                    "--owner",
                    "9:9",
                    path,
                ],
                &["verify", "--map", MAP, path],
            ] {
                refused(args, &[path, "idmapped mount", "findmnt", "umount"]);
            }
        }
        assert_same(&start, &Snapshot::of(&tree), "after the refusals");
    });
}

#[test]
fn an_idmapped_mount_below_is_refused_if_crossed() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree(&fs);
    let outer = fs.path().join("outer");
    fs::create_dir_all(outer.join("x/sub")).unwrap();
    let start = Snapshot::of(&tree);
    let _mounted = Mounted::idmapped(&tree, &outer.join("x/sub"));
    let path = outer.to_str().unwrap();
    let shift = ["shift", "--map", MAP, "--allow-in-use", "--cross-mounts"];
    for more in [&[path][..], &["--dry-run", path]] {
        let args = [&shift[..], more].concat();
        refused(&args, &[&format!("{path}/x/sub"), "--exclude x/sub"]);
    }
    // What it proposes works, and so does leaving mounts alone.
    let idshift = Idshift::new();
    for more in [&["--exclude", "x/sub", path][..], &["--exclude", "x", path]] {
        idshift.run([&shift[..], more].concat()).exits(0);
        idshift.rollback();
    }
    idshift
        .run(["shift", "--map", MAP, "--allow-in-use", path])
        .exits(0);
    assert_same(&start, &Snapshot::of(&tree), "the mounted tree");
}

#[test]
fn rollback_and_manifest_refuse_a_new_idmapped_mount() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree(&fs);
    let path = tree.to_str().unwrap();
    let idshift = Idshift::new();
    let manifest = fs.path().join("manifest.jsonl");
    let manifest = manifest.to_str().unwrap();
    idshift
        .run([
            "shift",
            "--map",
            "b:0:200000:80000",
            "--dry-run",
            "--manifest",
            manifest,
            path,
        ])
        .exits(0);
    idshift
        .run(["shift", "--map", "b:0:200000:80000", path])
        .exits(0);
    let there = Snapshot::of(&tree);
    {
        // Over the tree itself: the top is the inode that the journal knows.
        let _mounted = Mounted::idmapped(&tree, &tree);
        for args in [
            &["rollback", "latest"][..],
            &["rollback", "--dry-run", "latest"],
            &["rollback", "--force", "latest"],
            &["shift", "--allow-in-use", "--from-manifest", manifest],
        ] {
            let refused = idshift.run(args).exits(4).says("idmapped mount");
            // A rollback takes no path.
            let help = format!("`idshift umount {path}`, then run this again");
            assert_eq!(
                refused.stderr.contains(&help),
                args[0] == "rollback",
                "{refused}"
            );
        }
    }
    assert_same(&there, &Snapshot::of(&tree), "after the refusals");
    idshift.rollback();
}

#[test]
fn what_is_advised_to_be_left_out_is_so_by_that_glob() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("t");
    fs::create_dir_all(tree.join("a")).unwrap();
    let shift = ["shift", "--map", MAP, "--cross-mounts", "--allow-in-use"];
    let shift = [&shift[..], &["--dry-run", tree.to_str().unwrap()]].concat();
    for (name, glob) in [
        ("q[1]", r"q\[1\]"),
        ("{x}", r"\{x\}"),
        (r"back\s", r"back\\s"),
        ("s*r?", r"s\*r\?"),
    ] {
        let place = tree.join(name);
        fs::create_dir(&place).unwrap();
        let mounted = Mounted::bind(&tree.join("a"), &place);
        refused(&shift, &[&format!("--exclude '{glob}'")]);
        let left_out = [&shift[..], &["--exclude", glob]].concat();
        Idshift::new().run(left_out).exits(0);
        drop(mounted);
        fs::remove_dir(&place).unwrap();
    }
}

const OVERLAPPING: [&str; 5] = [
    "--map",
    "b:0:1000:1",
    "--map",
    "b:1:100000:65535",
    "--assume-unshifted",
];

#[test]
fn files_that_two_paths_show_are_refused_with_both() {
    on_each_kind(|fs| {
        let tree = tree(fs);
        let at = |name: &str| fs.path().join(name);
        for dir in ["b", "other/x", "t/z"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("file"), "").unwrap();
        let start = Snapshot::of(&tree);
        let text = |path: &Path| path.to_str().unwrap().to_string();
        let (t, b, other, f) = (
            text(&tree),
            text(&at("b")),
            text(&at("other")),
            text(&at("file")),
        );
        let shift = |more: &[&str], says: &[&str]| {
            for dry in [&["--dry-run"][..], &[], &["--jobs", "16"]] {
                let args = [&["shift", "--allow-in-use"], &OVERLAPPING[..], dry, more].concat();
                refused(&args, says);
            }
        };
        {
            let _mounted = Mounted::bind(&tree.join("a"), &at("b"));
            shift(&[&t, &b], &[&t, &b, "Name one of the two"]);
            shift(&[&b, &t], &[&t, &b]);
            let _again = Mounted::bind(&at("b"), &at("other/x"));
            shift(
                &[&b, &other, "--cross-mounts"],
                &[&b, &format!("{other}/x"), "--exclude x"],
            );
        }
        {
            let _mounted = Mounted::bind(&tree.join("a"), &tree.join("z"));
            shift(
                &["--cross-mounts", &t],
                &[&t, &format!("{t}/z"), "--exclude z"],
            );
        }
        {
            // A file, too.
            let _mounted = Mounted::bind(&tree.join("f"), &at("file"));
            shift(&[&t, &f], &[&t, &f]);
        }
        assert_same(&start, &Snapshot::of(&tree), "after the refusals");
    });
}

#[test]
fn disjoint_bind_mounts_are_shifted_and_counted_once() {
    let fs = TestFs::new(Kind::Ext4);
    let at = |name: &str| fs.path().join(name);
    for dir in ["elsewhere/d", "t/m"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    owned(&at("t/file"), 4);
    owned(&at("elsewhere/d/file"), 5);
    // A tree that is mounted on itself is one tree.
    let _itself = Mounted::bind(&at("t"), &at("t"));
    let _mounted = Mounted::bind(&at("elsewhere"), &at("t/m"));
    let idshift = Idshift::new();
    let args = ["shift", "--json", "--allow-in-use", "--cross-mounts"];
    let path = at("t").to_str().unwrap().to_string();
    let run = idshift
        .run([&args[..], &OVERLAPPING, &[&path]].concat())
        .exits(0);
    assert_eq!((run.count("seen"), run.count("changed")), (5, 5), "{run}");
    let owner = |name: &str| fs::metadata(at(name)).unwrap().uid();
    assert_eq!(owner("t/file"), 100_003);
    assert_eq!(owner("elsewhere/d/file"), 100_004);
    idshift.rollback();
    assert_eq!((owner("t/file"), owner("elsewhere/d/file")), (4, 5));
}

#[test]
fn an_id_mapped_to_itself_is_no_change() {
    let fs = TestFs::new(Kind::Ext4);
    let top = fs.path().join("t");
    fs::create_dir(&top).unwrap();
    for uid in [33, 1000, 1001] {
        owned(&top.join(uid.to_string()), uid);
    }
    let path = top.to_str().unwrap();
    let maps = [
        "--map",
        "b:0:100000:1000",
        "--map",
        "b:1000:1000:1",
        "--map",
        "b:1001:101001:64535",
    ];
    let idshift = Idshift::new();
    let shift = [&["shift", "--json"], &maps[..], &[path]].concat();
    let run = idshift.run(&shift).exits(0);
    assert_eq!(run.count("changed"), 3, "{run}");
    let owner = |name: &str| fs::metadata(top.join(name)).unwrap().uid();
    assert_eq!(["33", "1000", "1001"].map(owner), [100_033, 1000, 101_001]);
    idshift
        .run([&["verify"], &maps[..], &[path]].concat())
        .exits(0);
    let again = idshift.run(&shift).exits(0);
    assert_eq!(again.count("changed"), 0, "{again}");
    let reverse = [&["shift", "--json", "--reverse"], &maps[..], &[path]].concat();
    idshift.run(&reverse).exits(0);
    assert_eq!(["33", "1000", "1001"].map(owner), [33, 1000, 1001]);
}

#[test]
fn assume_unshifted_takes_nothing_for_shifted() {
    let fs = TestFs::new(Kind::Ext4);
    let top = fs.path().join("t");
    fs::create_dir(&top).unwrap();
    owned(&top.join("50"), 50);
    owned(&top.join("99"), 99);
    let path = top.to_str().unwrap();
    let map = ["--map", "b:0:50:100"];
    let idshift = Idshift::new();
    let shift = [&["shift"], &map[..], &["--assume-unshifted", path]].concat();
    let verify = [&["verify"], &map[..], &[path]].concat();
    idshift.run(&shift).exits(0);
    let owner = |name: &str| fs::metadata(top.join(name)).unwrap().uid();
    assert_eq!(["50", "99"].map(owner), [100, 149]);
    // What verify proposes exists, and is believed.
    idshift.run(&verify).exits(4).says("add --assume-shifted");
    let verify = [&verify[..], &["--assume-shifted"]].concat();
    idshift.run(&verify).exits(0);
    idshift.rollback();
    idshift.run(&verify).exits(3);
    // 100 is no container id of this map: it is not left to merge with what 50 becomes.
    owned(&top.join("100"), 100);
    let before = Snapshot::of(&top);
    idshift.run(&shift).exits(1).says("100 is outside the map");
    let prepare = [&["prepare"], &map[..], &["--assume-unshifted", path]].concat();
    idshift
        .run(&prepare)
        .exits(1)
        .says("100 is outside the map");
    assert_same(&before, &Snapshot::of(&top), "undone");
}

#[test]
fn a_run_on_a_bind_mount_excludes_one_on_the_tree() {
    let fs = TestFs::new(Kind::Ext4);
    let (tree, bound) = (fs.path().join("tree"), fs.path().join("bound"));
    fs::create_dir_all(tree.join("part")).unwrap();
    fs::create_dir(&bound).unwrap();
    for n in 0..300 {
        fs::write(tree.join(format!("part/{n}")), "").unwrap();
    }
    let _bound = Mounted::bind(&tree.join("part"), &bound);
    let idshift = Idshift::new();
    let shift = |path: &Path| {
        [
            "shift",
            "--map",
            MAP,
            "--allow-in-use",
            path.to_str().unwrap(),
        ]
        .map(String::from)
    };
    // 300 inodes, 50 a second.
    let slow = shift(&tree)
        .into_iter()
        .chain(["--rate", "50"].map(String::from));
    let first = idshift.spawn(slow);
    while idshift.journal_files().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = idshift.run(shift(&bound));
    sh("kill", ["-KILL", &first.id().to_string()]);
    Run::wait(first);
    second.exits(4).says("is working on");
    idshift.run(shift(&bound)).exits(4).says("rollback");
    idshift.rollback();
    idshift.run(shift(&bound)).exits(0);
}

#[test]
fn a_file_linked_in_two_trees_is_shifted_once() {
    let fs = TestFs::new(Kind::Ext4);
    let (alone, tree) = (fs.path().join("u/alone"), fs.path().join("t"));
    for dir in [fs.path().join("u"), tree.join("z")] {
        fs::create_dir_all(dir).unwrap();
    }
    for n in 0..400 {
        fs::create_dir(tree.join(format!("{n}"))).unwrap();
    }
    fs::write(&alone, "").unwrap();
    fs::hard_link(&alone, tree.join("z/in")).unwrap();
    let idshift = Idshift::new();
    let shift = |paths: &[&Path], more: &[&str]| {
        let maps = ["shift", "--map", "b:0:5000:1", "--map", "b:1:100000:65535"];
        let options = ["--assume-unshifted", "--allow-outside-links", "--jobs", "1"];
        let paths = paths.iter().map(|path| path.to_str().unwrap());
        let args = maps.into_iter().chain(options).chain(more.iter().copied());
        idshift.run(args.chain(paths))
    };
    for paths in [[&*alone, &*tree], [&*tree, &*alone]] {
        let done = shift(&paths, &["--json"]).exits(0);
        // 402 directories and the file.
        assert_eq!(
            (done.count("seen"), done.count("changed")),
            (403, 403),
            "{done}"
        );
        assert_eq!(fs::metadata(&alone).unwrap().uid(), 5000);
        idshift.rollback();
        assert_eq!(fs::metadata(&alone).unwrap().uid(), 0);
    }
    let guarded = [
        "shift",
        "--map",
        MAP,
        alone.to_str().unwrap(),
        tree.to_str().unwrap(),
    ];
    // Both of its names are in what is named.
    idshift.run(guarded).exits(0);
    assert_eq!(fs::metadata(&alone).unwrap().uid(), 100_000);
}
