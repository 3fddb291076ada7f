//! `check` leaves nothing behind, also when it is killed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::support::docker::same;
use crate::support::volume::{check, directory, mode, place, snapshot};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, sh};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::json;

/// Starts a check whose child is slow to rename its probe file, and waits until the file is there.
fn slow_check(dir: &Path) -> Child {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2"])
        .args(["-e", "inject=renameat2:delay_enter=2000000"])
        .arg(Idshift::program())
        .arg("check")
        .arg(dir)
        .args(["--as", "5:5", "--map", MAP])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // A terminal's Ctrl-C goes to all of a group.
        .process_group(0);
    let child = strace.spawn().unwrap();
    let begun = Instant::now();
    while probes(dir) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "no probe file");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

pub(super) fn probes(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// The process that a process started first.
fn child_of(pid: i32) -> i32 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = fs::read_to_string(path).unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn nothing_is_left_of_a_check_that_is_killed() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    type End = fn(strace: i32);
    let ends: [(&str, End); 5] = [
        ("the check, by kill -9", |strace| {
            kill(Pid::from_raw(child_of(strace)), Signal::SIGKILL).unwrap();
        }),
        ("its child, by kill -9", |strace| {
            kill(Pid::from_raw(child_of(child_of(strace))), Signal::SIGKILL).unwrap();
        }),
        ("its child, by SIGTERM", |strace| {
            kill(Pid::from_raw(child_of(child_of(strace))), Signal::SIGTERM).unwrap();
        }),
        ("both, by SIGTERM", |strace| {
            let check = child_of(strace);
            kill(Pid::from_raw(child_of(check)), Signal::SIGTERM).unwrap();
            kill(Pid::from_raw(check), Signal::SIGTERM).unwrap();
        }),
        ("from the terminal", |strace| {
            killpg(Pid::from_raw(strace), Signal::SIGINT).unwrap();
        }),
    ];
    for (how, end) in ends {
        let mut strace = slow_check(&dir);
        end(strace.id() as i32);
        let begun = Instant::now();
        while probes(&dir) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(20), "left: {how}");
            std::thread::sleep(Duration::from_millis(20));
        }
        // It ends when all that it traced have.
        strace.wait().unwrap();
        assert_eq!(probes(&dir), 0, "{how}");
    }
    // Where nobody lived to remove it, the next check does; what is not ours it leaves.
    for name in [
        ".idshift-probe-1-2-a",
        ".idshift-probe-1-3-b",
        ".idshift-probe-1-4-a",
        "other",
    ] {
        fs::write(dir.join(name), "x").unwrap();
    }
    fs::write(dir.join(".idshift-probe-1-4-a"), "somebody's").unwrap();
    fs::create_dir(dir.join(".idshift-probe-1-5-a")).unwrap();
    let old: Vec<PathBuf> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    for path in old
        .iter()
        .filter(|path| !path.ends_with(".idshift-probe-1-3-b"))
    {
        sh(
            "touch",
            ["-d".as_ref(), "1 hour ago".as_ref(), path.as_os_str()],
        );
    }
    check(&dir, &["--as", "5:5"]).exits(0);
    let left: BTreeSet<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    let kept = [
        ".idshift-probe-1-3-b",
        ".idshift-probe-1-4-a",
        ".idshift-probe-1-5-a",
        "other",
    ];
    assert_eq!(left, kept.map(String::from).into());
}

#[test]
fn a_check_changes_only_the_directorys_ctime() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_005, 100_005), 0o755);
    fs::write(top.join("file"), "x").unwrap();
    directory(&top.join("dir"), (0, 0), 0o700);
    let before = snapshot(&top);
    for more in [&[][..], &["--recursive"], &["--read-only"]] {
        check(&top, &[&["--as", "5:5"], more].concat());
        check(&top.join("file"), &[&["--as", "5:5"], more].concat());
    }
    same(&before, &snapshot(&top), "after checks");
}

#[test]
fn check_and_audit_leave_the_times_of_a_directory() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_005, 100_005), 0o755);
    let below = directory(&top.join("below"), (100_005, 100_005), 0o755);
    // A directory's atime is written where it is not newer than the last change (`relatime`).
    let then = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let times = fs::FileTimes::new().set_modified(then).set_accessed(then);
    for dir in [&below, &top] {
        fs::File::open(dir).unwrap().set_times(times).unwrap();
    }
    let kept = |when: &str| {
        for dir in [&top, &below] {
            let found = fs::metadata(dir).unwrap();
            assert_eq!(found.modified().unwrap(), then, "mtime {when}");
            assert_eq!(found.accessed().unwrap(), then, "atime {when}");
        }
    };
    for user in ["5:5", "0:0", "77:77"] {
        for more in [&[][..], &["--recursive"], &["--read-only"]] {
            check(&top, &[&["--as", user], more].concat());
            // Of what is below, only its owner may leave the atime.
            if user == "5:5" || more != ["--recursive"] {
                kept(&format!("{user} {more:?}"));
            }
            fs::File::open(&below).unwrap().set_times(times).unwrap();
        }
    }
    let bind = json!({"Type": "bind", "Source": top, "Destination": "/m", "RW": true});
    let root = place.path().join("docker");
    for dir in [
        "image/overlay2",
        "network/files",
        "volumes",
        "containers/1234",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let config = json!({"Name": "/web", "Driver": "overlay2", "Config": {"User": "5:5"}, "MountPoints": {"/m": bind}});
    fs::write(
        root.join("containers/1234/config.v2.json"),
        config.to_string(),
    )
    .unwrap();
    fs::write(root.join("containers/1234/hostconfig.json"), "{}").unwrap();
    let mut audit = Command::new(Idshift::program());
    audit.args([
        "docker",
        "audit",
        "--daemon-json",
        "/nonexistent",
        "--data-root",
    ]);
    let told = Run::of(audit.arg(&root));
    assert!(told.text().contains(top.to_str().unwrap()), "{told}");
    kept("audit");
}

#[test]
fn a_change_during_a_check_shows_in_the_times() {
    let place = place();
    let dir = directory(&place.path().join("dir"), (100_005, 100_005), 0o755);
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let times = fs::FileTimes::new().set_modified(then);
    fs::File::open(&dir).unwrap().set_times(times).unwrap();
    let mut slow = slow_check(&dir);
    fs::write(dir.join("new"), "").unwrap();
    assert!(slow.wait().unwrap().success());
    assert!(fs::metadata(&dir).unwrap().modified().unwrap() > then);
    assert_eq!(probes(&dir), 1, "only what somebody made");
}

/// What is made in an append-only directory cannot be removed.
#[test]
fn nothing_is_made_in_an_append_only_directory() {
    let fs = TestFs::new(Kind::Ext4);
    mode(&fs.path(), 0o755);
    let dir = directory(&fs.path().join("dir"), (100_005, 100_005), 0o755);
    sh("chattr", ["+a".as_ref(), dir.as_os_str()]);
    let told = check(&dir, &["--as", "5:5"]).exits(3);
    assert_eq!(probes(&dir), 0, "{told}");
    assert!(told.text().contains("chattr -a"), "{told}");
    check(&dir, &["--as", "6:6"]).exits(3);
    sh("chattr", ["-a".as_ref(), dir.as_os_str()]);
    check(&dir, &["--as", "5:5"]).exits(0);
    assert_eq!(probes(&dir), 0);
}
