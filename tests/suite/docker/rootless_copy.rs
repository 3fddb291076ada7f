//! `docker migrate --rootless --copy`: the plain data-root stays, and a copy of it becomes a user's, also on another
//! filesystem.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::copy::free;
use super::kills::small_host_of_tiny_containers;
use super::rootless_places::{UID, to_rootless, user};
use super::volumes::Place;
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::rootless::{RootlessUser, USER};
use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, Run, TestFs, need_root, output, scene, sh};

const RANGES: &str = "ann:300000:65536\n";

const COPY: [&str; 3] = ["--rootless", USER, "--copy"];

/// What is below a directory, without what a copy cannot share, and without access times.
fn content(top: &Path) -> Vec<String> {
    without(&["ino", "blocks", "atime_ns"], &snapshot(top))
}

fn without(keys: &[&str], lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let object = value.as_object_mut().unwrap();
        keys.iter().for_each(|key| drop(object.remove(*key)));
        // Written anew.
        let path = object["path"].as_str().unwrap_or_default();
        if path.ends_with("config.v2.json") || path.ends_with("hostconfig.json") || path == "." {
            object.remove("mtime_ns");
        }
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

/// Reading changes access times.
pub(super) fn unread(top: &Path) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("atime_ns");
        value.to_string()
    };
    snapshot(top).iter().map(strip).collect()
}

#[test]
fn a_copy_is_as_what_is_moved() {
    need_root();
    let host = small_host_of_tiny_containers();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--rootless", USER]).exits(0);
    let moved = content(&user.data_root());
    idshift.run(["rollback", "latest"]).exits(0);

    let plain = unread(&host.data_root);
    migrate(&idshift, &host, &COPY).exits(0);
    same(&plain, &unread(&host.data_root), "the plain data-root");
    same(&moved, &content(&user.data_root()), "the user's");
}

#[test]
fn another_filesystem_gets_a_copy_that_runs() {
    need_root();
    let host = small_host_of_tiny_containers();
    fs::create_dir(host.beside().join("home")).unwrap();
    let other = TestFs::mount_inside(Kind::Ext4, &host.beside().join("home"));
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    let plain = unread(&host.data_root);
    let there = unread(&other.path());
    migrate(&idshift, &host, &["--rootless", USER])
        .exits(4)
        .says("Add --copy");
    migrate(&idshift, &host, &[&COPY[..], &["--dry-run"]].concat())
        .exits(0)
        .says("would stay as it is");
    same(&there, &unread(&other.path()), "after a dry run");
    let told = migrate(&idshift, &host, &COPY).exits(0);
    same(&plain, &unread(&host.data_root), "the plain data-root");
    idshift.run(["verify", "latest"]).exits(0);
    let copy = other.path().join("idshift-copy-docker-ann");
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 0);
    let removes = format!("`rmdir {}`", copy.display());
    assert!(told.stderr.contains(&removes), "{told}");
    let second = other.path().join("second");
    let again = [&COPY[..], &["--to", second.to_str().unwrap()]].concat();
    for more in [&[][..], &["--dry-run"]] {
        migrate(&idshift, &host, &[&again, more].concat())
            .exits(4)
            .says("is what a rollback of an earlier --copy needs")
            .says(&removes);
    }

    let rootless = user.start(&host);
    let seen_there = what_runs(&rootless);
    rootless.stop();
    idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says("does not become root's");
    let daemon = host.start(&[]);
    assert_eq!(what_runs(&daemon), seen_there);
    daemon.stop();
    drop(user);
    removed_as_told(&told, &host);
}

/// Its image and its volume can be used; its containers, and what one of them has changed.
fn what_runs(daemon: &Daemon<'_>) -> [String; 2] {
    let run = ["run", "--rm", "--network=none", "-v", "vol:/vol", "tiny:1"];
    let read = daemon.docker(&[&run[..], &["busybox", "cat", "/vol/y"]].concat());
    assert_eq!(read, "y");
    let containers = ["ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}}"];
    // Both in any order.
    let sorted = |args: &[&str]| {
        let told = daemon.docker(args);
        let mut lines: Vec<&str> = told.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    let seen = [sorted(&containers), sorted(&["diff", "one"])];
    assert!(
        seen[0].contains("two") && seen[1].contains("D /bin/ls"),
        "{seen:?}"
    );
    seen
}

/// What the run said that removes the original leaves nothing of Docker's.
fn removed_as_told(told: &Run, host: &Host) {
    let rest = told.stderr.split("`rm -rf ").nth(1).unwrap();
    let words = rest.split('`').next().unwrap();
    output("sh", ["-c", &format!("rm -rf {words}")]);
    let left: Vec<_> = fs::read_dir(&host.data_root).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A data-root made by hand, with a home beside it, that can be copied.
fn closed_place() -> Place {
    let place = Place::new();
    fs::set_permissions(&place.root, fs::Permissions::from_mode(0o710)).unwrap();
    place
}

fn copied(place: &Place, idshift: &Idshift, more: &[&str]) -> Run {
    to_rootless(place, idshift, &[&["--copy"], more].concat())
}

#[test]
fn an_undone_copy_is_named_and_stops_only_a_new_copy() {
    let place = closed_place();
    place.volume("v1");
    fs::create_dir(place.root.join("volumes/v1/_data")).unwrap();
    let data = place.root.join("volumes/v1/_data");
    place.container(
        "web",
        &[(data.to_str().unwrap(), "/v")],
        serde_json::json!({}),
    );
    place.linked("v2", &data);
    let home = user(&place);
    let idshift = Idshift::new();
    let start = unread(&place.root);
    let copy = place.beside("home/idshift-copy-docker-bea");
    copied(&place, &idshift, &[]).exits(0);
    assert!(home.join(".local/share/docker/image").is_dir());
    let removes = format!("rm -rf {}", copy.display());
    let untouched = idshift.run(["rollback", "latest"]).exits(0);
    assert!(untouched.stderr.contains(&removes), "{untouched}");
    assert!(!untouched.stderr.contains("nowhere else"), "{untouched}");
    assert!(!home.join(".local").exists());
    let modes = fs::metadata(&copy).unwrap();
    assert_eq!((modes.uid(), modes.mode() & 0o7777), (0, 0o700));
    let [original, copied_again] = [&place.root, &copy].map(|top| content(top).split_off(1));
    same(&original, &copied_again, "the copy");
    same(&start, &unread(&place.root), "the original");

    for more in [&[][..], &["--dry-run"]] {
        let refused = copied(&place, &idshift, more).exits(4);
        assert!(refused.stderr.contains("may be nowhere else"), "{refused}");
        assert!(!refused.stderr.contains("rm -rf"), "{refused}");
    }
    to_rootless(&place, &idshift, &[]).exits(0);
    idshift.rollback();
    fs::remove_dir_all(copy).unwrap();
    copied(&place, &idshift, &[]).exits(0);
}

/// The copy has no flags, also where steps rename what has them.
#[test]
fn what_is_immutable_is_copied_without_its_flag() {
    let place = closed_place();
    let file = place.volume("v").join("_data/file");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "").unwrap();
    let home = user(&place);
    let idshift = Idshift::new();
    let [image, list] =
        ["image", "image/overlay2/imagedb/content/sha256/abc"].map(|it| place.root.join(it));
    let flagged = [file.as_path(), &list, &image];
    let flag = |letter: &str| {
        for path in flagged {
            sh("chattr", [letter.as_ref(), path.as_os_str()]);
        }
    };
    flag("+i");
    let start = unread(&place.root);
    to_rootless(&place, &idshift, &["--dry-run"])
        .exits(4)
        .says("is immutable");
    copied(&place, &idshift, &["--dry-run"]).exits(0);
    copied(&place, &idshift, &[]).exits(0);
    same(&start, &unread(&place.root), "the original");
    let data_root = home.join(".local/share/docker");
    for name in [
        "volumes/v/_data/file",
        "image/overlay2/imagedb/content/sha256/abc",
    ] {
        fs::rename(data_root.join(name), data_root.join("free")).unwrap();
    }
    flag("-i");
}

/// A `cp` that does something, the real one, and something more. Where it is, for PATH.
fn cp_between(before: &str, after: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let cp = dir.path().join("cp");
    let text = format!("#!/bin/sh -e\n{before}\n/usr/bin/cp \"$@\"\nunset LC_ALL\n{after}\n");
    fs::write(&cp, text).unwrap();
    fs::set_permissions(&cp, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", dir.path().display());
    (dir, path)
}

fn with_path(place: &Place, idshift: &Idshift, path: &str) -> Command {
    let args = scene::docker_args("migrate", &place.root, &["--rootless", "bea", "--copy"]);
    let mut command = idshift.command(args);
    command.env("PATH", path);
    command
}

/// Whoever owns a directory above the data-root may rename it while it is copied.
#[test]
fn only_what_is_meant_is_copied_and_only_to_where_it_belongs() {
    let place = closed_place();
    user(&place);
    let idshift = Idshift::new();
    let [root, away, copy] =
        ["root", "away", "home/idshift-copy-docker-bea"].map(|name| place.beside(name));
    let kept = place.beside("kept");
    let [root, away, copy, kept] = [&root, &away, &copy, &kept].map(|path| path.display());
    let before = format!(
        "mv {root} {away}; mkdir -p {root}/image; echo secret > {root}/image/shadow\n\
         mv {copy} {copy}.away; mkdir {copy}"
    );
    let after = format!(
        "ls -R {copy} {copy}.away > {kept}; rm -r {root} {copy}; mv {copy}.away {copy}; mv {away} {root}"
    );
    let (_cp, path) = cp_between(&before, &after);
    Run::of(&mut with_path(&place, &idshift, &path)).exits(0);
    let kept = fs::read_to_string(place.beside("kept")).unwrap();
    assert!(!kept.contains("shadow"), "{kept}");
    assert!(kept.contains("away/image:\n"), "{kept}");
}

#[test]
fn what_changes_while_it_is_copied_is_refused() {
    let place = closed_place();
    place.data(&place.volume("v").join("_data"));
    let home = user(&place);
    let idshift = Idshift::new();
    let file = place.root.join("volumes/v/_data/file");
    let (_cp, path) = cp_between("", &format!("sleep 0.1; echo more >> {}", file.display()));
    Run::of(&mut with_path(&place, &idshift, &path))
        .exits(4)
        .says("was changed while it was copied");
    assert!(!place.beside("home/idshift-copy-docker-bea").exists());
    assert!(!home.join(".local").exists());
}

#[test]
fn a_run_that_was_killed_is_told_first() {
    let place = closed_place();
    place.data(&place.volume("v").join("_data"));
    user(&place);
    let idshift = Idshift::new();
    let copy = place.beside("home/idshift-copy-docker-bea");
    // The program that waits for `cp` is killed.
    let (_cp, path) = cp_between("", "kill -9 $PPID");
    let killed = Run::of(&mut with_path(&place, &idshift, &path));
    assert_eq!(killed.signal, Some(9), "{killed}");
    let refused = copied(&place, &idshift, &[]).exits(4);
    assert!(refused.stderr.contains("is not needed"), "{refused}");
    let removes = format!("rm -rf {}", copy.display());
    assert!(refused.stderr.contains(&removes), "{refused}");
    fs::remove_dir_all(&copy).unwrap();

    let begun = copy.join("idshift-moving-rootless/image");
    let killed = trace::run(&with_path(&place, &idshift, "/usr/bin"), |event| {
        match matches!(event, Event::After(..)) && begun.exists() {
            true => Then::Kill,
            false => Then::GoOn,
        }
    });
    assert_eq!(killed.signal, Some(9), "{killed}");
    for more in [&[][..], &["--dry-run"]] {
        let refused = copied(&place, &idshift, more).exits(4);
        assert!(refused.stderr.contains("idshift resume"), "{refused}");
        assert!(!refused.stderr.contains("rm -rf"), "{refused}");
    }
    idshift.run(["resume", "latest"]).exits(0);
    idshift.run(["verify", "latest"]).exits(0);
}

#[test]
fn no_copy_is_made_without_space_or_a_place() {
    let place = closed_place();
    place.data(&place.volume("v").join("_data"));
    output(
        "fallocate",
        [
            "-l",
            "3m",
            place.root.join("volumes/v/_data/large").to_str().unwrap(),
        ],
    );
    fs::create_dir(place.beside("home")).unwrap();
    let other = TestFs::mount_inside(Kind::Ext4, &place.beside("home"));
    let home = user(&place);
    let idshift = Idshift::new();
    let tiny = TestFs::new(Kind::TinyTmpfs);
    let there = unread(&tiny.path());
    let to = tiny.path().join("docker");
    for more in [&[][..], &["--dry-run"]] {
        let more = [&["--to", to.to_str().unwrap()], more].concat();
        copied(&place, &idshift, &more)
            .exits(4)
            .says("a copy needs");
        same(&there, &unread(&tiny.path()), "no space");
    }

    // What an id of nobody's keeps from being the user's.
    let strange = place.root.join("volumes/v/_data/strange");
    fs::write(&strange, "").unwrap();
    chown(&strange, Some(999_999), None).unwrap();
    let there = unread(&other.path());
    copied(&place, &idshift, &[]).exits(1).says("strange");
    same(&there, &unread(&other.path()), "an id of nobody's");
    fs::remove_file(&strange).unwrap();

    // The user could put anything in the place of the copy.
    chown(other.path(), Some(UID), Some(UID)).unwrap();
    let there = unread(&other.path());
    for more in [&[][..], &["--dry-run"]] {
        copied(&place, &idshift, more)
            .exits(4)
            .says(&format!("can be changed by uid {UID}"));
        same(&there, &unread(&other.path()), "a filesystem of the user's");
    }
    // What is said to help does.
    let told = copied(&place, &idshift, &[]).exits(4).stderr;
    let [to_root, back] = ["`chown root:root ", &format!("`chown {UID}:{UID} ")].map(|start| {
        let rest = told.split(start).nth(1).unwrap();
        let command = start.trim_start_matches('`').to_string() + rest.split('`').next().unwrap();
        move || sh("sh", ["-c", &command])
    });
    to_root();
    copied(&place, &idshift, &[]).exits(0);
    assert!(home.join(".local/share/docker/volumes/v").is_dir());
    back();
    let now = fs::metadata(other.path()).unwrap();
    assert_eq!((now.uid(), now.mode() & 0o7777), (UID, 0o755));
}

/// The kernel renames nothing into a directory that gives another project id to what is made in it.
#[test]
fn no_copy_is_made_for_a_place_of_another_project() {
    let place = closed_place();
    place.data(&place.volume("v").join("_data"));
    fs::create_dir(place.beside("home")).unwrap();
    let other = TestFs::mount_inside(Kind::Xfs, &place.beside("home"));
    let home = user(&place);
    let idshift = Idshift::new();
    let marked = home.to_str().unwrap();
    sh("chattr", ["-p", "42", marked]);
    copied(&place, &idshift, &["--dry-run"]).exits(0);
    sh("chattr", ["+P", marked]);
    let there = unread(&other.path());
    for more in [&[][..], &["--dry-run"]] {
        copied(&place, &idshift, more)
            .exits(4)
            .says("gives project id 42");
        same(&there, &unread(&other.path()), "another project");
    }
    // As it advises.
    let told = copied(&place, &idshift, &[]).exits(4).stderr;
    let command = told.split('`').find(|it| it.starts_with("chattr -P"));
    sh("sh", ["-c", command.unwrap()]);
    copied(&place, &idshift, &[]).exits(0);
    assert!(home.join(".local/share/docker/volumes/v").is_dir());
}

#[test]
fn content_is_shared_where_the_filesystem_can() {
    let place = Place::new();
    let xfs = TestFs::new(Kind::Xfs);
    let top = xfs.path();
    let (root, home) = (top.join("docker"), top.join("home"));
    output(
        "cp",
        ["-a", place.root.to_str().unwrap(), root.to_str().unwrap()],
    );
    fs::set_permissions(&root, fs::Permissions::from_mode(0o710)).unwrap();
    let large = root.join("volumes/v/_data/large");
    fs::create_dir_all(large.parent().unwrap()).unwrap();
    fs::write(&large, vec![7; 64 << 20]).unwrap();
    fs::create_dir(&home).unwrap();
    user(&place);
    output("sync", ["-f", top.to_str().unwrap()]);
    let before = free(&top);
    let to = home.join("docker");
    let args = ["--rootless", "bea", "--copy", "--to", to.to_str().unwrap()];
    let idshift = Idshift::new();
    let told = idshift.run(scene::docker_args("migrate", &root, &args));
    told.exits(0).says("share their content");
    output("sync", ["-f", top.to_str().unwrap()]);
    let taken = before.saturating_sub(free(&top));
    assert!(taken < 8 << 20, "{taken} bytes for a copy of 64 MiB");
    let copied: PathBuf = to.join("volumes/v/_data/large");
    assert!(fs::read(&large).unwrap() == fs::read(copied).unwrap());
}

/// All but the copy itself, and what its directory says of when it was made.
fn but_the_copy(host: &Host) -> Vec<String> {
    let lines = snapshot(host.beside());
    let is_copy = |path: &str| path.starts_with("home/idshift-copy-");
    let kept = lines.iter().filter_map(|line| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let path = value["path"].as_str().unwrap_or_default().to_string();
        let object = value.as_object_mut().unwrap();
        object.remove("atime_ns");
        if path == "home" {
            object.remove("mtime_ns");
            object.remove("nlink");
        }
        (!is_copy(&path)).then(|| value.to_string())
    });
    kept.collect()
}

#[test]
fn a_move_of_a_copy_survives_a_kill_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let _user = RootlessUser::beside(&host, RANGES);
    let state = || but_the_copy(&host);
    // The copy is another one each time.
    let made = || without(&["ino", "blocks", "mtime_ns"], &state());
    let command = |idshift: &Idshift| {
        let args = docker_args("migrate", &host);
        idshift.command([&args[..], &COPY].concat())
    };
    let without_copy = || {
        let _ = fs::remove_dir_all(host.beside().join("home/idshift-copy-docker-ann"));
        Idshift::new()
    };
    killed_at_any_place(
        &Killed {
            part: "Docker",
            what: "migrate --rootless --copy",
            idshift: &without_copy,
            command: &command,
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`docker migrate --rootless --copy` of a real data-root is finished or undone to the byte",
    );
}
