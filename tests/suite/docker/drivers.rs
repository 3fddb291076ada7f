//! Every storage driver whose layers are directories.

use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Kind, TestFs, need_root};

fn carried_there_and_back(host: &Host, driver: &str) {
    let idshift = Idshift::new();
    let driver = ["--storage-driver", driver];
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
fn layers_of_the_vfs_driver_are_carried_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new(), "vfs");
}

#[test]
fn layers_of_fuse_overlayfs_are_carried_there_and_back() {
    need_root();
    carried_there_and_back(&Host::new(), "fuse-overlayfs");
}

#[test]
fn subvolumes_of_the_btrfs_driver_are_carried_there_and_back() {
    need_root();
    let fs = TestFs::new(Kind::Btrfs);
    let host = Host::on(&fs.path());
    carried_there_and_back(&host, "btrfs");
}
