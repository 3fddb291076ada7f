//! `idshift manifest diff` and `idshift report A B`: what differs between two hosts, and between before and after.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Idshift, Kind, MAP, Run, TestFs, data_root, tree};

/// A manifest of a tree.
fn manifest(idshift: &Idshift, fs: &TestFs, tree: &Path, name: &str) -> PathBuf {
    let file = fs.path().join(name);
    idshift.shift_with(tree, &["--dry-run", "--manifest", file.to_str().unwrap()]);
    file
}

fn diff(idshift: &Idshift, first: &Path, second: &Path) -> Run {
    idshift.run([
        "manifest",
        "diff",
        "--json",
        first.to_str().unwrap(),
        second.to_str().unwrap(),
    ])
}

/// `what`, and both sides, of each difference.
fn differences(run: &Run) -> Vec<[String; 3]> {
    let json = run.json();
    let all = json["differences"].as_array().unwrap().clone();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_string();
    all.iter()
        .map(|one| [text(&one["what"]), text(&one["a"]), text(&one["b"])])
        .collect()
}

#[test]
fn two_copies_on_other_disks_and_days_are_the_same() {
    let (one, other) = (TestFs::new(Kind::Ext4), TestFs::new(Kind::Ext4));
    let idshift = Idshift::new();
    let first = tree::zoo(&one.path().join("tree"));
    // Other inode numbers, another place.
    fs::write(other.path().join("before"), "").unwrap();
    let second = tree::zoo(&other.path().join("elsewhere"));
    let a = manifest(&idshift, &one, &first, "a.jsonl");
    let b = manifest(&idshift, &other, &second, "b.jsonl.zst");
    let run = diff(&idshift, &a, &b).exits(0);
    assert_eq!(run.json()["same"], true, "{run}");
    assert!(run.count("compared") > 20, "{run}");
}

#[test]
fn what_differs_is_named_with_both_sides() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let top = fs.path().join("tree");
    fs::create_dir(&top).unwrap();
    for name in ["owner", "mode", "gone", "same", "far"] {
        fs::write(top.join(name), "x").unwrap();
    }
    let before = manifest(&idshift, &fs, &top, "before.jsonl");
    chown(top.join("owner"), Some(33), Some(7)).unwrap();
    chown(top.join("far"), Some(70_000), None).unwrap();
    fs::set_permissions(top.join("mode"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_file(top.join("gone")).unwrap();
    fs::write(top.join("new"), "x").unwrap();
    // Neither content nor times count.
    fs::write(top.join("same"), "other").unwrap();
    let after = manifest(&idshift, &fs, &top, "after.jsonl");
    let run = diff(&idshift, &before, &after).exits(3);
    let at = |name: &str| top.join(name).to_str().unwrap().to_string();
    let found = differences(&run);
    let names: Vec<&String> = found.iter().map(|[what, ..]| what).collect();
    assert_eq!(
        names,
        [
            &at("far"),
            &at("gone"),
            &at("mode"),
            &at("new"),
            &at("owner")
        ],
        "{run}"
    );
    assert_eq!(found[2][1..], ["mode 0644", "mode 0600"].map(String::from));
    assert_eq!(
        found[4][1..],
        ["gid 0, uid 0", "gid 7, uid 33"].map(String::from)
    );
    assert_eq!(
        found[1][1..],
        ["0:0 0644 becomes 100000:100000", "-"].map(String::from)
    );
    assert_eq!(found[3][1], "-");
    assert!(
        found[0][2].starts_with("unmapped: uid 70000"),
        "{:?}",
        found[0]
    );
    for (member, expected) in [("only_in_a", 1), ("only_in_b", 1), ("different", 3)] {
        assert_eq!(run.count(member), expected, "{member}: {run}");
    }
    // The same as a page.
    let page = fs.path().join("page.html");
    let args = [
        "report",
        before.to_str().unwrap(),
        after.to_str().unwrap(),
        "-o",
        page.to_str().unwrap(),
    ];
    idshift.run(args).exits(0);
    let page = fs::read_to_string(page).unwrap();
    assert!(
        page.contains("<td>mode 0644</td><td>mode 0600</td>"),
        "{page}"
    );
    // Neither of the two is written over.
    for target in [&before, &after] {
        let args = [
            "report",
            before.to_str().unwrap(),
            after.to_str().unwrap(),
            "-o",
            target.to_str().unwrap(),
        ];
        idshift.run(args).exits(4);
    }
    diff(&idshift, &before, &before).exits(0);
}

#[test]
fn another_map_is_a_setting_that_differs() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let top = tree::many(&fs.path().join("tree"), 20);
    let of = |map: &str, name: &str| {
        let file = fs.path().join(name);
        let args = [
            "shift",
            "--dry-run",
            "--map",
            map,
            "--manifest",
            file.to_str().unwrap(),
            top.to_str().unwrap(),
        ];
        idshift.run(args).exits(0);
        file
    };
    let run = diff(&idshift, &of(MAP, "a"), &of("b:0:300000:65536", "b")).exits(3);
    let json = run.json();
    let settings = json["settings"].as_array().unwrap();
    assert_eq!(settings.len(), 1, "{run}");
    assert_eq!(settings[0]["what"], "map");
    // What becomes of an inode differs, too.
    let [_, a, b] = &differences(&run)[0];
    assert!(
        a.starts_with("new gid 10") && b.starts_with("new gid 30"),
        "{a} {b}"
    );
}

#[test]
fn journals_and_audits_are_compared_with_their_kind_only() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let top = tree::many(&fs.path().join("tree"), 20);
    let plan = manifest(&idshift, &fs, &top, "plan.jsonl");
    idshift.shift(&top);
    let first = idshift.the_journal();
    let run = diff(&idshift, &first, &first).exits(0);
    assert!(run.count("compared") >= 20, "{run}");
    diff(&idshift, &plan, &first)
        .exits(4)
        .says("is a journal, and the other is a manifest");
    idshift.rollback();
    idshift.shift(&top);
    let run = diff(&idshift, Path::new("1"), Path::new("2")).exits(3);
    assert_eq!(run.json()["settings"][0]["what"], "state", "{run}");
    assert_eq!(run.count("different"), 0, "{run}");

    let docker = data_root::filled(&fs.path().join("docker"));
    let audit = |name: &str| {
        let run = idshift.run([
            "docker",
            "audit",
            "--json",
            "--data-root",
            docker.to_str().unwrap(),
        ]);
        let file = fs.path().join(name);
        fs::write(&file, &run.stdout).unwrap();
        file
    };
    let before = audit("before.json");
    diff(&idshift, &before, &audit("again.json")).exits(0);
    fs::create_dir_all(docker.join("volumes/more/_data")).unwrap();
    let run = diff(&idshift, &before, &audit("after.json")).exits(3);
    let volumes = differences(&run);
    assert!(volumes.iter().any(|[what, ..]| what == "volumes"), "{run}");
}

/// A file of an owner, and its other names.
fn linked(dir: &Path, names: &[&str], owner: u32) {
    fs::create_dir_all(dir).unwrap();
    let first = dir.join(names[0]);
    fs::write(&first, "x").unwrap();
    chown(&first, Some(owner), None).unwrap();
    for name in &names[1..] {
        fs::hard_link(&first, dir.join(name)).unwrap();
    }
}

/// The manifests of two trees that are alike, but for what `fill` makes of each, compared.
fn diff_of_two<T>(fill: impl Fn(&Path, usize) -> T) -> Run {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let manifests = [0, 1].map(|n| {
        let top = fs.path().join(format!("host{n}"));
        for dir in ["a", "b"] {
            fs::create_dir_all(top.join(dir)).unwrap();
        }
        let _kept = fill(&top, n);
        manifest(&idshift, &fs, &top, &format!("{n}.jsonl"))
    });
    diff(&idshift, &manifests[0], &manifests[1])
}

/// Each manifest lists it once, by whichever of its names was found first.
#[test]
fn an_inode_is_the_same_by_another_of_its_hard_links() {
    // One that has no owner in the map, and one that is shifted.
    for owner in [70_000, 33] {
        let fs = TestFs::new(Kind::Ext4);
        let idshift = Idshift::new();
        let top = fs.path().join("top");
        linked(&top, &["x", "y"], owner);
        let first = manifest(&idshift, &fs, &top, "a.jsonl");
        let text = fs::read_to_string(&first).unwrap();
        let (listed, other) = match text.contains("/top/x\"") {
            true => ("/top/x\"", "/top/y\""),
            false => ("/top/y\"", "/top/x\""),
        };
        let second = fs.path().join("b.jsonl");
        fs::write(&second, text.replace(listed, other)).unwrap();
        let run = diff(&idshift, &first, &second).exits(0);
        assert_eq!(run.json()["same"], true, "{owner}: {run}");
    }
}

/// Two paths are no hard links of one inode where neither has another, or they have not as many.
#[test]
fn other_inodes_of_equal_states_are_different() {
    let unmapped = diff_of_two(|top, n| match n {
        0 => linked(&top.join("a"), &["x"], 70_000),
        _ => linked(&top.join("b"), &["y"], 70_000),
    });
    let mount = diff_of_two(|top, n| {
        let point = top.join(["a/x", "b/y"][n]);
        fs::create_dir(&point).unwrap();
        TestFs::mount_inside(Kind::Tmpfs, &point)
    });
    for run in [unmapped.exits(3), mount.exits(3)] {
        let found = differences(&run);
        let names: Vec<&str> = found.iter().map(|[what, ..]| &what[..]).collect();
        assert_eq!(names, ["a/x", "b/y"], "{run}");
    }
    for owner in [33, 70_000] {
        let run = diff_of_two(|top, n| match n {
            0 => linked(&top.join("a"), &["x", "y"], owner),
            _ => linked(&top.join("b"), &["x", "y", "z"], owner),
        });
        let run = run.exits(3);
        assert_eq!(run.count("only_in_a"), 1, "{owner}: {run}");
        assert_eq!(run.count("only_in_b"), 1, "{owner}: {run}");
    }
}
