//! A conversion, its revert, and the rollbacks of both: each gives back what was before it, in this order alone.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use crate::docker::store_images::unread;
use crate::docker::store_kills::{Store, host_with_managed_store};
use crate::support::docker::{same, snapshot};
use crate::support::{Idshift, Run, isolation, need_root, output, sh};

const RANGE: &str = "100000.100000";
const KEPT: &str = "idshift-aside-root-100000.100000";

fn revert(idshift: &Idshift, store: &Store, more: &[&str]) -> Run {
    let root = store.root.to_str().unwrap();
    let args = ["docker", "revert", "--data-root", root];
    let nowhere = ["--daemon-json", "/nonexistent/daemon.json"];
    idshift.run([&args[..], &nowhere, more].concat())
}

/// What refuses names the revert, and changes nothing, however it is asked for.
fn only_the_revert_is_undone_now(idshift: &Idshift, store: &Store, journals: &[PathBuf]) {
    let [migration, reverted] = journals else {
        panic!("{journals:?}");
    };
    let (migration, reverted) = (migration.to_str().unwrap(), reverted.to_str().unwrap());
    let first = format!("`idshift rollback {reverted}`");
    let before = snapshot(&store.root);
    for more in [&[][..], &["--dry-run"]] {
        let more = [&["--to-containerd"], more].concat();
        revert(idshift, store, &more).exits(4).says(&first);
    }
    for more in [&[][..], &["--dry-run"], &["--force"]] {
        let run = idshift.run([&["rollback", migration], more].concat());
        run.exits(4).says(&first);
    }
    same(&before, &snapshot(&store.root), "after the refusals");
    let listed = idshift.run(["journal", "list", "--json"]).exits(0).text();
    assert_eq!(listed.matches("\"finished\"").count(), 2, "{listed}");
}

/// The root of the range is another directory now: what was renamed into it cannot be put back, and nothing else is.
fn another_root_is_not_torn_apart(idshift: &Idshift, store: &Store) {
    let root = store.root.join(RANGE);
    let away = store.root.join("away");
    fs::rename(&root, &away).unwrap();
    sh("cp", ["-a".as_ref(), away.as_os_str(), root.as_os_str()]);
    let before = snapshot(&store.root);
    for more in [&[][..], &["--force"], &["--force", "--dry-run"]] {
        let run = idshift.run([&["rollback", "latest"], more].concat());
        let run = run.exits(4);
        assert!(!run.stderr.contains("--force"), "{run}");
        assert!(run.stderr.contains("Nothing was undone"), "{run}");
    }
    same(&before, &snapshot(&store.root), "after the refusals");
    fs::remove_dir_all(&root).unwrap();
    fs::rename(&away, &root).unwrap();
}

fn undone_in_turn(store: &Store, way: &[&str]) {
    let idshift = Idshift::new();
    let start = store.state();
    Run::of(&mut store.command(&idshift, way)).exits(0);
    if way.is_empty() {
        another_root_is_not_torn_apart(&idshift, store);
    }
    let converted = unread(&snapshot(&store.root));

    let told = revert(&idshift, store, &[]).exits(0);
    told.says(&format!("kept as {KEPT}"));
    assert!(!store.root.join(RANGE).exists());
    let in_range = ["-uid", "+99999", "-o", "-gid", "+99999"].map(OsStr::new);
    let kept = store.root.join(KEPT);
    let found = output("find", [&[kept.as_os_str()], &in_range[..]].concat());
    assert_eq!(String::from_utf8(found.stdout).unwrap(), "");
    only_the_revert_is_undone_now(&idshift, store, &idshift.journal_files());

    idshift.run(["rollback", "latest"]).exits(0);
    same(
        &converted,
        &unread(&snapshot(&store.root)),
        "the revert is undone",
    );
    revert(&idshift, store, &["--to-containerd"]).exits(0);
    same(&start, &store.state(), "both are undone");
}

#[test]
fn a_conversion_is_undone_after_its_revert_was() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    for way in [&[][..], &["--idmapped"]] {
        undone_in_turn(&store, way);
    }
}
