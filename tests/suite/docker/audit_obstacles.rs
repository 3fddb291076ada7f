//! What `docker audit` tells of what is in the way of a migration.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use super::handmade_root::{Root, audit, levels};
use crate::support;
use crate::support::{Idshift, Kind, Run, TestFs, data_root, need_root, scene, trace};
use serde_json::json;

/// A data-root of a plain daemon.
#[test]
fn what_stands_in_the_way_is_told() {
    let root = Root::new();
    let (code, told) = root.audit();
    assert_eq!(
        (code, &told["verdict"]),
        (Some(0), &json!("ok")),
        "{:#?}",
        levels(&told)
    );

    root.make("swarm");
    fs::write(root.path("swarm/docker-state.json"), "{}").unwrap();
    root.make(&format!("plugins/{:064x}", 7));
    root.make("100000.100000/image");
    root.make("300000.300000/containers/x");
    root.make("idshift-copy-100000.100000");
    let (code, told) = root.audit();
    let bad = levels(&told);
    assert_eq!(code, Some(0), "{bad:#?}");
    for words in [
        "warning swarm: this host is in a swarm",
        "warning plugins: 1 installed",
        "warning remapped root: 300000.300000, of another range, holds",
    ] {
        assert!(
            bad.iter().any(|line| line.starts_with(words)),
            "{words:?} in {bad:#?}"
        );
    }
    let all = told["findings"].to_string();
    assert!(all.contains("100000.100000 is there and unused"), "{all}");
    assert!(all.contains("idshift-copy-100000.100000 is left"), "{all}");

    root.make("100000.100000/volumes/mine/_data");
    root.make("image/zfs/layerdb/sha256/x");
    root.make("containers/broken");
    fs::write(root.path("containers/broken/config.v2.json"), "{").unwrap();
    fs::set_permissions(root.dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mounted = root.make("builder");
    let fs = TestFs::mount_inside(Kind::Tmpfs, &mounted);
    let (code, told) = root.audit();
    let bad = levels(&told);
    assert_eq!(code, Some(3), "{bad:#?}");
    for words in [
        "error remapped root: 100000.100000 holds",
        "error storage driver:",
        "error container metadata:",
        "error filesystems:",
    ] {
        assert!(
            bad.iter().any(|line| line.starts_with(words)),
            "{words:?} in {bad:#?}"
        );
    }
    drop(fs);
    let closed = root.make("closed/root");
    fs::set_permissions(root.path("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    let run = audit(&["--data-root", closed.to_str().unwrap()]);
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.text().contains("chmod o+x"), "{run}");
    for (args, words) in [
        (
            &["--data-root", "/nonexistent/docker"][..],
            "/nonexistent/docker",
        ),
        (
            &["--userns-remap", "default", "--userns-remap", "nosuchuser"],
            "cannot be used multiple times",
        ),
    ] {
        let run = audit(args);
        assert!(run.stderr.contains(words), "{run}");
    }
}

#[test]
fn immutable_inodes_are_told_with_the_option() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    let file = top.join("overlay2/0123/diff/plain");
    let flags = |path: &Path| {
        let listed = support::output("lsattr", ["-d", path.to_str().unwrap()]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.split(' ').next().unwrap().to_string()
    };
    support::sh("chattr", ["+i", file.to_str().unwrap()]);
    let idshift = Idshift::new();
    let carry = |what: &str, more: &[&str]| idshift.run(scene::docker_args(what, &top, more));

    let audit = |more: &[&str]| {
        let args = scene::docker_args("audit", &top, more);
        Run::of(Command::new(Idshift::program()).args(args))
    };
    let audited = audit(&[]).exits(3).text();
    for words in [
        "immutable inodes",
        "overlay2/0123 (1)",
        "migrate with --immutable=clear",
    ] {
        assert!(audited.contains(words), "{words:?} in {audited}");
    }
    assert!(!audited.contains("a larger range"), "{audited}");
    // Both list it as what cannot be shifted.
    for (more, code) in [(&["--dry-run"][..], 3), (&[], 1)] {
        let told = carry("migrate", more).exits(code).to_string();
        assert!(told.contains("--immutable=clear"), "{told}");
    }

    carry("migrate", &["--immutable=clear"]).exits(0);
    let moved = top.join("100000.100000/overlay2/0123/diff/plain");
    assert!(fs::metadata(&moved).unwrap().uid() >= 100_000);
    assert!(flags(&moved).contains('i'), "{}", flags(&moved));
    carry("revert", &[]).exits(1);
    carry("revert", &["--immutable=clear"]).exits(0);
    assert!(flags(&file).contains('i'), "{}", flags(&file));
    carry("migrate", &["--immutable=clear"]).exits(0);
    idshift.rollback();
    assert!(flags(&file).contains('i'), "{}", flags(&file));
    assert!(fs::metadata(&file).unwrap().uid() < 100_000);
    support::sh("chattr", ["-i", file.to_str().unwrap()]);
}

#[test]
fn audit_and_dry_run_tell_how_to_end_a_killed_run() {
    let scene = scene::migrate(Kind::Ext4);
    let idshift = Idshift::new();
    let journals = idshift.journals().to_str().unwrap().to_string();
    let audit = || {
        let args = scene::docker_args("audit", &scene.top, &["--journal-dir", &journals]);
        Run::of(Command::new(Idshift::program()).args(args))
    };
    let events = scene.events();
    // While it lists, while owners change, between its last steps, and after them.
    let mut unfinished = 0;
    for n in [events / 8, events / 2, events - 6, events - 3, events - 2] {
        assert!(trace::kill_at(&scene.command(&idshift), n));
        match (
            idshift.journal_files().is_empty(),
            scene::is_unfinished(&idshift),
        ) {
            (true, _) => continue,
            (false, false) => break,
            (false, true) => unfinished += 1,
        }
        let audited = audit();
        assert_ne!(audited.code, Some(0), "{audited}");
        let told = audited.to_string();
        assert!(told.contains("rollback"), "killed at {n}: {audited}");
        let dry = idshift.run(scene::docker_args("migrate", &scene.top, &["--dry-run"]));
        assert!(dry.to_string().contains("rollback"), "killed at {n}: {dry}");
        scene.roll_back(&idshift, "as advised");
    }
    assert!(unfinished > 0);
}

#[test]
fn a_file_in_place_of_containers_is_told() {
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    fs::remove_dir_all(top.join("containers")).unwrap();
    let idshift = Idshift::new();
    let migrate = || idshift.run(scene::docker_args("migrate", &top, &["--dry-run"]));
    fs::write(
        top.join("containers"),
        "A run of idshift has not ended here.",
    )
    .unwrap();
    migrate()
        .exits(4)
        .says("was interrupted here")
        .says("idshift resume");
    fs::write(top.join("containers"), "mine").unwrap();
    migrate().exits(4).says("Move it out of the data-root");
}

#[test]
fn an_undone_migration_does_not_tell_its_plan() {
    need_root();
    let test_fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&test_fs.path().join("docker"));
    let idshift = Idshift::new();
    chown(top.join("overlay2/0123/diff/plain"), Some(70_000), None).unwrap();
    let carry = |more: &[&str]| idshift.run(scene::docker_args("migrate", &top, more));
    let told = "Container web is marked --userns=host";
    carry(&["--dry-run", "--set-userns-host"])
        .exits(3)
        .says("Container web would be marked --userns=host");
    let undone = carry(&["--set-userns-host"]).exits(1);
    assert!(!undone.stderr.contains(told), "{undone}");
    carry(&["--set-userns-host", "--keep-going"])
        .exits(3)
        .says(told);
}
