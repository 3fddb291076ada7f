//! A real daemon's data-root goes into userns-remap and back, and nothing is lost.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, need_root, output};

#[test]
fn everything_is_there_after_migrate_and_after_revert() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    fs::create_dir(&bind).unwrap();

    let plain = host.start(&[]);
    populate(&plain, &bind);
    let before = seen(&plain);
    let run = migrate(&idshift, &host, &["--create-user"]);
    assert_eq!(run.code, Some(4), "a daemon that runs: {run}");
    assert!(run.stderr.contains("in use by process"), "{run}");
    audited_while_it_runs(&host, &bind);
    plain.stop();

    let start = snapshot(&host.data_root);
    audit(&host);
    migrate(&idshift, &host, &["--dry-run"]).exits(0);
    same(
        &start,
        &snapshot(&host.data_root),
        "after an audit and a dry run",
    );
    fs::write(bind.join("file"), "").unwrap();
    std::os::unix::fs::chown(&bind, Some(1000), Some(1000)).unwrap();
    let run = migrate(&idshift, &host, &["--set-userns-host", "--bind-mounts"]).exits(0);
    assert_eq!(fs::metadata(&bind).unwrap().uid(), 101_000);
    assert!(run.stderr.contains("Volume elsewhere"), "{run}");
    assert!(run.stderr.contains("privileged is marked"), "{run}");
    idshift.run(["verify", "latest"]).exits(0);

    let remapped = host.start(REMAPPED);
    assert_eq!(seen(&remapped), before);
    use_and_add(&remapped);
    let with_new = seen(&remapped);
    remapped.stop();

    let run = idshift.run(["rollback", "latest"]);
    assert_eq!(run.code, Some(4), "a daemon ran since: {run}");
    assert!(run.stderr.contains("docker revert"), "{run}");
    revert(&idshift, &host, &["--bind-mounts"]).exits(0);
    assert_eq!(fs::metadata(bind.join("new")).unwrap().uid(), 1000);
    idshift.run(["verify", "latest"]).exits(0);

    let plain = host.start(&[]);
    assert_eq!(seen(&plain), with_new);
    use_what_was_added(&plain);
    plain.stop();
}

fn audited_while_it_runs(host: &Host, bind: &Path) {
    let audited = audit(host);
    let text = audited.text();
    assert_eq!(audited.code, Some(0), "{audited}");
    for told in [
        "Ready, with warnings",
        "4 containers",
        "process",
        "privileged is privileged",
        "hostns runs with --userns=host",
        &format!("idshift prepare --subid dockremap {}", bind.display()),
        "0:0 0755  empty  read only",
        "elsewhere is a mount of bind",
        "A migration shifts",
    ] {
        assert!(text.contains(told), "{told:?} in {audited}");
    }
}

/// Containers have what they had, and make more.
fn use_and_add(remapped: &Daemon<'_>) {
    remapped.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(remapped, "sleeper"), 101_000);
    let exec = |command: &str| remapped.docker(&["exec", "sleeper", "sh", "-c", command]);
    exec(
        "touch /bind/new && test -O /bind && touch /home/app/new && test $(stat -c %u /home/app) = 1000",
    );
    assert_eq!(
        exec("getcap /usr/local/bin/raw"),
        "/usr/local/bin/raw cap_net_raw=ep"
    );
    assert_eq!(exec("stat -c %a%u /usr/local/bin/asroot"), "47550");
    assert_eq!(exec("test -e /opt/gone || ls /opt/dir"), "y\nz");
    remapped.docker(&["stop", "-t", "0", "sleeper"]);
    remapped.docker(&["start", "-a", "written"]);
    remapped.docker(&["start", "-a", "hostns"]);
    remapped.docker(&["start", "-a", "privileged"]);
    remapped.docker(&[
        "run",
        "--network",
        "none",
        "--name",
        "later",
        "-v",
        "named:/n",
        "-v",
        "fresh:/f",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        "cat /n/v && echo w > /n/w && chown 1000 /n/w /f && echo f > /f/f && echo l > /opt/later",
    ]);
    remapped.build(
        "app:2",
        "FROM app:1\nUSER root\nRUN rm /opt/dir/z && echo 2 > /opt/two\n",
    );
}

fn use_what_was_added(plain: &Daemon<'_>) {
    for container in ["written", "later", "hostns", "privileged"] {
        plain.docker(&["start", "-a", container]);
    }
    plain.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(plain, "sleeper"), 1000);
    let volume = plain.docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        "named:/n",
        "-v",
        "fresh:/f",
        "app:2",
        "sh",
        "-c",
        "stat -c '%n %u' /n/v /n/w /f /f/f",
    ]);
    assert_eq!(volume, "/n/v 1000\n/n/w 1000\n/f 1000\n/f/f 0");
}

#[test]
fn migrate_makes_the_layout_of_a_remapped_daemon() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let fill = |daemon: &Daemon<'_>| {
        daemon.build_images();
        daemon.docker(&["volume", "create", "named"]);
        daemon.docker(&[
            "run",
            "--network",
            "none",
            "--name",
            "one",
            "-v",
            "named:/n",
            "app:1",
            "true",
        ]);
    };
    let plain = host.start(&[]);
    fill(&plain);
    plain.stop();
    migrate(&idshift, &host, &["--create-user"]).exits(0);

    let fresh = Host::new();
    let remapped = fresh.start(REMAPPED);
    fill(&remapped);
    remapped.stop();
    assert_eq!(layout(&host), layout(&fresh));
}

/// Kinds of path with owner and mode: what is named at random counts under one name.
fn layout(host: &Host) -> Vec<String> {
    let args = ["-xdev", "-printf", "%P %y %U:%G %m\n"];
    let command: Vec<&str> = [host.data_root.to_str().unwrap()]
        .into_iter()
        .chain(args)
        .collect();
    let found = String::from_utf8(output("find", command).stdout).unwrap();
    let mut lines: Vec<String> = found
        .lines()
        .filter(|line| !line.contains("/diff/") && !line.contains("containerd/daemon"))
        .filter(|line| !line.contains("buildkit/") && !line.contains("/tmp"))
        // Whiteouts that the kernel parks there are root's when a remapped daemon made them; the
        // owner of a whiteout means nothing.
        .filter(|line| !line.contains("/work/work/#"))
        .map(|line| {
            let named_at_random = |part: &&str| part.len() >= 26;
            let (path, rest) = line.split_once(' ').unwrap();
            let parts = path.split('/').map(|part| match part {
                part if named_at_random(&part) && part.ends_with("-init") => "ID-init",
                part if named_at_random(&part) && part.ends_with("-json.log") => "ID-json.log",
                part if named_at_random(&part) => "ID",
                part => part,
            });
            format!("{} {rest}", parts.collect::<Vec<_>>().join("/"))
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines
}
