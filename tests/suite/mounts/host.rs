//! A host directory on real filesystems, seen through a mount that `idshift mount` made.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;

use crate::support::mounts::{listed, mount, mounted_at, owner, umount};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, output, sh};

fn own(path: &Path, uid: u32, gid: u32) {
    chown(path, Some(uid), Some(gid)).unwrap();
}

/// As a user of a container, by its id on the host.
fn as_user(uid: u32, script: &str, dir: &Path) -> Run {
    let mut command = Command::new("setpriv");
    let id = uid.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    Run::of(command.args(["sh", "-c", script]).current_dir(dir))
}

/// What a service keeps: owners, an ACL, a set-user-ID program, a capability, a link of two names.
fn service(dir: &Path) {
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/file"), "old").unwrap();
    fs::write(dir.join("program"), "").unwrap();
    fs::hard_link(dir.join("program"), dir.join("again")).unwrap();
    own(&dir.join("sub"), 33, 33);
    own(&dir.join("sub/file"), 33, 42);
    own(dir, 33, 33);
    sh("chmod", ["4755".as_ref(), dir.join("program").as_os_str()]);
    sh(
        "setfacl",
        [
            "-m".as_ref(),
            "u:1000:rw".as_ref(),
            dir.join("sub/file").as_os_str(),
        ],
    );
    let program = dir.join("program");
    sh("setcap", ["cap_net_raw+ep".as_ref(), program.as_os_str()]);
}

#[test]
fn a_container_user_has_its_files_and_the_disk_stays_as_it_was() {
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let fs = TestFs::new(kind);
        let dir = fs.path().join("data");
        service(&dir);
        let before = crate::support::docker::snapshot(&dir);
        let run = mount(&dir, &[]).exits(0);
        assert!(
            run.text()
                .contains("33:33 on disk, and is seen as 100033:100033"),
            "{run}"
        );
        assert_eq!(owner(&dir.join("sub/file")), (100_033, 100_042), "{kind:?}");
        let acl = output(
            "getfacl",
            ["-cnpE".as_ref(), dir.join("sub/file").as_os_str()],
        )
        .stdout;
        assert!(
            String::from_utf8_lossy(&acl).contains("user:101000:rw-"),
            "{kind:?}"
        );
        // Users of the container, and the host's root.
        as_user(
            100_033,
            "cat sub/file && echo more > new && mv new sub/new",
            &dir,
        )
        .exits(0);
        as_user(101_000, "echo acl >> sub/file", &dir).exits(0);
        as_user(33, "echo x > sub/file", &dir).exits(2);
        fs::write(dir.join("by-root"), "").unwrap();
        assert_eq!(owner(&dir.join("by-root")), (0, 0));
        let [one] = &listed(&dir)[..] else { panic!() };
        assert_eq!(
            (&one["state"], &one["made_by"]),
            (&"mounted".into(), &"idshift".into())
        );
        // Once more is no other mount.
        mount(&dir, &[]).exits(0);
        assert_eq!(mounted_at(&dir).len(), 1, "{kind:?}");

        let run = umount(&dir, &[]).exits(0);
        assert_eq!(owner(&dir.join("sub/new")), (33, 33), "{kind:?}");
        assert_eq!(owner(&dir.join("by-root")), (100_000, 100_000));
        // The command that it names gives the host's root its file back, and touches no other.
        let text = run.text();
        let command = text.split('`').find(|it| it.starts_with("idshift shift"));
        let command = command.unwrap().replace("--dry-run ", "");
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        let run = Idshift::new()
            .run([&words[..], &["--json"]].concat())
            .exits(0);
        assert_eq!(run.count("changed"), 1, "{run}");
        assert_eq!(owner(&dir.join("by-root")), (0, 0));
        for made in ["by-root", "sub/new"] {
            fs::remove_file(dir.join(made)).unwrap();
        }
        fs::write(dir.join("sub/file"), "old").unwrap();
        let owners = |lines: &[String]| {
            let line = |line: &String| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                let keys = ["path", "ino", "uid", "gid", "mode", "xattrs", "nlink"];
                keys.map(|key| value[key].to_string()).join(" ")
            };
            lines.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(
            owners(&crate::support::docker::snapshot(&dir)),
            owners(&before)
        );
    }
}

#[test]
fn an_owner_on_disk_is_the_containers_user_elsewhere() {
    let fs = TestFs::new(Kind::Ext4);
    let (project, at) = (fs.path().join("project"), fs.path().join("at"));
    for dir in [&project, &at] {
        fs::create_dir(dir).unwrap();
    }
    own(&project, 1000, 1000);
    fs::write(project.join("of-999"), "").unwrap();
    own(&project.join("of-999"), 999, 999);
    let to = at.to_str().unwrap();
    // No container has such a user.
    mount(&project, &[to, "--owner", "70000:1"])
        .exits(4)
        .says("uid 70000 is outside the map");
    let run = mount(&project, &[to, "--owner", "999:999"]).exits(0);
    assert!(!run.text().contains("as nobody"), "{run}");
    assert_eq!(owner(&at), (100_999, 100_999));
    assert_eq!(owner(&at.join("of-999")), (101_000, 101_000));
    as_user(100_999, "echo x > made", &at).exits(0);
    assert_eq!(owner(&project.join("made")), (1000, 1000), "by another way");
    // The same, also when it is said which owner that was.
    for same in [
        &["--owner", "999:999"][..],
        &["--owner", "999:999", "--disk-owner", "1000:1000"],
    ] {
        let run = mount(&project, &[&[to, "--json"], same].concat()).exits(0);
        assert_eq!(run.json()["was_there"], true, "{run}");
    }
    mount(&project, &[to])
        .exits(4)
        .says("is there already")
        .says("idshift umount");
    umount(&at, &[]).exits(0);
    let run = mount(&project, &[to, "--read-only", "--json"]).exits(0);
    assert_eq!(run.json()["seen"]["uid"], 101_000, "{run}");
    as_user(101_000, "! touch made", &at).exits(0);
    // It shows the owner as somebody else.
    for dry in [&["--dry-run"][..], &[]] {
        let other = [&[to, "--read-only", "--owner", "999:999"], dry].concat();
        mount(&project, &other)
            .exits(4)
            .says("is there already")
            .says("idshift umount");
    }
    assert_eq!(mounted_at(&at).len(), 1);
    assert!(
        mounted_at(&at)[0].starts_with("ro,"),
        "{:?}",
        mounted_at(&at)
    );
    umount(&at, &[]).exits(0);
}

#[test]
fn a_dry_run_tries_it_and_leaves_nothing() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("data");
    service(&dir);
    let before = crate::support::docker::snapshot(&dir);
    let run = mount(&dir, &["--dry-run", "--json"]).exits(0);
    assert_eq!(run.json()["seen"]["uid"], 100_033, "{run}");
    assert_eq!(mounted_at(&dir), [""; 0]);
    assert_eq!(listed(&dir).len(), 0);
    let after = crate::support::docker::snapshot(&dir);
    assert_eq!(before, after);
    let ramfs = TestFs::new(Kind::Ramfs);
    let dir = ramfs.path().join("data");
    fs::create_dir(&dir).unwrap();
    for dry in [&["--dry-run"][..], &[]] {
        let run = mount(&dir, dry).exits(4);
        run.says("type ramfs cannot be idmapped")
            .says("idshift prepare");
    }
}

#[test]
fn another_mount_of_it_is_no_process_to_restart() {
    let fs = TestFs::new(Kind::Ext4);
    let (dir, other) = (fs.path().join("data"), fs.path().join("other"));
    for dir in [&dir, &other] {
        fs::create_dir(dir).unwrap();
    }
    sh(
        "mount",
        ["--bind".as_ref(), dir.as_os_str(), other.as_os_str()],
    );
    let notes = |run: Run| run.exits(0).json()["notes"].to_string();
    let told = notes(mount(&dir, &["--dry-run", "--json"]));
    assert!(
        told.contains(&format!("Mounted already at {}", other.display())),
        "{told}"
    );
    assert!(!told.contains("restart"), "{told}");
    let mut sleeping = Command::new("sleep")
        .arg("60")
        .current_dir(&other)
        .spawn()
        .unwrap();
    let told = notes(mount(&dir, &["--dry-run", "--json"]));
    assert!(
        told.contains(&format!("process {}", sleeping.id())),
        "{told}"
    );
    sleeping.kill().unwrap();
    sleeping.wait().unwrap();
    sh("umount", [&other]);
}

#[test]
fn on_a_host_without_systemd_the_command_for_each_boot_is_told() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("a b");
    fs::create_dir(&dir).unwrap();
    own(&dir, 1000, 1000);
    // With the journals of the host, as at a boot.
    let mount = |more: &[&str]| {
        let mut command = Command::new(Idshift::installed());
        let words = [
            "mount",
            "--map",
            MAP,
            "--owner",
            "33:33",
            "--read-only",
            "--persist",
        ];
        Run::of(command.args(words).args(more).arg(&dir))
    };
    let run = mount(&[]).exits(0);
    let json = mount(&["--json"]).exits(0).json();
    let command = json["boot_command"].as_str().unwrap().to_string();
    assert!(run.text().contains(&command), "{run}");
    assert_eq!(json["unit"], serde_json::Value::Null);
    umount(&dir, &[]).exits(0);
    // As a boot would run it, and once more.
    for _ in 0..2 {
        sh("sh", ["-c", &command]);
        assert_eq!(owner(&dir), (100_033, 100_033));
    }
    let [one] = &listed(&dir)[..] else { panic!() };
    assert_eq!(one["read_only"], true, "{one}");
    umount(&dir, &[]).exits(0);
}

/// A unit of a fake systemd: what would be enabled, and what is removed.
#[test]
fn a_unit_comes_and_goes_with_its_mount() {
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("da-ta");
    fs::create_dir(&dir).unwrap();
    let tools = fs.path().join("tools");
    fs::create_dir(&tools).unwrap();
    fs::create_dir_all("/run/systemd/system").unwrap();
    fs::create_dir_all("/etc/systemd/system").unwrap();
    let log = tools.join("log");
    let script = |code: u8| {
        let text = format!("#!/bin/sh\necho \"$@\" >> {}\nexit {code}\n", log.display());
        fs::write(tools.join("systemctl"), text).unwrap();
        sh(
            "chmod",
            ["755".as_ref(), tools.join("systemctl").as_os_str()],
        );
    };
    let run = |words: &[&str]| {
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(Idshift::installed());
        Run::of(command.args(words).arg(&dir).env("PATH", path))
    };
    // systemd does not want it: then there is no mount either.
    script(1);
    let persist = ["mount", "--map", MAP, "--persist"];
    run(&persist)
        .exits(4)
        .says("systemctl daemon-reload")
        .says("removed again");
    assert_eq!(mounted_at(&dir), [""; 0]);
    assert_eq!(units(), [""; 0]);
    script(0);
    run(&persist).exits(0);
    let name = unit_name(&dir);
    assert_eq!(units(), [&*name]);
    let calls = fs::read_to_string(&log).unwrap();
    assert!(calls.contains(&format!("enable --quiet {name}")), "{calls}");
    let unit = format!("/etc/systemd/system/{name}");
    is_verified(&unit, &name);
    assert_eq!(listed(&dir)[0]["unit"], unit);
    run(&["umount", "--keep-unit"]).exits(0);
    assert_eq!(listed(&dir)[0]["state"], "missing");
    assert_eq!(units(), [&*name]);
    // A unit that stays where it is keeps the mount there, too.
    run(&persist).exits(0);
    let place = "/etc/systemd/system";
    sh("mount", ["--bind", place, place]);
    sh("mount", ["-o", "remount,ro,bind", place]);
    for dry in [&["umount", "--dry-run"][..], &["umount"]] {
        run(dry)
            .exits(4)
            .says("Read-only file system")
            .says("--keep-unit");
    }
    assert_eq!(mounted_at(&dir).len(), 1);
    run(&["umount", "--keep-unit"]).exits(0);
    run(&[&persist[..], &["--dry-run"]].concat())
        .exits(4)
        .says("Read-only file system");
    sh("umount", [place]);
    // One that systemd does not let go of is left, and told.
    run(&persist).exits(0);
    script(1);
    let left = run(&["umount", "--json"]).exits(3).json();
    assert!(left["left"].as_str().unwrap().contains("systemctl disable"));
    assert_eq!((mounted_at(&dir).len(), units().len()), (0, 1));
    run(&["umount"]).exits(4).says("systemctl disable");
    script(0);
    // The record of a mount is root's alone, and cannot be removed while its directory is read-only: the unit is gone by then.
    let records = "/run/idshift/mounts";
    run(&["umount", "--keep-unit"]).exits(0);
    run(&persist).exits(0);
    sh("umount", [&dir]);
    sh("mount", ["--bind", records, records]);
    sh("mount", ["-o", "remount,ro,bind", records]);
    let left = run(&["umount", "--json"]).exits(3).json();
    assert!(
        left["left"]
            .as_str()
            .unwrap()
            .contains("Read-only file system"),
        "{left}"
    );
    assert!(left["unit"].is_string(), "{left}");
    assert_eq!(units(), [""; 0]);
    sh("umount", [records]);
    run(&persist).exits(0);
    // What systemd runs when such a unit is stopped.
    run(&["umount", "--keep-unit"]).exits(0);
    run(&["umount"]).exits(0);
    assert_eq!(units(), [""; 0]);
    assert_eq!(listed(&dir).len(), 0);
    run(&["umount"]).exits(4);
}

/// Units of idshift.
fn units() -> Vec<String> {
    let names = fs::read_dir("/etc/systemd/system").unwrap();
    let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
    names
        .filter(|name| name.starts_with("idshift"))
        .collect::<Vec<_>>()
}

/// As `systemd-escape` has it.
fn unit_name(dir: &Path) -> String {
    let escaped = output("systemd-escape", ["--path".as_ref(), dir.as_os_str()]).stdout;
    format!(
        "idshift-mount-{}.service",
        String::from_utf8_lossy(&escaped).trim()
    )
}

fn is_verified(unit: &str, name: &str) {
    let checked = Run::of(Command::new("systemd-analyze").args(["verify", "--man=no", unit]));
    assert!(
        checked.code == Some(0) && !checked.stderr.contains(name),
        "{checked}"
    );
}
