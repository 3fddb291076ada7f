//! Where other commands tell of idmapped mounts, and what they say works.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use crate::support::mounts::{mount, mounted_at, owner, umount};
use crate::support::volume::{check, directory, prepare};
use crate::support::{Idshift, Kind, Promise, Run, TestFs, sh};

/// As a shell would run it, with this build.
fn carry_out(command: &str) {
    let function = format!("idshift() {{ {} \"$@\"; }}; ", Idshift::program().display());
    sh("bash", ["-c", &(function + command)]);
}

#[test]
fn a_large_directory_is_to_be_mounted_instead() {
    let fs = TestFs::new(Kind::Tmpfs);
    let dir = directory(&fs.path().join("large"), (999, 999), 0o700);
    for n in 0..49_999 {
        fs::write(dir.join(n.to_string()), "").unwrap();
    }
    let idshift = Idshift::new();
    let run = prepare(&idshift, &dir, &["--dry-run"]).exits(0);
    assert!(!run.stderr.contains("idshift mount"), "{run}");
    let json = check(&dir, &["--as", "999:999", "--json"]).exits(3).json();
    assert!(json.get("mount_instead").is_none(), "{json}");

    fs::write(dir.join("one more"), "").unwrap();
    prepare(&idshift, &dir, &["--dry-run"])
        .exits(0)
        .says("`idshift mount --map b:0:100000:65536 /");
    let run = check(&dir, &["--as", "999:999"]).exits(3);
    assert!(run.text().contains("idshift mount"), "{run}");
    let json = check(&dir, &["--as", "999:999", "--json"]).exits(3).json();
    carry_out(json["mount_instead"].as_str().unwrap());
    check(&dir, &["--as", "999:999"]).exits(0);
    assert_eq!(owner(&dir), (100_999, 100_999));
    umount(&dir, &[]).exits(0);
    // Where it cannot be mounted so, it is not said.
    let below = directory(&dir.join("below"), (0, 0), 0o755);
    let _mounted = crate::support::Mounted::new("tmpfs", "size=1m", &below);
    let run = prepare(&idshift, &dir, &["--dry-run"]).exits(0);
    assert!(!run.stderr.contains("idshift mount"), "{run}");
}

/// A mode of 0700 says nothing of an ACL, and nothing of an owner who is not root.
#[test]
fn whoever_enters_the_files_on_disk_is_told() {
    let fs = TestFs::new(Kind::Ext4);
    fs::set_permissions(fs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let dir = directory(&fs.path().join("data"), (0, 0), 0o700);
    let is_told = || {
        let run = mount(&dir, &["--dry-run"]).exits(0);
        (run.text() + &run.stderr).contains("Others can enter")
    };
    let acl = |entry: &str| sh("setfacl", [entry, dir.to_str().unwrap()]);
    assert!(!is_told());
    acl("-mu:65534:--x");
    assert!(is_told());
    acl("-b");
    chown(&dir, Some(33), None).unwrap();
    assert!(is_told());
    directory(&dir, (0, 0), 0o755);
    directory(&fs.path(), (0, 0), 0o700);
    assert!(!is_told());
}

#[test]
fn a_mount_with_another_owner_helps_another_user() {
    let fs = TestFs::new(Kind::Ext4);
    let (dir, at) = (fs.path().join("data"), fs.path().join("at"));
    for dir in [&dir, &at] {
        directory(dir, (33, 33), 0o700);
    }
    fs::set_permissions(fs.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for target in [&dir, &at] {
        mount(&dir, &[target.to_str().unwrap()]).exits(0);
        check(target, &["--as", "33:33"]).exits(0);
        let json = check(target, &["--as", "999:999", "--json"])
            .exits(3)
            .json();
        let remedies = json["remedies"].as_array().unwrap();
        let [remedy] = &remedies[..] else {
            panic!("{json}")
        };
        carry_out(remedy.as_str().unwrap());
        check(target, &["--as", "999:999"]).exits(0);
        assert_eq!(mounted_at(target).len(), 1);
        umount(target, &[]).exits(0);
        assert_eq!(owner(&dir), (33, 33));
    }
}

fn doctor(data_root: &Path, volumes: &[&Path]) -> Run {
    let mut command = Command::new(Idshift::program());
    command.args([
        "doctor",
        "--json",
        "--daemon-json",
        "/nonexistent",
        "--data-root",
    ]);
    Run::of(command.arg(data_root).args(volumes))
}

#[test]
fn doctor_tries_mounts_and_an_overlay_and_leaves_nothing() {
    let table = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let ramfs = TestFs::new(Kind::Ramfs);
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let fs = TestFs::new(kind);
        let top = directory(&fs.path().join("a,b:c"), (0, 0), 0o711);
        fs::write(top.join("file"), "").unwrap();
        chown(top.join("file"), Some(7), Some(7)).unwrap();
        let (mounts, before) = (table(), fs::metadata(&top).unwrap());
        let run = doctor(&top, &[&ramfs.path()]);
        let json = run.json();
        let findings = json["findings"].as_array().unwrap();
        let of = |what: &str| {
            let of_it = findings.iter().filter(|one| one["what"] == what);
            let level = |one: &serde_json::Value| one["level"].as_str().unwrap().to_string();
            of_it.map(level).collect::<Vec<_>>()
        };
        assert_eq!(of("idmapped mounts"), ["ok", "warning"], "{json}");
        assert_eq!(of("idmapped overlay"), ["ok"], "{json}");
        assert!(
            json.to_string().contains("type ramfs cannot be idmapped"),
            "{json}"
        );
        let after = fs::metadata(&top).unwrap();
        assert_eq!(
            (after.mtime_nsec(), after.uid()),
            (before.mtime_nsec(), before.uid())
        );
        assert_eq!(table(), mounts);
        assert_eq!(fs::read_dir(&top).unwrap().count(), 1);
    }
}

/// Killed at any moment, it leaves neither a mount nor a file.
#[test]
fn a_killed_doctor_leaves_nothing() {
    let promise = Promise::new(
        "Crash",
        "`idshift doctor` leaves neither mounts nor files of what it tries",
        "killed at moments spread over its run",
    );
    let fs = TestFs::new(Kind::Ext4);
    let top = directory(&fs.path().join("root"), (0, 0), 0o711);
    let table = || fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let mounts = table();
    let start = std::time::Instant::now();
    doctor(&top, &[]);
    let whole = start.elapsed();
    for moment in 0..20 {
        let mut command = Command::new(Idshift::program());
        command
            .args(["doctor", "--json", "--data-root"])
            .arg(&top)
            .stdout(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(whole * moment / 20);
        let _ = child.kill();
        child.wait().unwrap();
        assert_eq!(table(), mounts);
        assert_eq!(fs::read_dir(&top).unwrap().count(), 0);
        promise.held();
    }
}

#[test]
fn an_owner_that_no_container_has_is_told() {
    let fs = TestFs::new(Kind::Ext4);
    for (name, owner) in [("shifted", 100_033), ("elsewhere", 200_000)] {
        let dir = directory(&fs.path().join(name), (owner, owner), 0o700);
        let told = format!("as nobody: {owner}:{owner} on disk is not an id of the container");
        mount(&dir, &[]).exits(0).says(&told);
        umount(&dir, &[]).exits(0);
        let run = mount(&dir, &["--owner", "33:33"]).exits(0);
        assert!(!run.text().contains("as nobody"), "{run}");
        umount(&dir, &[]).exits(0);
    }
}

/// The way back of a map whose sides share ids is not the map of its mount.
#[test]
fn umount_of_an_ambiguous_map_says_where_files_are() {
    for (maps, root) in [
        (&["b:0:2000:1", "b:1:100000:65535"][..], 101_999),
        (&["b:0:1000:2000"], 2000),
    ] {
        let fs = TestFs::new(Kind::Ext4);
        let dir = directory(&fs.path().join("app"), (7, 7), 0o755);
        let mut command = Idshift::new().command(["mount"]);
        maps.iter().for_each(|map| _ = command.args(["--map", map]));
        Run::of(command.arg(&dir)).exits(0);
        fs::write(dir.join("by root"), "").unwrap();
        let run = umount(&dir, &[]).exits(0);
        assert_eq!(owner(&dir.join("by root")), (root, root), "{run}");
        let text = run.text();
        assert!(!text.contains("--reverse --dry-run"), "{run}");
        let find = text.split('`').find(|part| part.starts_with("find "));
        let found = crate::support::output("sh", ["-c", find.unwrap()]).stdout;
        let found = String::from_utf8(found).unwrap();
        assert_eq!(found.lines().count(), 1, "{found}");
        assert!(found.contains("by\\ root"), "{found}");
    }
}
