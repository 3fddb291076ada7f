//! `idshift prepare`: owners, missing directories, kills, refusals.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support;
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::{REMAPPED, killed_at, same};
use crate::support::volume::{acl, check, directory, mode, place, prepare, snapshot};
use crate::support::{Idshift, MAP, Run, sh};
use serde_json::Value;

#[test]
fn all_is_given_to_one_owner_and_rolled_back() {
    let place = place();
    let idshift = Idshift::new();
    let top = directory(&place.path().join("app"), (0, 0), 0o750);
    directory(&top.join("mine"), (1000, 1000), 0o700);
    fs::write(top.join("mine/tool"), "").unwrap();
    chown(top.join("mine/tool"), Some(33), Some(33)).unwrap();
    mode(&top.join("mine/tool"), 0o4755);
    let tool = top.join("mine/tool");
    sh(
        "setfacl",
        ["-m".as_ref(), "u:7:r".as_ref(), tool.as_os_str()],
    );
    std::os::unix::fs::symlink("tool", top.join("mine/link")).unwrap();
    // An id that no map has is no trouble when all is given away.
    chown(top.join("mine"), Some(3_000_000), Some(3_000_000)).unwrap();
    let before = snapshot(&top);

    let refused = prepare(&idshift, &top, &["--owner", "70000:0"]);
    assert_eq!(refused.code, Some(4), "{refused}");
    assert!(
        refused.stderr.contains("70000 is outside the map"),
        "{refused}"
    );
    prepare(&idshift, &top, &["--owner", "999:998"]).exits(0);
    for path in ["", "mine", "mine/tool", "mine/link"] {
        let found = fs::symlink_metadata(top.join(path)).unwrap();
        assert_eq!((found.uid(), found.gid()), (100_999, 100_998), "{path}");
    }
    assert_eq!(fs::metadata(&tool).unwrap().mode() & 0o7777, 0o4755);
    assert!(acl(&tool).contains("user:100007:r--"), "{}", acl(&tool));
    check(&top, &["--as", "999:998", "--recursive"]).exits(0);
    let again = prepare(&idshift, &top, &["--owner", "999:998"]).exits(0);
    assert!(again.text().contains("Shifted 0 of 4"), "{again}");
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(&top), "after a rollback");
}

#[test]
fn missing_directories_are_made_and_go_again() {
    let place = place();
    let idshift = Idshift::new();
    let there = directory(&place.path().join("there"), (0, 0), 0o700);
    let before = snapshot(place.path());
    let path = there.join("a/b");
    let refused = prepare(&idshift, &path, &[]);
    assert_eq!(refused.code, Some(4), "{refused}");
    assert!(refused.stderr.contains("--create creates it"), "{refused}");
    prepare(
        &idshift,
        &path,
        &["--create", "--owner", "999:7", "--dry-run"],
    )
    .exits(0);
    same(&before, &snapshot(place.path()), "after a dry run");
    prepare(
        &idshift,
        &path,
        &["--create", "--owner", "999:7", "--fix-parents"],
    )
    .exits(0);
    let owner = |path: &Path| {
        let found = fs::metadata(path).unwrap();
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(owner(&path), (100_999, 100_007, 0o755));
    assert_eq!(owner(&there.join("a")), (0, 0, 0o755));
    check(&path, &["--as", "999:7", "--old-runtime"]).exits(0);
    let again = prepare(
        &idshift,
        &path,
        &["--create", "--owner", "999:7", "--fix-parents"],
    )
    .exits(0);
    assert!(again.text().contains("Shifted 0 of 1"), "{again}");
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(place.path()), "after a rollback");

    // What somebody put into it since is not thrown away.
    prepare(&idshift, &path, &["--create"]).exits(0);
    assert_eq!(owner(&path), (100_000, 100_000, 0o755));
    fs::write(path.join("kept"), "").unwrap();
    let left = idshift.run(["rollback", "latest"]);
    assert_eq!(left.code, Some(3), "{left}");
    assert!(path.join("kept").exists());

    // Nor what somebody has mounted there; the rest is undone.
    let (file, disk) = (there.join("file"), there.join("disk"));
    fs::write(&file, "").unwrap();
    let both = [file.to_str().unwrap(), "--create", "--owner", "0:0"];
    prepare(&idshift, &disk, &both).exits(0);
    assert_eq!(owner(&file).0, 100_000);
    let options = "--options=uid=100000,gid=100000,mode=755";
    sh(
        "mount",
        ["-t", "tmpfs", options, "none", disk.to_str().unwrap()],
    );
    let left = idshift.run(["rollback", "latest"]);
    sh("umount", [&disk]);
    assert_eq!(left.code, Some(3), "{left}");
    assert_eq!(owner(&file).0, 0, "{left}");
}

#[test]
fn prepare_killed_anywhere_is_finished_or_undone() {
    let place = place();
    let closed = directory(&place.path().join("closed"), (0, 0), 0o700);
    let data = directory(&closed.join("data"), (0, 0), 0o755);
    for n in 0..50 {
        fs::write(data.join(n.to_string()), "").unwrap();
    }
    let missing = closed.join("new");
    let before = snapshot(place.path());
    let args = |idshift: &Idshift| {
        let (data, missing) = (data.to_str().unwrap(), missing.to_str().unwrap());
        idshift.command([
            "prepare",
            "--map",
            MAP,
            data,
            missing,
            "--create",
            "--fix-parents",
            "--owner",
            "5:5",
        ])
    };
    let idshift = Idshift::new();
    Run::of(&mut args(&idshift)).exits(0);
    let after = snapshot(place.path());
    idshift.run(["rollback", "latest"]).exits(0);
    same(&before, &snapshot(place.path()), "undone");
    let mut kills = 0;
    let calls = [
        ("fchownat", 1),
        ("fchownat", 20),
        ("fchownat", 51),
        ("syncfs", 1),
        ("setxattr", 1),
        ("chmod", 1),
        ("mkdirat", 1),
        ("fdatasync", 2),
        ("fdatasync", 3),
        ("fdatasync", 4),
    ];
    for (i, (call, n)) in calls.into_iter().enumerate() {
        let idshift = Idshift::new();
        let when = format!("killed at {call} {n}");
        if !killed_at(args(&idshift), call, n) {
            idshift.run(["rollback", "latest"]).exits(0);
            continue;
        }
        kills += 1;
        let resumed = i % 2 == 0 && idshift.run(["resume", "latest"]).code == Some(0);
        if resumed {
            let now = snapshot(place.path());
            same(
                &comparable(&after),
                &comparable(&now),
                &format!("{when}, resumed"),
            );
        }
        let rollback = ["rollback", "latest"];
        // Killed in its undoing too, and undone again.
        if killed_at(idshift.command(rollback), "fchownat", 7) {
            idshift.run(rollback).exits(0);
        }
        same(&before, &snapshot(place.path()), &format!("{when}, undone"));
    }
    assert!(kills >= 8, "only {kills} kills hit");
}

/// Without the number of an inode that is made anew.
fn comparable(lines: &[String]) -> Vec<String> {
    support::docker::timeless(lines)
        .iter()
        .map(|line| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            if value["path"]
                .as_str()
                .is_some_and(|path| path.ends_with("new"))
            {
                value.as_object_mut().unwrap().remove("ino");
            }
            value.to_string()
        })
        .collect::<Vec<_>>()
}

#[test]
fn what_must_not_be_prepared_is_refused_and_stays() {
    let place = place();
    let idshift = Idshift::new();
    let top = place.path();
    let _socket = UnixListener::bind(top.join("docker.sock")).unwrap();
    let tree = directory(&top.join("tree"), (0, 0), 0o755);
    fs::write(tree.join("shared"), "").unwrap();
    fs::hard_link(tree.join("shared"), top.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(&tree, top.join("link")).unwrap();
    let before = snapshot(top);
    for (path, words) in [
        (top.join("docker.sock"), "a socket"),
        (top.join("link"), "is a symlink to"),
        (tree.clone(), "has 1 of its 2 hard links in the tree"),
        (PathBuf::from("/etc"), "--allow-system-path"),
        (PathBuf::from("/"), "--allow-system-path"),
    ] {
        for more in [&[][..], &["--dry-run"]] {
            // A dry run of a part of the system changes nothing and may be looked at.
            if words == "--allow-system-path" && !more.is_empty() {
                continue;
            }
            let refused = prepare(&idshift, &path, more);
            assert_eq!(refused.code, Some(4), "{refused}");
            assert!(refused.stderr.contains(words), "{refused}");
        }
    }
    let conflict = prepare(&idshift, &tree, &["--reverse", "--fix-parents"]);
    assert_eq!(conflict.code, Some(2), "{conflict}");
    same(&before, &snapshot(top), "after refusals");
    assert_eq!(idshift.journal_files().len(), 0);
    prepare(&idshift, &tree, &["--allow-outside-links"]).exits(0);
    assert_eq!(fs::metadata(top.join("elsewhere")).unwrap().uid(), 100_000);
}

#[test]
fn a_directory_in_use_is_refused_with_its_users() {
    let host = Host::new();
    let idshift = Idshift::new();
    let data = directory(&host.beside().join("data"), (0, 0), 0o777);
    let sub = directory(&data.join("sub"), (0, 0), 0o777);
    fs::write(data.join("file"), "").unwrap();
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let refused = |words: &[&str]| refused_with(&idshift, &data, words);
    let device = format!("device={}", data.display());
    let volume = [
        "volume",
        "create",
        "--opt",
        "type=none",
        "--opt",
        "o=bind",
        "--opt",
    ];
    daemon.docker(&[&volume[..], &[&device, "vol"]].concat());
    let path = |path: &Path| path.to_str().unwrap().to_string();
    let (whole, part, file) = (path(&data), path(&sub), path(&data.join("file")));
    for (source, options) in [
        (&whole, &[][..]),
        (&part, &[]),
        (&file, &[]),
        (&"vol".to_string(), &[]),
        (&format!("{whole}:/m:ro"), &[]),
        (&whole, &["--userns=host"]),
        (&whole, &["--userns=host", "--ipc=host"]),
        (&whole, &["--userns=host", "--pid=host"]),
        (&whole, &["--read-only", "--user", "999:999"]),
        (&whole, &["paused"]),
    ] {
        let is_paused = options == ["paused"];
        let options = if is_paused { &[] } else { options };
        run_with(&daemon, source, options);
        if is_paused {
            daemon.docker(&["pause", "user1"]);
        }
        refused(&["busybox", "in container user1"]);
        daemon.docker(&["rm", "-f", "user1"]);
    }
    // One that was only made, or has stopped, uses nothing.
    let mount = format!("{whole}:/m");
    daemon.docker(&["create", "-v", &mount, "tiny:1", "/bin/busybox", "true"]);
    prepare(&idshift, &data, &[]).exits(0);
    prepare(&idshift, &data, &["--reverse"]).exits(0);

    processes_are_named(&idshift, &data);
    daemon.stop();
}

fn refused_with(idshift: &Idshift, data: &Path, words: &[&str]) {
    for command in ["prepare", "shift"] {
        let run = idshift.run([command, "--map", MAP, data.to_str().unwrap()]);
        assert_eq!(run.code, Some(4), "{run}");
        for word in words {
            assert!(run.stderr.contains(word), "{word:?} in {run}");
        }
    }
}

/// A container, of which the program runs.
fn run_with(daemon: &Daemon<'_>, source: &str, options: &[&str]) {
    let mount = match source.ends_with(":ro") {
        true => source.to_string(),
        false => format!("{source}:/m"),
    };
    let run = [
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "user1",
        "-v",
        &mount,
    ];
    let command = ["tiny:1", "/bin/busybox", "sleep", "1000"];
    daemon.docker(&[&run[..], options, &command].concat());
    // A container counts as running a moment before the runtime has made way for its program.
    let pid = daemon.docker(&["inspect", "-f", "{{.State.Pid}}", "user1"]);
    let command = format!("/proc/{}/comm", pid.trim());
    while fs::read_to_string(&command).unwrap().trim() != "busybox" {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

/// One that is in the directory, and one that has a file of it open.
fn processes_are_named(idshift: &Idshift, data: &Path) {
    let sub = data.join("sub");
    let refused = |words: &[&str]| refused_with(idshift, data, words);
    let mut in_it = Command::new("sleep")
        .arg("1000")
        .current_dir(&sub)
        .spawn()
        .unwrap();
    refused(&["sleep", &in_it.id().to_string()]);
    in_it.kill().unwrap();
    in_it.wait().unwrap();
    let open = fs::File::create(sub.join("open")).unwrap();
    let mut reads_it = Command::new("sleep")
        .arg("1000")
        .stdin(Stdio::from(open))
        .spawn()
        .unwrap();
    refused(&["sleep", &reads_it.id().to_string()]);
    prepare(idshift, data, &["--allow-in-use"]).exits(0);
    reads_it.kill().unwrap();
    reads_it.wait().unwrap();
}

#[test]
fn one_owner_that_changes_is_not_called_none() {
    let place = place();
    let idshift = Idshift::new();
    let there = directory(&place.path().join("there"), (0, 0), 0o755);
    let new = place.path().join("new");
    let mut command = idshift.command(["prepare", "--map", MAP, "--create", "--owner", "7:8"]);
    let run = Run::of(command.args([&there, &new])).exits(0);
    assert!(run.text().contains("Shifted 1 of 1"), "{run}");
    assert!(!run.text().contains("no owner had to change"), "{run}");
}
