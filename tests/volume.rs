//! `idshift check` and `idshift prepare` beside what real containers do.

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::daemon::{Daemon, Host};
use support::docker::{REMAPPED, killed_at, same};
use support::{Idshift, MAP, Numbers, Run, long, need_root, output, sh};
use tempfile::TempDir;

/// A directory that everybody may enter.
fn place() -> TempDir {
    need_root();
    let place = tempfile::Builder::new()
        .prefix("idshift-volume-")
        .tempdir_in("/var/tmp")
        .unwrap();
    mode(place.path(), 0o755);
    place
}

fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

fn directory(path: &Path, owner: (u32, u32), bits: u32) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    chown(path, Some(owner.0), Some(owner.1)).unwrap();
    mode(path, bits);
    path.to_path_buf()
}

fn check(path: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    Run::of(
        command
            .arg("check")
            .arg(path)
            .args(["--map", MAP])
            .args(args),
    )
}

fn prepare(idshift: &Idshift, path: &Path, args: &[&str]) -> Run {
    idshift.run([&["prepare", "--map", MAP, path.to_str().unwrap()], args].concat())
}

/// Every inode of a tree; without the access times of directories, which a check lists as anybody
/// would.
fn snapshot(top: &Path) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if value["type"] == "directory" {
            value.as_object_mut().unwrap().remove("atime_ns");
        }
        value.to_string()
    };
    support::docker::snapshot(top).iter().map(strip).collect()
}

fn acl(path: &Path) -> String {
    let out = output("getfacl", ["-cnpE".as_ref(), path.as_os_str()]).stdout;
    String::from_utf8(out).unwrap()
}

/// What a shell in a container can do in each directory of /m: a line each, in the order of names.
const TRY: &str = "cd /m; for d in *; do can=; \
    busybox ls $d >/dev/null 2>&1 && can=r; \
    (echo x > $d/p && busybox cat $d/p >/dev/null && busybox mv $d/p $d/q && busybox rm $d/q) 2>/dev/null && can=${can}w; \
    echo \"$d $can\"; done";

fn tried_in_a_container(daemon: &Daemon<'_>, top: &Path, user: &str) -> Vec<String> {
    let mount = format!("{}:/m", top.display());
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        user,
        "-v",
        &mount,
    ];
    let shell = ["tiny:1", "/bin/busybox", "sh", "-c", TRY];
    let lines = daemon.docker(&[&run[..], &shell].concat());
    lines.lines().map(|line| line.trim().to_string()).collect()
}

#[test]
fn check_says_what_a_process_in_a_container_can_do() {
    let host = Host::new();
    let top = host.beside().join("matrix");
    directory(&top, (0, 0), 0o755);
    let owners = [
        (0, 0),
        (999, 999),
        (100_000, 100_000),
        (100_999, 100_999),
        (100_999, 0),
        (0, 101_000),
        (101_000, 100_999),
    ];
    let modes = [
        0o700, 0o755, 0o770, 0o777, 0o500, 0o000, 0o1777, 0o070, 0o007, 0o711,
    ];
    let acls = [
        None,
        Some("u:100999:rwx"),
        Some("g:101000:rwx"),
        Some("u:100999:---"),
        Some("u:100999:rwx,m::r-x"),
    ];
    let mut numbers = Numbers::seeded(3);
    let all = owners.len() * modes.len() * acls.len();
    let some = if long() { all } else { 60 };
    for n in 0..some {
        let pick = if long() {
            n
        } else {
            numbers.below(all as u64) as usize
        };
        let owner = owners[pick % owners.len()];
        let bits = modes[pick / owners.len() % modes.len()];
        let dir = directory(&top.join(format!("{n:03}")), owner, bits);
        if let Some(acl) = acls[pick / owners.len() / modes.len()] {
            sh(
                "setfacl",
                ["-n".as_ref(), "-m".as_ref(), acl.as_ref(), dir.as_os_str()],
            );
        }
    }
    let daemon = host.start(REMAPPED);
    daemon.import_tiny("tiny:1");
    let mut answers = [0, 0];
    for user in ["0:0", "999:999", "1000:1000", "1000:999"] {
        let lines = tried_in_a_container(&daemon, &top, user);
        assert_eq!(lines.len(), some);
        for line in lines {
            let (name, can) = line.split_once(' ').unwrap_or((&line, ""));
            let dir = top.join(name);
            let uses = check(&dir, &["--as", user]);
            let reads = check(&dir, &["--as", user, "--read-only"]);
            let what = format!("{user} in {}:\n{}\n{uses}", dir.display(), acl(&dir));
            assert_eq!(uses.code == Some(0), can == "rw", "{can:?} {what}");
            assert_eq!(reads.code == Some(0), can.contains('r'), "{can:?} {what}");
            answers[usize::from(can == "rw")] += 1;
        }
    }
    assert!(answers[0] > 30 && answers[1] > 30, "{answers:?}");
    assert_eq!(
        output("find", [top.to_str().unwrap(), "-name", ".idshift*"]).stdout,
        b""
    );
}

/// Whether a process with the container's root's ids and no other rights can get to a path, as a
/// runtime that looks it up inside the user namespace must.
fn root_of_the_container_gets_to(path: &Path) -> bool {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=100000",
        "--regid=100000",
        "--clear-groups",
        "--inh-caps=-all",
        "stat",
    ]);
    Run::of(command.arg(path)).code == Some(0)
}

#[test]
fn closed_directories_above_are_found_at_each_depth_and_opened_by_one_entry() {
    let place = place();
    let idshift = Idshift::new();
    for closed in [vec![0], vec![1], vec![2], vec![0, 2], vec![0, 1, 2], vec![]] {
        let name: String = closed.iter().map(|n| n.to_string()).collect();
        let top = directory(&place.path().join(format!("t{name}")), (0, 0), 0o755);
        let mut path = top.clone();
        for depth in 0..3 {
            let bits = if closed.contains(&depth) {
                0o750
            } else {
                0o755
            };
            path = directory(&path.join(depth.to_string()), (0, 0), bits);
        }
        let data = directory(&path.join("data"), (100_999, 100_999), 0o755);
        let before = snapshot(&top);
        assert_eq!(root_of_the_container_gets_to(&data), closed.is_empty());

        let told: Value =
            serde_json::from_slice(&check(&data, &["--as", "999:999", "--json"]).exits(0).stdout)
                .unwrap();
        let found: Vec<&str> = told["closed_parents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["path"].as_str().unwrap())
            .collect();
        assert_eq!(found.len(), closed.len(), "{told}");
        let old = check(&data, &["--as", "999:999", "--old-runtime"]);
        assert_eq!(old.code == Some(0), closed.is_empty(), "{old}");
        if closed.is_empty() {
            continue;
        }
        assert!(old.text().contains("--fix-parents"), "{old}");
        let refused = prepare(&idshift, &data, &["--old-runtime"]);
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(refused.stderr.contains(found[0]), "{refused}");
        same(&before, &snapshot(&top), "after a refusal");

        let noted = prepare(&idshift, &data, &["--dry-run"]).exits(0);
        assert!(
            noted.stderr.contains("--fix-parents lets it through"),
            "{noted}"
        );
        prepare(&idshift, &data, &["--fix-parents", "--dry-run"]).exits(0);
        same(&before, &snapshot(&top), "after a dry run");
        prepare(&idshift, &data, &["--fix-parents"]).exits(0);
        assert!(root_of_the_container_gets_to(&data));
        check(&data, &["--as", "999:999", "--old-runtime"]).exits(0);
        for path in &found {
            let entries = acl(Path::new(path));
            assert!(
                entries.contains("user:100000:--x") && entries.contains("group::r-x"),
                "{entries}"
            );
            assert!(entries.contains("other::---"), "{entries}");
        }
        let files = idshift.journal_files().len();
        prepare(&idshift, &data, &["--fix-parents"]).exits(0);
        assert_eq!(
            idshift.journal_files().len(),
            files,
            "the second time there is nothing to do"
        );
        idshift.run(["verify", "latest"]).exits(0);
        idshift.run(["rollback", "latest"]).exits(0);
        same(&before, &snapshot(&top), "after a rollback");
        assert!(!root_of_the_container_gets_to(&data));
    }
}

#[test]
fn everything_is_given_to_one_owner_and_goes_back_to_the_byte() {
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
    assert!(refused.stderr.contains("--create makes it"), "{refused}");
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
}

#[test]
fn a_preparation_killed_anywhere_is_finished_or_undone() {
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
    // Of a directory that is made anew.
    let comparable = |lines: &[String]| {
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
    };
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
        (tree.clone(), "has 1 of its 2 names in the tree"),
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
fn a_directory_in_use_is_refused_with_process_and_container() {
    let host = Host::new();
    let idshift = Idshift::new();
    let data = directory(&host.beside().join("data"), (0, 0), 0o777);
    let sub = directory(&data.join("sub"), (0, 0), 0o777);
    let daemon = host.start(&[]);
    daemon.import_tiny("tiny:1");
    let refused = |words: &[&str]| {
        let run = prepare(&idshift, &data, &[]);
        assert_eq!(run.code, Some(4), "{run}");
        for word in words {
            assert!(run.stderr.contains(word), "{word:?} in {run}");
        }
    };
    // By a bind mount of it, by one of a directory in it, by a volume that binds it.
    let device = format!("device={}", data.display());
    daemon.docker(&[
        "volume",
        "create",
        "--opt",
        "type=none",
        "--opt",
        "o=bind",
        "--opt",
        &device,
        "vol",
    ]);
    for source in [data.to_str().unwrap(), sub.to_str().unwrap(), "vol"] {
        let mount = format!("{source}:/m");
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
        let id = daemon.docker(&[&run[..], &["tiny:1", "/bin/busybox", "sleep", "1000"]].concat());
        refused(&["busybox", "in container", &id[..12]]);
        daemon.docker(&["rm", "-f", "user1"]);
    }
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
    prepare(&idshift, &data, &["--allow-in-use"]).exits(0);
    reads_it.kill().unwrap();
    reads_it.wait().unwrap();
    daemon.stop();
}

#[test]
fn entries_that_cannot_be_used_are_found_and_files_and_read_only_mounts_too() {
    let place = place();
    let top = directory(&place.path().join("www"), (100_033, 100_033), 0o755);
    directory(&top.join("open"), (0, 0), 0o755);
    directory(&top.join("closed/deep"), (0, 0), 0o755);
    mode(&top.join("closed"), 0o700);
    for (name, bits) in [("page", 0o644), ("secret", 0o600), ("open/below", 0o640)] {
        fs::write(top.join(name), "x").unwrap();
        mode(&top.join(name), bits);
    }
    fs::write(top.join("own"), "").unwrap();
    chown(top.join("own"), Some(100_033), Some(100_033)).unwrap();
    mode(&top.join("own"), 0o400);
    let unusable = |args: &[&str]| -> (Option<i32>, Vec<String>) {
        let run = check(&top, &[&["--as", "33:33", "--json"], args].concat());
        let told: Value = serde_json::from_slice(&run.stdout).unwrap();
        let mut lines: Vec<String> = told["unusable"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let path = Path::new(entry["path"].as_str().unwrap());
                format!(
                    "{} {}",
                    path.strip_prefix(&top).unwrap().display(),
                    entry["lacks"].as_str().unwrap()
                )
            })
            .collect();
        lines.sort();
        (run.code, lines)
    };
    let words = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        unusable(&["--recursive", "--read-only"]),
        (Some(3), words(&["closed rx", "open/below r", "secret r"]))
    );
    assert_eq!(
        unusable(&["--recursive"]),
        (
            Some(3),
            words(&[
                "closed rwx",
                "open w",
                "open/below rw",
                "page w",
                "secret rw"
            ])
        )
    );
    assert_eq!(
        unusable(&["--read-only"]),
        (Some(0), words(&["closed rx", "secret r"]))
    );
    let told = check(&top.join("secret"), &["--as", "33"]);
    assert_eq!(told.code, Some(3), "{told}");
    let told = check(&top.join("page"), &["--as", "33", "--read-only"]);
    assert_eq!(told.code, Some(0), "{told}");
    let mtime = |path: &str| fs::metadata(top.join(path)).unwrap().mtime_nsec();
    let before = mtime("own");
    check(&top.join("own"), &["--as", "33"]);
    assert_eq!(mtime("own"), before);
    for bad in [&["--as", "x"][..], &[], &["--as", "70000:0"]] {
        let run = check(&top, bad);
        assert!(matches!(run.code, Some(2 | 4)), "{run}");
    }
}
