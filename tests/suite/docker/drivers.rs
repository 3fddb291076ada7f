//! Every storage driver whose layers are directories.

use std::collections::BTreeSet;

use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Kind, TestFs, need_root, output};

/// Owner and mode of the directories above the layers of a remapped daemon's root; layers count under one name.
fn directories(host: &Host, driver: &str) -> BTreeSet<String> {
    let inner = host.data_root.join("100000.100000").join(driver);
    let args = ["-maxdepth", "2", "-type", "d", "-printf", "%P %U:%G %m\n"];
    let args = std::iter::once(inner.as_os_str()).chain(args.map(AsRef::as_ref));
    let found = String::from_utf8(output("find", args).stdout).unwrap();
    let is_layer = |part: &&str| part.len() >= 64;
    let without_id = |line: &str| {
        let (path, owner) = line.split_once(' ').unwrap();
        let parts = path.split('/');
        let parts: Vec<&str> = parts
            .map(|part| if is_layer(&part) { "ID" } else { part })
            .collect();
        format!("{} {owner}", parts.join("/"))
    };
    found.lines().map(without_id).collect()
}

/// What a daemon makes that was remapped from the start.
fn fresh_directories(host: &Host, driver: &str) -> BTreeSet<String> {
    let remapped = host.start(&[REMAPPED, &["--storage-driver", driver]].concat());
    remapped.import_tiny("app:1");
    remapped.docker(&["run", "--network", "none", "app:1", "/bin/busybox", "true"]);
    remapped.stop();
    directories(host, driver)
}

fn carried_there_and_back(host: &Host, fresh: &Host, name: &str) {
    let idshift = Idshift::new();
    let driver = ["--storage-driver", name];
    let plain = host.start(&driver);
    plain.import_tiny("app:1");
    let shell = ["app:1", "/bin/busybox", "sh", "-c"];
    let run = ["run", "--network", "none", "-v", "named:/v"];
    let work = "echo x > /x && busybox chown 7:7 /x && echo y > /v/y && busybox rm /bin/busybox";
    plain.docker(&[&run[..], &["--name", "one"], &shell[..], &[work]].concat());
    let again = "test -e /again || echo 1 > /again";
    plain.docker(&[&run[..], &["--name", "two"], &shell[..], &[again]].concat());
    let changes = seen(&plain).containers;
    plain.stop();
    let start = snapshot(&host.data_root);
    migrate(&idshift, host, &["--create-user"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(
        &start,
        &snapshot(&host.data_root),
        "after migrate and rollback",
    );
    migrate(&idshift, host, &[]).exits(0);

    let made = directories(host, name);
    let fresh = fresh_directories(fresh, name);
    assert_eq!(made, fresh, "{name}: made by migrate, made by a daemon");
    let remapped = host.start(&[REMAPPED, &driver].concat());
    assert_eq!(seen(&remapped).containers, changes);
    remapped.docker(&["start", "-a", "two"]);
    let look = "busybox stat -c %u /v/y && echo z > /v/z";
    let owner = remapped.docker(&[&run[..], &["--rm"], &shell[..], &[look]].concat());
    assert_eq!(owner, "0");
    let new = "echo n > /n && busybox chown 9:9 /n";
    remapped.docker(&[&run[..], &["--name", "new"], &shell[..], &[new]].concat());
    let changes = seen(&remapped).containers;
    remapped.stop();
    revert(&idshift, host, &[]).exits(0);

    let plain = host.start(&driver);
    plain.docker(&["start", "-a", "two"]);
    plain.docker(&["start", "-a", "new"]);
    assert_eq!(seen(&plain).containers, changes);
    plain.docker(&["rm", "one", "two", "new"]);
    plain.docker(&["rmi", "app:1"]);
    plain.stop();
}

#[test]
fn vfs_layers_are_carried_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new(), &Host::new(), "vfs");
}

#[test]
fn fuse_overlayfs_layers_are_carried_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new(), &Host::new(), "fuse-overlayfs");
}

#[test]
fn btrfs_subvolumes_are_carried_there_and_back() {
    need_root();
    let fs = TestFs::new(Kind::Btrfs);
    let host = Host::on(&fs.path());
    carried_there_and_back(&host, &Host::on(&fs.path()), "btrfs");
}
