//! A rollback gives back what is still what the run left, and reports the rest.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{chown, lchown};
use std::path::PathBuf;

use super::which_run::ids;
use crate::support;
use crate::support::scene;
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, data_root, tree};

pub(super) struct Shifted {
    pub(super) _fs: TestFs,
    pub(super) tree: PathBuf,
    pub(super) idshift: Idshift,
    pub(super) start: Snapshot,
}

pub(super) fn shifted() -> Shifted {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    idshift.shift(&tree);
    Shifted {
        _fs: fs,
        tree,
        idshift,
        start,
    }
}

impl Shifted {
    pub(super) fn rollback(&self, more: &[&str]) -> Run {
        let mut args = vec!["rollback", "latest", "--json"];
        args.extend(more);
        self.idshift.run(args)
    }

    pub(super) fn now(&self) -> Snapshot {
        Snapshot::of(&self.tree)
    }

    /// The start, apart from one path and its directory, which are as they are `now`.
    pub(super) fn start_but_for(&self, now: &Snapshot, path: &str) -> Snapshot {
        self.start.clone().with(now, |one| one == path.as_bytes())
    }
}

/// The inode of `path` is exchanged for a copy of it.
fn replace(it: &Shifted, path: &str) {
    let file = it.tree.join(path);
    let copy = file.with_file_name("copy");
    fs::copy(&file, &copy).unwrap();
    chown(&copy, Some(101_000), Some(101_000)).unwrap();
    fs::rename(copy, file).unwrap();
}

/// Apart from the times of this directory: something was put into it or taken out.
fn same_but_for_times_of(dir: &str, expected: &Snapshot, found: &Snapshot, when: &str) {
    let owners = |snapshot: &Snapshot| {
        let line = snapshot.at(dir);
        (
            line["uid"].clone(),
            line["gid"].clone(),
            line["mode"].clone(),
            line["xattrs"].clone(),
        )
    };
    assert_eq!(owners(expected), owners(found), "{when}");
    let dir = |path: &[u8]| path == dir.as_bytes();
    assert_same(
        &expected.clone().without(dir),
        &found.clone().without(dir),
        when,
    );
}

#[test]
fn what_got_another_owner_is_left_unless_forced() {
    let it = shifted();
    let path = "acls/file";
    lchown(it.tree.join(path), Some(4711), Some(4711)).unwrap();
    let changed = it.now();
    let run = it.rollback(&[]).exits(3).says(path);
    assert_eq!(run.count("conflicts"), 1, "{run}");
    assert!(run.problem_paths()[0].ends_with(path), "{run}");
    assert_same(
        &it.start_but_for(&changed, path),
        &it.now(),
        "after the rollback",
    );

    it.rollback(&["--force"]).exits(0);
    assert_same(&it.start, &it.now(), "after the forced rollback");
}

/// Owner and mode of a path, and what extended attributes it has.
fn access(snapshot: &Snapshot, path: &str) -> [serde_json::Value; 4] {
    let line = snapshot.at(path);
    ["uid", "gid", "mode", "xattrs"].map(|key| line[key].clone())
}

/// What somebody took away since is not given again, and what somebody set since is not handed to the old owner.
#[test]
fn a_changed_acl_or_mode_stays_even_with_force() {
    for (path, program, change, is_kept) in [
        ("acls/file", "setfacl", "-b", true),
        ("capabilities/effective", "setcap", "-r", true),
        ("owners/1000-1000", "chmod", "600", true),
        ("owners/1000-1000", "chmod", "u+s", false),
    ] {
        let it = shifted();
        support::sh(program, [change.as_ref(), it.tree.join(path).as_os_str()]);
        let changed = it.now();
        let run = it.rollback(&[]).exits(3);
        assert_eq!(run.count("conflicts"), 1, "{run}");
        assert_same(&it.start_but_for(&changed, path), &it.now(), path);
        let run = it.rollback(&["--force"]).exits(if is_kept { 3 } else { 0 });
        let now = it.now();
        let [uid, gid, mode, xattrs] = access(&now, path);
        let [was_uid, was_gid, ..] = access(&it.start, path);
        assert_eq!((uid, gid), (was_uid, was_gid), "the owner is back: {run}");
        let expected = if is_kept { &changed } else { &it.start };
        let [_, _, kept_mode, kept_xattrs] = access(expected, path);
        assert_eq!((mode, xattrs), (kept_mode, kept_xattrs), "{change}: {run}");
        assert_same(&it.start_but_for(&now, path), &now, "all the rest");
    }
}

#[test]
fn force_gives_no_capability_back_after_a_chown() {
    let it = shifted();
    let path = "capabilities/with-all";
    lchown(it.tree.join(path), Some(4711), Some(4711)).unwrap();
    let run = it.rollback(&["--force"]).exits(3).says(path);
    let now = it.now();
    let (found, start) = (access(&now, path), access(&it.start, path));
    assert_eq!(found[..2], start[..2], "{run}");
    assert!(
        !found[3].to_string().contains("security.capability"),
        "{run}"
    );
    assert_same(&it.start_but_for(&now, path), &now, "all the rest");
}

#[test]
fn a_replaced_file_is_left_also_when_forced() {
    let it = shifted();
    let path = "owners/1000-1000";
    replace(&it, path);
    let changed = it.now();
    for more in [&[][..], &["--force"]] {
        let run = it.rollback(more).exits(3).says(path);
        assert_eq!(run.count("conflicts"), 1, "{run}");
        let expected = it.start_but_for(&changed, path);
        same_but_for_times_of("owners", &expected, &it.now(), "after the rollback");
    }
}

#[test]
fn a_removed_file_is_reported_and_the_rest_given_back() {
    let it = shifted();
    let path = "owners/1000-1000";
    fs::remove_file(it.tree.join(path)).unwrap();
    let run = it.rollback(&[]).exits(3).says(path);
    assert_eq!(run.count("conflicts"), 1, "{run}");
    let expected = it.start.clone().without(|one| one == path.as_bytes());
    same_but_for_times_of("owners", &expected, &it.now(), "after the rollback");
}

#[test]
fn a_removed_directory_is_reported_with_its_contents() {
    let it = shifted();
    fs::remove_dir_all(it.tree.join("acls")).unwrap();
    let gone = it
        .start
        .lines()
        .keys()
        .filter(|path| path.starts_with(b"acls"))
        .count() as u64;
    let run = it.rollback(&[]).exits(3);
    assert_eq!(run.count("conflicts"), gone, "{run}");
    let expected = it.start.clone().without(|path| path.starts_with(b"acls"));
    let (links, now) = (it.start.at(".")["nlink"].as_u64().unwrap(), it.now());
    assert_eq!(now.at(".")["nlink"], links - 1);
    let top = |path: &[u8]| path == b".";
    assert_same(
        &expected.without(top),
        &now.without(top),
        "after the rollback",
    );
}

#[test]
fn a_symlink_in_a_directorys_place_is_not_followed() {
    let it = shifted();
    let outside = it.tree.with_file_name("outside");
    fs::rename(it.tree.join("owners"), &outside).unwrap();
    std::os::unix::fs::symlink(&outside, it.tree.join("owners")).unwrap();
    let there = Snapshot::of(&outside);
    it.rollback(&[]).exits(3);
    assert_same(&there, &Snapshot::of(&outside), "outside of the tree");
}

#[test]
fn what_was_created_since_is_counted_and_left() {
    let it = shifted();
    for name in ["owners/new", "new"] {
        let file = it.tree.join(name);
        fs::write(&file, "").unwrap();
        chown(&file, Some(101_000), Some(101_000)).unwrap();
    }
    let run = it.rollback(&[]).exits(0);
    assert_eq!(run.count("created_since"), 2, "{run}");
    let now = it.now();
    assert_eq!(
        (&now.at("new")["uid"], &now.at("owners/new")["gid"]),
        (&101_000.into(), &101_000.into())
    );
    let touched = |path: &[u8]| [&b"."[..], b"owners", b"new", b"owners/new"].contains(&path);
    assert_same(
        &it.start.clone().without(touched),
        &now.without(touched),
        "after the rollback",
    );
}

#[test]
fn a_second_one_changes_nothing() {
    let it = shifted();
    let journal = it.idshift.the_journal();
    it.rollback(&[]).exits(0);
    let run = it
        .idshift
        .run(["rollback", journal.to_str().unwrap(), "--json"])
        .exits(0);
    assert_eq!(run.count("changed"), 0, "{run}");
    assert_eq!(run.json()["ending"], "nothing", "{run}");
    assert_same(&it.start, &it.now(), "after the second rollback");
    // That run is over, and `latest` means no other.
    it.rollback(&[]).exits(4).says("rolled back");
}

#[test]
fn a_dry_run_changes_nothing() {
    let it = shifted();
    let there = it.now();
    let journal = fs::read(it.idshift.the_journal()).unwrap();
    let run = it.rollback(&["--dry-run"]).exits(0);
    assert_eq!(
        run.count("changed"),
        it.start.inodes().len() as u64,
        "{run}"
    );
    assert_same(&there, &it.now(), "after the dry run");
    assert!(
        journal == fs::read(it.idshift.the_journal()).unwrap(),
        "the journal was written to"
    );
    it.rollback(&[]).exits(0);
    assert_same(&it.start, &it.now(), "after the rollback");
}

/// A journal says what became of its run; what a later run did to the tree, the disk says.
#[test]
fn rolled_back_already_is_verified_on_the_disk() {
    let it = shifted();
    let there = it.now();
    it.idshift.reverse(&it.tree);
    let ids = ids(&it.idshift);
    let rollback = |n: usize| it.idshift.run(["rollback", &ids[n], "--json"]).exits(0);
    // Everything is as before the first run already.
    rollback(0);
    assert_same(&it.start, &it.now(), "the first undone");
    rollback(1);
    assert_same(&there, &it.now(), "the second undone: shifted again");
    let dry = it.idshift.run(["rollback", &ids[0], "--json", "--dry-run"]);
    assert!(dry.exits(0).count("changed") > 0);
    assert_same(&there, &it.now(), "after a dry run");
    assert!(rollback(0).count("changed") > 0);
    assert_same(&it.start, &it.now(), "the first undone once more");
    assert_eq!(rollback(0).json()["ending"], "nothing");
}

#[test]
fn a_second_rollback_reports_and_leaves_changes() {
    let it = shifted();
    let id = &ids(&it.idshift)[0];
    it.rollback(&[]).exits(0);
    lchown(it.tree.join("owners/0-0"), Some(7), Some(7)).unwrap();
    let changed = it.now();
    let journal = fs::read(it.idshift.the_journal()).unwrap();
    let run = it.idshift.run(["rollback", id, "--json"]).exits(3);
    assert_eq!((run.count("conflicts"), run.count("changed")), (1, 0));
    assert_same(&changed, &it.now(), "after the second rollback");
    assert!(journal == fs::read(it.idshift.the_journal()).unwrap());
    it.idshift.run(["rollback", id, "--force"]).exits(0);
    assert_same(&it.start, &it.now(), "after the forced rollback");
}

#[test]
fn verify_says_whether_disk_and_journal_agree() {
    let it = shifted();
    let verify = || it.idshift.run(["verify", "latest", "--json"]);
    let by_map = |way: &[&str]| {
        let args = ["verify", "--json", "--map", MAP, it.tree.to_str().unwrap()];
        it.idshift.run(args.iter().chain(way))
    };
    let there = it.now();
    verify().exits(0);
    by_map(&[]).exits(0);
    by_map(&["--reverse"]).exits(3);
    lchown(it.tree.join("owners/0-0"), Some(0), Some(0)).unwrap();
    verify().exits(3).says("owners/0-0");
    by_map(&[]).exits(3).says("owners/0-0");
    lchown(it.tree.join("owners/0-0"), Some(100_000), Some(100_000)).unwrap();
    assert_same(&there, &it.now(), "verify changes nothing");
    it.rollback(&[]).exits(0);
    verify().exits(0);
    by_map(&["--reverse"]).exits(0);
    by_map(&[]).exits(3);
}

#[test]
fn verify_names_renamed_entries_by_where_they_are_now() {
    let fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&fs.path().join("docker"));
    let idshift = Idshift::new();
    let args = scene::docker_args("migrate", &top, &["--set-userns-host"]);
    idshift.run(args).exits(0);
    let range = top.join("100000.100000");
    let renamed = range.join("containers");
    let below = range.join("overlay2/0123/diff/dir/below");
    for changed in [&top, &renamed, &below] {
        lchown(changed, Some(7), Some(7)).unwrap();
    }
    let run = idshift.run(["verify", "latest", "--json"]).exits(3);
    let named: BTreeSet<PathBuf> = run.problem_paths().iter().map(PathBuf::from).collect();
    assert_eq!(named, BTreeSet::from([top, renamed, below]), "{run}");
}

#[test]
fn what_rollback_of_revert_makes_is_not_called_new() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    let idshift = Idshift::new();
    let carry = |what: &str, more: &[&str]| idshift.run(scene::docker_args(what, &top, more));
    carry("migrate", &["--set-userns-host"]).exits(0);
    carry("revert", &[]).exits(0);
    let run = idshift.run(["rollback", "latest", "--json"]).exits(0);
    assert_eq!(run.json()["created_paths"], serde_json::json!([]), "{run}");
    assert_eq!(run.count("created_since"), 0, "{run}");

    carry("revert", &[]).exits(0);
    let new = "overlay2/0123/new";
    std::fs::write(top.join(new), "").unwrap();
    let run = idshift.run(["rollback", "latest", "--json"]).exits(0);
    let path = top.join("100000.100000").join(new);
    assert_eq!(
        run.json()["created_paths"],
        serde_json::json!([path]),
        "{run}"
    );
}

fn names(dir: &std::path::Path) -> BTreeSet<std::ffi::OsString> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[test]
fn an_undone_copy_is_told_with_what_removes_it() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker data"));
    std::fs::set_permissions(&top, std::os::unix::fs::PermissionsExt::from_mode(0o710)).unwrap();
    let before = names(&top);
    let idshift = Idshift::new();
    let args = scene::docker_args("migrate", &top, &["--set-userns-host", "--copy"]);
    let run = idshift.run(&args).exits(0);
    assert!(!run.stderr.contains("rm -rf"), "{run}");
    let copy = top.join("idshift-copy-100000.100000");
    assert!(!copy.exists());
    let run = idshift.run(["rollback", "latest"]).exits(0);
    assert!(copy.is_dir());
    let command = run.stderr.split('`').nth(1).unwrap_or_default().to_string();
    assert_eq!(command, format!("rm -rf '{}'", copy.display()), "{run}");
    support::sh("sh", ["-c", &command]);
    assert_eq!(names(&top), before);
    let run = idshift.run(["rollback", "latest", "--force"]);
    assert!(!run.stderr.contains("rm -rf"), "{run}");
    idshift.run(&args).exits(0);
}
