//! The user of a remapped daemon and its ranges: as the daemon takes them from `/etc/subuid` and `/etc/subgid`, and where
//! they are missing.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use super::hosts::ran;
use crate::support;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, need_root, output, sh};
use serde_json::Value;

#[test]
fn the_map_is_what_the_daemon_makes_of_the_files() {
    need_root();
    let host = Host::new();
    let etc = Path::new("/etc");
    let idshift = Idshift::new();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    let write = "busybox touch /v/big && busybox chown 70000:70000 /v/big";
    ran(&plain, "one", &["-v", "vol:/v"], write);
    plain.stop();

    let uid = output("id", ["-u", "dockremap"]).stdout;
    let uid = String::from_utf8(uid).unwrap().trim().to_string();
    let ranges = |uids: &str, gids: &str| {
        fs::write(etc.join("subuid"), uids).unwrap();
        fs::write(etc.join("subgid"), gids).unwrap();
    };
    // Versions of Docker differ in which of these count.
    let mixed = format!("dockremap:100000:200000\n{uid}:500000:200000\n");
    ranges(&mixed, "dockremap:100000:200000\n");
    migrate(&idshift, &host, &[]).exits(4).says("Keep one kind");
    ranges("dockremap:100000:65536\n", "dockremap:100000:65536\n");
    let audited = audit(&host);
    assert_eq!(audited.code, Some(3));
    assert!(audited.text().contains("volumes/vol (1)"), "{audited}");

    // By number; in the order of the lines, which is not that of the ids; wider than where it
    // begins, so that an id alone does not tell which side it is on.
    let odd = [
        (
            format!("{uid}:100000:200000\n"),
            format!("{uid}:300000:200000\n"),
            "100000.300000",
        ),
        (
            "dockremap:600000:100\nother:1:5\ndockremap:100000:90000\n".into(),
            "dockremap:300000:200000\n".into(),
            "600000.300000",
        ),
    ];
    for (uids, gids, inner) in odd {
        ranges(&uids, &gids);
        migrate(&idshift, &host, &[]).exits(0);
        assert!(host.data_root.join(inner).is_dir());
        let remapped = host.start(REMAPPED);
        let look = ["run", "--rm", "--network=none", "-v", "vol:/v", "tiny:1"];
        let owner = ["stat", "-c", "%u:%g", "/v/big"];
        assert_eq!(
            remapped.docker(&[&look[..], &owner].concat()),
            "70000:70000"
        );
        remapped.docker(&["start", "-a", "one"]);
        remapped.stop();
        revert(&idshift, &host, &[]).exits(0);
    }
    let big = host.data_root.join("volumes/vol/_data/big");
    assert_eq!(fs::metadata(&big).unwrap().uid(), 70_000);

    // What looks like an id of the range is none in a plain root.
    ranges("dockremap:100000:65536\n", "dockremap:100000:65536\n");
    chown(&big, Some(100_050), Some(0)).unwrap();
    let failed = migrate(&idshift, &host, &[]).exits(1);
    assert!(
        failed.stderr.contains("uid 100050 is outside the map"),
        "{failed}"
    );
}

#[test]
fn a_host_without_the_user_gets_it_only_with_the_rest() {
    need_root();
    let host = Host::new();
    let etc = Path::new("/etc");
    let idshift = Idshift::new();
    let of_etc = |name: &str| fs::read_to_string(etc.join(name)).unwrap_or_default();
    no_dockremap_and_no_room(etc);
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    ran(&plain, "one", &["-v", "vol:/v"], "echo x > /v/x");

    audit_names_what_is_missing(&host);
    migrate(&idshift, &host, &[]).exits(4).says("--create-user");
    migrate(&idshift, &host, &["--create-user"])
        .exits(4)
        .says("Stop the daemon: `kill ");
    plain.stop();
    let told = migrate(&idshift, &host, &["--create-user", "--dry-run"]).exits(0);
    assert!(
        told.stderr.contains("Would create user dockremap"),
        "{told}"
    );
    assert!(!of_etc("passwd").contains("dockremap"));

    let json = etc.join("docker/daemon.json");
    // Where Debian's unit and other init systems have dockerd's options.
    fs::create_dir_all(etc.join("default")).unwrap();
    let options = format!("DOCKER_OPTS=\"--data-root {}\"\n", host.data_root.display());
    fs::write(etc.join("default/docker"), options).unwrap();
    fs::remove_dir_all(etc.join("docker")).unwrap();
    let carried = |what: &str, more: &[&str]| {
        let top = host.data_root.to_str().unwrap();
        let args = ["docker", what, "--data-root", top, "--write-daemon-json"];
        idshift.run([&args[..], more].concat())
    };
    carried("migrate", &["--create-user"]).exits(0);
    assert!(of_etc("subuid").contains("dockremap:165536:65536"));
    assert!(host.data_root.join("165536.100000").is_dir());
    let set: Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(set, serde_json::json!({"userns-remap": "default"}));
    // The file says it; the daemon is told nothing.
    let remapped = host.start(&[]);
    remapped.docker(&["start", "-a", "one"]);
    let root = remapped.docker(&["info", "-f", "{{.DockerRootDir}}"]);
    assert!(root.ends_with("165536.100000"), "{root}");
    // Whoever goes by that is helped.
    let args = ["docker", "revert", "--data-root", &root];
    let mistaken = idshift.run(args).exits(4);
    assert!(
        mistaken
            .stderr
            .contains(&format!("--data-root {}", host.data_root.display())),
        "{mistaken}"
    );
    remapped.stop();

    // Kept elsewhere and linked to, with settings of the operator's.
    let kept = etc.join("kept.json");
    fs::write(
        &kept,
        "{\"hosts\": [], \"userns-remap\": \"default\", \"x\": 1.50}",
    )
    .unwrap();
    fs::remove_file(&json).unwrap();
    symlink("../kept.json", &json).unwrap();
    carried("revert", &[]).exits(0);
    let set: Value = serde_json::from_str(&fs::read_to_string(&kept).unwrap()).unwrap();
    assert_eq!(set, serde_json::json!({"hosts": [], "x": 1.5}));
    assert!(json.is_symlink());
}

/// Without the user, and with ids given to somebody else in one of the files.
fn no_dockremap_and_no_room(etc: &Path) {
    for name in ["passwd", "group", "shadow", "gshadow", "subuid", "subgid"] {
        let text = fs::read_to_string(etc.join(name)).unwrap_or_default();
        let others = text.lines().filter(|line| !line.starts_with("dockremap:"));
        let others: String = others.map(|line| format!("{line}\n")).collect();
        fs::write(etc.join(name), others).unwrap();
    }
    fs::write(etc.join("subuid"), "me:100000:65536\n").unwrap();
    fs::write(etc.join("subgid"), "").unwrap();
}

fn audit_names_what_is_missing(host: &Host) {
    let audited = audit(host).exits(0);
    for words in [
        "not there yet: user dockremap, 165536-231071 in /etc/subuid, 100000-165535 in /etc/subgid",
        "--create-user",
        "A migration shifts",
    ] {
        assert!(audited.text().contains(words), "{words:?} in {audited}");
    }
}

/// What a message has between backticks, run by a shell.
fn run_advice(said: &str) {
    let advice = said.split('`').nth(1).unwrap_or_else(|| panic!("{said}"));
    sh("sh", ["-ec", advice]);
}

#[test]
fn all_missing_ranges_are_told_at_once() {
    need_root();
    let idshift = Idshift::new();
    let tree = tempfile::tempdir().unwrap();
    let etc = |name: &str| Path::new("/etc").join(name);
    let shift = |more: &[&str]| {
        let path = tree.path().to_str().unwrap();
        idshift.run([&["shift", "--dry-run", path], more].concat())
    };
    // Nothing at all: no user, no ranges, not even the files.
    lose(&["passwd", "group"], "dockremap");
    for name in ["subuid", "subgid"] {
        fs::remove_file(etc(name)).unwrap();
    }
    let said = shift(&[])
        .exits(4)
        .says("there is no user dockremap")
        .stderr;
    assert!(
        said.contains("useradd") && said.contains("--add-subgids"),
        "{said}"
    );
    run_advice(&said);
    shift(&[]).exits(0);
    // One range of two, beside somebody else's.
    lose(&["subgid"], "dockremap");
    fs::write(etc("subgid"), "me:100000:65536\n").unwrap();
    let said = shift(&[]).exits(4).says("165536-231071").stderr;
    assert!(
        !said.contains("useradd") && !said.contains("--add-subuids"),
        "{said}"
    );
    run_advice(&said);
    shift(&[]).exits(0);
    // Another user, as the daemon wants it.
    sh("useradd", ["-r", "-s", "/bin/false", "app"]);
    let told = audit_of("app");
    assert!(
        told.contains("user app has no range in /etc/subuid and /etc/subgid"),
        "{told}"
    );
    run_advice(&told);
    assert!(!audit_of("app").contains("has no range"));
    what_is_not_created_is_not_promised();
    shift(&["--subid", "app"]).exits(0);
}

/// Removes the lines of a user.
fn lose(names: &[&str], user: &str) {
    for name in names {
        let text = fs::read_to_string(Path::new("/etc").join(name)).unwrap();
        let others = text
            .lines()
            .filter(|line| !line.starts_with(&format!("{user}:")));
        fs::write(
            Path::new("/etc").join(name),
            others.map(|line| format!("{line}\n")).collect::<String>(),
        )
        .unwrap();
    }
}

fn audit_of(user: &str) -> String {
    let args = [
        "docker",
        "audit",
        "--daemon-json=/nonexistent",
        "--data-root=/tmp",
        "--json",
    ];
    idshift_audit(&[&args[..], &["--userns-remap", user]].concat())
}

/// What `--create-user` does not make is not said to be made by it.
fn what_is_not_created_is_not_promised() {
    for (user, told) in [
        (
            "nosuch",
            "no user nosuch in /etc/passwd. Name one that is there",
        ),
        ("app:nosuch", "no group nosuch in /etc/group. Name one"),
        ("root", "root is not remapped to itself"),
        ("", "it is empty"),
    ] {
        let audited = audit_of(user);
        assert!(audited.contains(told), "{user}: {audited}");
        assert!(!audited.contains("create-user"), "{user}: {audited}");
    }
}

fn idshift_audit(args: &[&str]) -> String {
    let mut command = std::process::Command::new(Idshift::program());
    support::Run::of(command.args(args)).text()
}
