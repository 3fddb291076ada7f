//! No owner changes, and what a daemon made meanwhile goes back with the rest.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::{HOLDER, INNER, content, in_range, tiny_host};
use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::filesystem::{Kind, TestFs};
use crate::support::terminal::OnTerminal;
use crate::support::{Idshift, Run, long, need_root};

const DRIVER: &[&str] = &["--storage-driver=overlay2"];

/// The content, without times; its top is made anew when a reverse is undone.
fn on_disk(host: &Host) -> Vec<String> {
    let mut lines = timeless(&snapshot(&content(host)));
    lines.retain(|line| !line.contains(r#""path":".""#));
    lines
}

/// Of a migration: the daemon's own files got the range's owner, and no other inode was looked at.
fn only_metadata_was_changed(run: &Run, start: &[String]) {
    let (changed, seen) = (&run.json()["changed"], &run.json()["seen"]);
    assert!(changed.as_u64().unwrap() > 50, "{run}");
    assert!(seen.as_u64().unwrap() < start.len() as u64 / 2, "{run}");
}

fn carried_there_and_back(host: &Host) {
    // On btrfs it takes its own driver unless it is told.
    let (plain_args, remapped_args) = (DRIVER, [DRIVER, REMAPPED].concat());
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    std::fs::create_dir(&bind).unwrap();
    let daemon = host.start(plain_args);
    populate(&daemon, &bind);
    let before = seen(&daemon);
    daemon.stop();
    let start = snapshot(&host.data_root);
    migrate(&idshift, host, &["--idmapped", "--dry-run"]).exits(0);
    same(&start, &snapshot(&host.data_root), "after a dry run");
    let run = migrate(&idshift, host, &["--idmapped", "--json"]).exits(0);
    only_metadata_was_changed(&run, &start);
    let point = host.data_root.join(INNER);
    mount_point_and_holder_are_closed(host);
    // Undone to the byte, and done again.
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &snapshot(&host.data_root), "rolled back");
    migrate(&idshift, host, &["--idmapped"]).exits(0);

    let remapped = host.start(&remapped_args);
    assert_eq!(before, seen(&remapped), "remapped");
    use_and_add(&remapped);
    let with_new = seen(&remapped);
    remapped.stop();
    assert!(
        !in_range(&content(host)).is_empty(),
        "the daemon made something"
    );
    idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says("idshift docker revert");

    let inside = on_disk(host);
    revert(&idshift, host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), [] as [PathBuf; 0]);
    assert!(!point.exists() && !host.data_root.join(HOLDER).exists());
    idshift.run(["rollback", "latest"]).exits(0);
    same(&inside, &on_disk(host), "the reverse rolled back");
    assert_eq!(
        point.metadata().unwrap().gid(),
        100_000,
        "it is mounted again"
    );
    revert(&idshift, host, &[]).exits(0);
    let plain = host.start(plain_args);
    assert_eq!(with_new, seen(&plain), "plain again");
    use_what_was_added(&plain);
    plain.stop();
}

fn mount_point_and_holder_are_closed(host: &Host) {
    let top = host.data_root.join(INNER).metadata().unwrap();
    assert_eq!(
        (top.uid(), top.gid(), top.mode() & 0o7777),
        (0, 100_000, 0o710)
    );
    let holder = host.data_root.join(HOLDER).metadata().unwrap();
    assert_eq!((holder.uid(), holder.mode() & 0o7777), (0, 0o700));
}

/// Containers have what they had, and make more.
fn use_and_add(remapped: &Daemon<'_>) {
    remapped.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(remapped, "sleeper"), 101_000);
    remapped.docker(&[
        "exec",
        "-u",
        "0",
        "sleeper",
        "sh",
        "-c",
        "echo new > /opt/new; chown 1000 /opt/new",
    ]);
    remapped.docker(&["stop", "-t", "0", "sleeper"]);
    let work = "chown 7:8 /fresh; echo n > /fresh/n; chmod 4755 /fresh/n; setfacl -m u:9:rwx /fresh/n; \
                cp /bin/sleep /fresh/raw; setcap cap_net_raw+ep /fresh/raw; rm -rf /opt/dir";
    let new = [
        "run",
        "--network=none",
        "--name",
        "new",
        "-v",
        "fresh:/fresh",
        "--user",
        "0",
        "app:1",
        "sh",
        "-c",
        work,
    ];
    remapped.docker(&new);
    remapped.docker(&["commit", "new", "committed:1"]);
}

fn use_what_was_added(plain: &Daemon<'_>) {
    plain.docker(&["start", "-a", "new"]);
    plain.docker(&["start", "sleeper"]);
    assert_eq!(host_uid(plain, "sleeper"), 1000);
    let run = [
        "run",
        "--rm",
        "--network=none",
        "-v",
        "fresh:/fresh",
        "--user",
        "0",
        "app:1",
    ];
    let is = [
        "sh",
        "-c",
        "stat -c %u:%g:%a /fresh /fresh/n; getfacl -n /fresh/n | grep user:9; getcap /fresh/raw",
    ];
    let found = plain.docker(&[&run[..], &is].concat());
    assert_eq!(found.lines().next(), Some("7:8:755"), "{found}");
    assert!(
        found.contains("0:0:4775") && found.contains("user:9:rwx"),
        "{found}"
    );
    assert!(found.contains("cap_net_raw"), "{found}");
}

#[test]
fn it_goes_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new());
}

#[test]
fn it_goes_there_and_back_on_each_filesystem() {
    need_root();
    let kinds: &[Kind] = match long() {
        true => &[Kind::Xfs, Kind::Btrfs],
        false => &[Kind::Xfs],
    };
    for kind in kinds {
        let fs = TestFs::new(*kind);
        carried_there_and_back(&Host::on(&fs.path()));
    }
}

#[test]
fn a_data_root_that_is_a_mount_goes_there_and_back() {
    need_root();
    if !long() {
        return;
    }
    let host = Host::new();
    std::fs::create_dir(&host.data_root).unwrap();
    let _fs = TestFs::mount_inside(Kind::Ext4, &host.data_root);
    carried_there_and_back(&host);
}

/// What a plain layer has of the range's ids was there before, and is not given back.
#[test]
fn ids_of_the_range_from_before_stay() {
    let (host, idshift) = tiny_host();
    let file = |host: &Host| host.data_root.join("volumes/vol/_data/y");
    std::os::unix::fs::chown(file(&host), Some(100_033), Some(100_033)).unwrap();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&[
        "run",
        "--network=none",
        "-v",
        "vol:/vol",
        "tiny:1",
        "sh",
        "-c",
        "echo z > /vol/z",
    ]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), [file(&host)]);
}

/// It counts what the mount shows, and tells what is done with that.
#[test]
fn the_question_is_about_what_is_mounted() {
    let (host, idshift) = tiny_host();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let asked = |what: &str| {
        let command = idshift.command(docker_args(what, &host));
        let run = OnTerminal::run(&command, 400, "n\n").exits(4);
        let told = run.lines().join("\n");
        assert!(
            told.contains("1 image, 2 layers, 1 container, 1 volume"),
            "{told}"
        );
        told
    };
    let permanent = asked("migrate");
    let root = host.data_root.join(INNER);
    let made = format!("Will make {} permanent", root.display());
    assert!(permanent.contains(&made), "{permanent}");
    assert!(
        permanent.contains("The mount and its unit are removed."),
        "{permanent}"
    );
    let back = asked("revert");
    assert!(
        back.contains("Files of containers keep their owners on disk"),
        "{back}"
    );
}
