//! Where a walk ends: mounts, what a glob excludes, symlinks.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use crate::support::idshift::shift_args;
use crate::support::zoo::Zoo;
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, output, sh, tree};

fn is_below(path: &[u8], dir: &str) -> bool {
    path.strip_prefix(dir.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[test]
fn a_mount_point_inside_is_crossed_only_on_demand() {
    let it = Zoo::new(Kind::Ext4);
    fs::create_dir(it.tree.join("mounted")).unwrap();
    let inner = TestFs::mount_inside(Kind::Tmpfs, &it.tree.join("mounted"));
    tree::plain_zoo(&it.tree.join("mounted/zoo"));
    let start = Snapshot::of(&it.tree);

    let run = it.idshift.shift(&it.tree);
    assert_eq!(run.count("skipped"), 1, "{run}");
    let expected = start
        .shifted(&[MAP])
        .with(&start, |path| is_below(path, "mounted"));
    assert_same(&expected, &Snapshot::of(&it.tree), "after the shift");
    it.idshift.rollback();

    it.idshift
        .shift_with(&it.tree, &["--cross-mounts"])
        .exits(0);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&it.tree),
        "after the shift across mounts",
    );
    it.idshift.rollback();
    assert_same(&start, &Snapshot::of(&it.tree), "after the rollback");
    drop(inner);
}

/// A bind mount of a directory of the same filesystem has the same device.
#[test]
fn a_bind_mount_inside_is_a_mount_point_too() {
    let it = Zoo::new(Kind::Ext4);
    let outside = tree::plain_zoo(&it.fs.path().join("outside"));
    let at = it.tree.join("bound");
    fs::create_dir(&at).unwrap();
    sh(
        "mount",
        ["--bind".as_ref(), outside.as_os_str(), at.as_os_str()],
    );
    let before = Snapshot::of(&outside);
    let run = it.idshift.shift_with(&it.tree, &[]);
    sh("umount", [&at]);
    let run = run.exits(0);
    assert_eq!(run.count("skipped"), 1, "{run}");
    assert_same(&before, &Snapshot::of(&outside), "what was bound");
}

#[test]
fn what_a_glob_excludes_is_left() {
    let it = Zoo::new(Kind::Ext4);
    type IsLeft = fn(&[u8]) -> bool;
    let absolute = it.tree.join("owners/");
    let cases: [(&[&str], IsLeft); 8] = [
        (&["owners/"], |path| is_below(path, "owners")),
        (&[".//owners"], |path| is_below(path, "owners")),
        (&[absolute.to_str().unwrap()], |path| {
            is_below(path, "owners")
        }),
        (&["./modes//file-*"], |path| {
            path.starts_with(b"modes/file-")
        }),
        (&["owners"], |path| is_below(path, "owners")),
        (&["modes/file-*"], |path| path.starts_with(b"modes/file-")),
        (&["**/inside"], |path| path.ends_with(b"/inside")),
        (&["kinds/*", "*/dir-1000"], |path| {
            path.starts_with(b"kinds/") || is_below(path, "owners/dir-1000")
        }),
    ];
    for (globs, is_left) in cases {
        let args: Vec<&str> = globs.iter().flat_map(|glob| ["--exclude", glob]).collect();
        let run = it.idshift.shift_with(&it.tree, &args).exits(0);
        assert!(run.count("skipped") > 0, "{run}");
        let expected = it.start.shifted(&[MAP]).with(&it.start, is_left);
        assert_same(&expected, &Snapshot::of(&it.tree), globs[0]);
        it.idshift.rollback();
        assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
    }
}

/// Names may have any bytes, and so may globs, also in the journal.
#[test]
fn a_glob_of_any_bytes_leaves_out_what_it_names() {
    let fs = TestFs::new(Kind::Ext4);
    let top = fs.path().join("tree");
    let path = |name: &[u8]| top.join(OsStr::from_bytes(name));
    fs::create_dir_all(path(b"caf\xe9")).unwrap();
    for name in [&b"caf\xe9/in"[..], b"caf\xe8", b"other\xff"] {
        fs::write(path(name), "").unwrap();
    }
    let idshift = Idshift::new();
    let globs = [&b"caf\xe9"[..], b"no\xff"].map(OsStr::from_bytes);
    let mut args = shift_args(&top, &[MAP], &[]);
    for glob in globs {
        args.extend([OsStr::new("--exclude"), glob].map(OsString::from));
    }
    let run = idshift.run(args).exits(0);
    let unmatched = &run.json()["excludes_without_match"];
    assert_eq!(*unmatched, serde_json::json!([{"b64": "bm//"}]));
    let uid = |name: &[u8]| fs::metadata(path(name)).unwrap().uid();
    let of = |names: [&[u8]; 4]| names.map(uid);
    let names = [&b"caf\xe9"[..], b"caf\xe9/in", b"caf\xe8", b"other\xff"];
    assert_eq!(of(names), [0, 0, 100_000, 100_000]);
    idshift.run(["verify", "latest"]).exits(0);
    idshift.rollback();
    assert_eq!(of(names), [0; 4]);
}

#[test]
fn an_exclude_that_matches_nothing_is_told() {
    let it = Zoo::new(Kind::Tmpfs);
    let elsewhere = it.fs.path().join("elsewhere");
    fs::create_dir_all(elsewhere.join("owners")).unwrap();
    let globs = [
        "--exclude",
        "owners",
        "--exclude",
        "no-such/",
        "--exclude",
        "x/\n",
    ];
    for more in [&[][..], &["--dry-run"]] {
        let run = it
            .idshift
            .shift_with(&it.tree, &[&globs[..], more].concat())
            .exits(0);
        let unmatched = &run.json()["excludes_without_match"];
        assert_eq!(unmatched, &serde_json::json!(["no-such/", "x/\n"]));
        run.says("Warning: --exclude no-such/ matched nothing");
    }
    let verified = it.idshift.run([
        "verify",
        "--map",
        MAP,
        it.tree.to_str().unwrap(),
        "--exclude=no",
    ]);
    assert!(
        verified
            .text()
            .contains("Warning: --exclude no matched nothing"),
        "{verified}"
    );
    it.idshift.rollback();
    let tree = it.tree.to_str().unwrap();
    for glob in ["", ".", "./", tree, "/no/such/place", "/"] {
        for command in ["shift", "prepare"] {
            let args = [command, "--map", MAP, tree, "--exclude", glob];
            it.idshift.run(args).exits(2).says("--exclude");
        }
    }
    // What is absolute is of one tree, also by the way that was given.
    let link = it.fs.path().join("link");
    symlink(it.fs.path(), &link).unwrap();
    let at = |below: &str| link.join(below).to_str().unwrap().to_string();
    let (tree, owners) = (at("tree"), at("tree/owners"));
    let args = [
        "shift",
        "--map",
        MAP,
        &tree,
        elsewhere.to_str().unwrap(),
        "--exclude",
        &owners,
    ];
    it.idshift.run(args).exits(0);
    let uid = |path: &Path| fs::metadata(path).unwrap().uid();
    assert_eq!(
        (uid(&elsewhere.join("owners")), uid(&it.tree.join("owners"))),
        (100_000, 0)
    );
    let journal = it.idshift.journal_files().pop().unwrap();
    let journal = String::from_utf8_lossy(&output("zstdcat", [journal]).stdout).into_owned();
    let real = it.tree.join("owners");
    assert!(
        journal.contains(real.to_str().unwrap()),
        "who resumes knows real paths only"
    );
}

/// A symlink in the tree to a place outside is shifted itself; the place is not.
#[test]
fn nothing_outside_is_reached_through_a_symlink() {
    let it = Zoo::new(Kind::Ext4);
    let outside = tree::plain_zoo(&it.fs.path().join("outside"));
    symlink(&outside, it.tree.join("link-to-directory")).unwrap();
    symlink(outside.join("owners/0-0"), it.tree.join("link-to-file")).unwrap();
    let before = Snapshot::of(&outside);
    it.idshift.shift(&it.tree);
    assert_same(&before, &Snapshot::of(&outside), "what the links point to");
    assert_eq!(
        Snapshot::of(&it.tree).at("link-to-directory")["uid"],
        100_000
    );
}
