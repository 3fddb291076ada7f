//! A remapped daemon whose range changes finds all it had in the new one.

use std::fs;
use std::path::Path;

use super::kills::{REBASE, killed_anywhere, small_host_of_tiny_containers, state};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, Run, need_root};

const OLD: &str = "b:0:165536:65536";

/// Gives dockremap this range in this test's own `/etc`.
fn range(first: u32) {
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, format!("dockremap:{first}:65536\n")).unwrap();
    }
}

fn rebase(idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    idshift.run([&docker_args("rebase", host)[..], &["--from", OLD], more].concat())
}

fn owner(path: &Path) -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata(path).unwrap())
}

#[test]
fn everything_is_there_in_the_new_range() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    let remapped = populated_in_the_old_range(&host, &idshift, &bind);
    let before = seen(&remapped);
    let run = rebase(&idshift, &host, &["--to", "b:0:100000:65536"]);
    run.exits(4).says("in use by process");
    remapped.stop();

    range(100_000);
    old_root_is_named(&host);
    let start = state(&host);
    rebase(&idshift, &host, &["--dry-run"]).exits(0);
    same(&start, &state(&host), "after a dry run");
    rebase(&idshift, &host, &[])
        .exits(0)
        .says("Now start the daemon");
    idshift.run(["verify", "latest"]).exits(0);
    assert_eq!(
        owner(&host.data_root.join("100000.100000/volumes/named/_data")),
        101_000
    );
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &state(&host), "after a rollback");

    let run = rebase(&idshift, &host, &[]).exits(0);
    let command = format!(
        "idshift shift --from {OLD} --to b:0:100000:65536 {}",
        bind.display()
    );
    run.says(&command);
    one_run_is_as_two(&idshift, &host, &start);

    range(100_000);
    rebase(&idshift, &host, &[]).exits(0);
    let bind_name = bind.to_string_lossy();
    idshift
        .run([
            "shift",
            "--from",
            OLD,
            "--to",
            "b:0:100000:65536",
            &bind_name,
        ])
        .exits(0);
    let remapped = host.start(REMAPPED);
    assert_eq!(seen(&remapped), before);
    use_again(&remapped);
    remapped.stop();
}

/// A remapped daemon that runs, and has containers and a bind mount.
fn populated_in_the_old_range<'h>(host: &'h Host, idshift: &Idshift, bind: &Path) -> Daemon<'h> {
    range(165_536);
    fs::create_dir(bind).unwrap();
    let plain = host.start(&[]);
    populate(&plain, bind);
    plain.stop();
    fs::write(bind.join("file"), "").unwrap();
    std::os::unix::fs::chown(bind, Some(1000), Some(1000)).unwrap();
    migrate(idshift, host, &["--set-userns-host", "--bind-mounts"]).exits(0);
    let remapped = host.start(REMAPPED);
    // A whiteout that the kernel makes is root's.
    remapped.docker(&[
        "run",
        "--network=none",
        "--user",
        "0",
        "--name",
        "later",
        "app:1",
        "rm",
        "/opt/dir/z",
    ]);
    remapped
}

fn old_root_is_named(host: &Host) {
    let old = audit(host).text();
    let advice = "idshift docker rebase --from b:0:165536:65536";
    assert!(
        old.contains("165536.165536 is the root of another range") && old.contains(advice),
        "{old}"
    );
}

/// It is the same as out of the old range and into the new one.
fn one_run_is_as_two(idshift: &Idshift, host: &Host, start: &[String]) {
    let there = timeless(&state(host));
    idshift.run(["rollback", "latest"]).exits(0);
    range(165_536);
    revert(idshift, host, &[]).exits(0);
    range(100_000);
    migrate(idshift, host, &[]).exits(0);
    let twice = timeless(&state(host));
    idshift.run(["rollback", "latest"]).exits(0);
    range(165_536);
    idshift
        .run([
            "rollback",
            idshift
                .journal_files()
                .iter()
                .rev()
                .nth(1)
                .unwrap()
                .to_str()
                .unwrap(),
        ])
        .exits(0);
    same(start, &state(host), "after both rollbacks");
    // What the kernel and dockerd made as the host's root in the remapped root stays so; two runs give it to the
    // container's.
    let of_containers = |lines: &[String]| -> Vec<String> {
        let is_one =
            |line: &&String| !line.contains("char device") && !line.contains("diff/etc/mtab");
        lines.iter().filter(is_one).cloned().collect()
    };
    same(
        &of_containers(&twice),
        &of_containers(&there),
        "in one run and in two",
    );
}

fn use_again(remapped: &Daemon<'_>) {
    remapped.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(remapped, "sleeper"), 101_000);
    let exec = |command: &str| remapped.docker(&["exec", "sleeper", "sh", "-c", command]);
    exec("touch /bind/new && touch /home/app/new && test $(stat -c %u /home/app) = 1000");
    assert_eq!(
        exec("getcap /usr/local/bin/raw"),
        "/usr/local/bin/raw cap_net_raw=ep"
    );
    assert_eq!(exec("stat -c %a%u /usr/local/bin/asroot"), "47550");
    remapped.docker(&["stop", "-t", "0", "sleeper"]);
    remapped.docker(&["start", "-a", "written"]);
}

#[test]
fn what_cannot_be_moved_is_said_and_left() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    range(165_536);
    rebase(&idshift, &host, &["--to", "b:0:100000:65536"])
        .exits(4)
        .says("there is no root of any other range either");
    migrate(&idshift, &host, &["--set-userns-host"]).exits(0);
    rebase(&idshift, &host, &[]).exits(4).says(
        "All ids of b:0:165536:65536 are the same in b:0:165536:65536: there is nothing to move",
    );
    range(300_000);
    let args = docker_args("rebase", &host);
    let other = idshift.run([&args[..], &["--from", "b:0:200000:65536"]].concat());
    other.exits(4).says("beside it there is 165536.165536");
    // An id that is in neither range, and is no account's.
    let file = host.data_root.join("165536.165536/volumes/vol/_data/y");
    std::os::unix::fs::chown(&file, Some(700_000), None).unwrap();
    let start = state(&host);
    rebase(&idshift, &host, &[])
        .exits(1)
        .says("uid 700000 is outside the map");
    same(&start, &state(&host), "after what failed");
    // Somebody has an id of the new range.
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write(
        "/etc/passwd",
        passwd + "eve:x:300005:1::/home/eve:/bin/sh\n",
    )
    .unwrap();
    rebase(&idshift, &host, &[])
        .exits(4)
        .says("eve (uid 300005)");
    // The root of containers is somebody, and not the owner of the range.
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    fs::write("/etc/passwd", passwd + "ann:x:1000:1::/home/ann:/bin/sh\n").unwrap();
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "dockremap:1000:1\ndockremap:400001:65535\n").unwrap();
    }
    rebase(&idshift, &host, &[]).exits(4).says("ann (uid 1000)");
}

/// The first ids are the same, and with them the name of the root: it takes two runs.
#[test]
fn where_only_the_rest_of_the_range_moved_the_advice_works() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    let lines = |rest: u32, size: u32| {
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = format!("dockremap:165536:1000\ndockremap:{rest}:{size}\n");
            fs::write(file, text).unwrap();
        }
    };
    lines(300_000, 10_000);
    let file = host.data_root.join("volumes/vol/_data/of-5000");
    fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, Some(5000), Some(5000)).unwrap();
    migrate(&idshift, &host, &["--set-userns-host"]).exits(0);
    let file = host
        .data_root
        .join("165536.165536/volumes/vol/_data/of-5000");
    assert_eq!(owner(&file), 304_000);
    let rebase = |more: &[&str]| {
        let from = ["--from", "b:0:165536:1000,b:1000:300000:10000"];
        idshift.run([&docker_args("rebase", &host)[..], &from, more].concat())
    };
    // Larger, and nothing else.
    lines(300_000, 20_000);
    rebase(&[]).exits(4).says("there is nothing to move");
    lines(400_000, 10_000);
    let start = state(&host);
    let refused = rebase(&["--dry-run"]).exits(4);
    let refused = refused.says("Both ranges begin with the same id");
    let mut advised = refused.stderr.split('`').skip(1).step_by(2);
    for (place, what) in [
        (300_000, "idshift docker revert "),
        (400_000, "idshift docker migrate "),
    ] {
        lines(place, 10_000);
        let command = advised.next().unwrap();
        assert!(command.starts_with(what), "{command}");
        let words = command.split(' ').skip(1);
        // Nothing of this machine's own daemon is looked at.
        let words = words.chain(["--daemon-json", "/nonexistent/daemon.json"]);
        idshift.run(words).exits(0);
    }
    assert_eq!(owner(&file), 404_000);
    for journal in idshift.journal_files().into_iter().rev().take(2) {
        idshift
            .run(["rollback".as_ref(), journal.as_os_str()])
            .exits(0);
    }
    same(&start, &state(&host), "after both rollbacks");
}

/// Beside the docker root, in the data-root: what a symlinked volume leads to and a container binds stays, and is named.
#[test]
fn what_stays_beside_the_root_is_named() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    range(165_536);
    let kept = host.data_root.join("kept");
    migrate(&idshift, &host, &["--set-userns-host"]).exits(0);
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "").unwrap();
    for path in [kept.clone(), kept.join("file")] {
        std::os::unix::fs::chown(path, Some(165_540), Some(165_540)).unwrap();
    }
    // Both docker roots are as deep: the target reads the same from either.
    let volume = host.data_root.join("165536.165536/volumes/vol/_data");
    fs::remove_dir_all(&volume).unwrap();
    std::os::unix::fs::symlink("../../../kept", &volume).unwrap();
    assert!(volume.join("file").exists());
    range(100_000);
    for file in ["/etc/subuid", "/etc/subgid"] {
        let lines = fs::read_to_string(file).unwrap();
        fs::write(file, lines + "eve:120000:65536\n").unwrap();
    }
    let start = state(&host);
    let named = |how: &str| {
        format!(
            "{} is bound by containers and {how} in the old range",
            kept.display()
        )
    };
    let run = rebase(&idshift, &host, &["--dry-run"]).exits(0);
    run.says(&named("would stay"))
        .says("gives ids 120000-165535 of the new range to eve");
    rebase(&idshift, &host, &[]).exits(0).says(&named("stays"));
    let there = host.data_root.join("100000.100000/volumes/vol/_data");
    assert_eq!(fs::read_link(&there).unwrap(), Path::new("../../../kept"));
    assert!(there.join("file").exists());
    assert_eq!(owner(&kept.join("file")), 165_540);
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &state(&host), "after a rollback");
}

#[test]
fn a_move_to_another_range_survives_a_kill_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    range(165_536);
    migrate(&idshift, &host, &["--set-userns-host"]).exits(0);
    range(100_000);
    killed_anywhere(
        &host,
        &REBASE,
        "`docker rebase` of a real data-root is finished or undone to the byte",
    );
}
