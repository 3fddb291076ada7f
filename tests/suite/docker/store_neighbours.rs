//! A containerd that others use too, and stores of other snapshotters and on other filesystems.

use std::path::PathBuf;

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER, saved_layers_are_whole};
use super::store_images::{MIGRATE, STOP, archive, disk, same_disk, store_host};
use super::store_refusals::all_refuse;
use crate::support::engine_host::EngineHost;
use crate::support::{Run, long, need_root, output};

fn store_json(run: &Run) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    value["containerd_store"].clone()
}

#[test]
fn what_others_have_in_containerd_stays_theirs() {
    need_root();
    let host = store_host();
    archive(&host);
    // Of the three images one goes: its platform would be carried as one of another's.
    host.sh(
        "ctr -n moby images import --all-platforms --no-unpack /shared/images.tar
         ctr -n moby images rm --sync docker.io/library/arm:1
         ctr -n moby leases create --id kept --expires 24h
         ctr -n k8s.io images import --all-platforms --no-unpack /shared/images.tar
         mkdir /mnt/z; ctr -n k8s.io images mount docker.io/library/zoo:1 /mnt/z
         ctr -n k8s.io images unmount --rm /mnt/z
         ctr -n default images import --all-platforms --no-unpack /shared/images.tar",
    );
    host.docker(&[
        "run", "--user", "0", "--name", "one", "zoo:1", "touch", "/w",
    ]);
    let theirs = "for n in k8s.io default; do ctr -n $n images check name!=docker.io/library/arm:1
                  ctr -n $n snapshots ls; ctr -n $n leases ls; done
                  ctr -n k8s.io snapshots ls | awk '$3 == \"Committed\" {print $1}' | sort | while read k; do
                  mkdir -p /mnt/k; ctr -n k8s.io snapshots rm view 2> /dev/null || true
                  ctr -n k8s.io snapshots prepare view $k > /dev/null; sh -c \"$(ctr -n k8s.io snapshots mounts /mnt/k view)\"
                  find /mnt/k -type f -exec md5sum {} + | sort; umount /mnt/k; ctr -n k8s.io snapshots rm view; done";
    let before = host.sh(theirs);
    assert!(before.matches("complete (").count() >= 4, "{before}");
    assert!(before.contains("/mnt/k/bin/busybox"), "{before}");
    host.sh(STOP);
    let as_was = disk(&host);
    let dry = [MIGRATE, &["--dry-run", "--json"]].concat();
    let told = store_json(&host.idshift(&dry).exits(0));
    for (name, value) in [
        ("images", serde_json::json!(2)),
        ("left_platforms", serde_json::json!(1)),
        ("left_attestations", serde_json::json!(1)),
        ("other_namespaces", serde_json::json!(["default", "k8s.io"])),
    ] {
        assert_eq!(told[name], value, "{name} of {told}");
    }
    host.idshift(MIGRATE).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same_disk(&host, &as_was, "rolled back");
    let run = host.idshift(MIGRATE).exits(0);
    let others = "default, k8s.io in it are not of this daemon";
    assert!(run.stderr.contains(others), "{run}");
    assert!(!run.stderr.contains("rm -rf"), "{run}");
    host.start_docker();
    assert_eq!(host.sh("docker images -aq | sort -u | wc -l"), "2");
    assert_eq!(host.sh(theirs), before);
    host.docker(&["start", "-a", "one"]);
}

/// A container's `config.v2.json` says which snapshotter has its files.
#[test]
fn containers_of_other_snapshotters_are_refused_by_name() {
    need_root();
    let host = store_host();
    host.import_tiny("tiny:1");
    host.docker(&["create", "--name", "one", "tiny:1", "true"]);
    host.sh(STOP);
    let config = host.sh("ls /var/lib/docker/containers/*/config.v2.json");
    let drivers = [
        "erofs",
        "stargz",
        "btrfs",
        "zfs",
        "fuse-overlayfs",
        "blockfile",
        "devmapper",
    ];
    let mut before = "overlayfs";
    for driver in drivers {
        host.sh(&format!(
            "sed -i 's/\"Driver\":\"{before}\"/\"Driver\":\"{driver}\"/' {config}; grep -q '\"{driver}\"' {config}"
        ));
        all_refuse(
            &host,
            &[&format!("the snapshotter {driver};"), "docker commit one"],
        );
        before = driver;
    }
    host.sh(&format!(
        "sed -i 's/\"Driver\":\"{before}\"/\"Driver\":\"overlayfs\"/' {config}"
    ));
    host.idshift(MIGRATE).exits(0);
}

/// A filesystem of its own in a host, by a loop device, which goes when it is unmounted.
fn mount_image(host: &EngineHost, kind: &str, at: &str) {
    let image: PathBuf = host.shared().join(format!("{kind}.img"));
    std::fs::File::create(&image)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    output(&format!("mkfs.{kind}"), [image.as_os_str()]);
    let found = output(
        "losetup",
        ["--find".as_ref(), "--show".as_ref(), image.as_os_str()],
    );
    let device = String::from_utf8(found.stdout).unwrap().trim().to_string();
    let number = device.trim_start_matches("/dev/loop").to_string();
    // A snapshotter mounts by the device's name, too.
    host.sh(&format!(
        "mknod /dev/{kind} b 7 {number}; mkdir -p {at}; mount -t {kind} /dev/{kind} {at}"
    ));
    output("losetup", ["-d", &device]);
}

#[test]
fn images_that_btrfs_has_unpacked_are_carried() {
    need_root();
    if !long() {
        return;
    }
    let host = store_host();
    host.sh(&format!("{STOP}; rm -rf /var/lib/containerd"));
    mount_image(&host, "btrfs", "/var/lib/containerd");
    let json = SNAPSHOTTER.replace(
        "{\"features\"",
        "{\"storage-driver\":\"btrfs\",\"features\"",
    );
    host.write(DAEMON_JSON, json);
    host.sh("mkdir -p /var/lib/containerd/io.containerd.snapshotter.v1.btrfs; systemctl start containerd");
    host.start_docker();
    archive(&host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    host.docker(&[
        "run", "--name", "one", "--user", "0", "zoo:1", "touch", "/w",
    ]);
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "btrfs");
    host.sh(STOP);
    let refused = host.idshift(MIGRATE).exits(4);
    refused.says("the snapshotter btrfs;");
    host.sh("systemctl start containerd");
    host.start_docker();
    host.sh(&format!("docker rm one; {STOP}"));
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    for image in ["zoo:1", "odd:1", "arm:1"] {
        saved_layers_are_whole(&host, image);
    }
    host.docker(&["run", "--rm", "zoo:1", "ls", "/odd/dir2"]);
}

/// Whether a file shares content with another (`FIEMAP_EXTENT_SHARED`, as filefrag shows it).
fn is_shared(host: &EngineHost, file: &str) -> bool {
    let found = output(
        "filefrag",
        ["-v".as_ref(), host.mounted_path(file).as_os_str()],
    );
    String::from_utf8_lossy(&found.stdout).contains("shared")
}

#[test]
fn copies_share_their_content_where_the_filesystem_can() {
    need_root();
    if !long() {
        return;
    }
    for kind in ["xfs", "btrfs"] {
        let host = store_host();
        host.sh(&format!(
            "{STOP}; rm -rf /var/lib/docker /var/lib/containerd"
        ));
        mount_image(&host, kind, "/srv/disk");
        host.sh(
            "mkdir -p /srv/disk/docker /srv/disk/containerd /var/lib/docker /var/lib/containerd; chmod 710 /srv/disk/docker
             mount --bind /srv/disk/containerd /var/lib/containerd; mount --bind /srv/disk/docker /var/lib/docker
             systemctl start containerd",
        );
        host.start_docker();
        host.import_tiny("tiny:1");
        host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
        host.sh(STOP);
        // Another mount of the same filesystem: nothing can be renamed, and all can be shared.
        let free = || host.sh("sync; df -B1 --output=avail /srv/disk | tail -n 1");
        let before: i64 = free().trim().parse().unwrap();
        let run = host.idshift(MIGRATE).exits(0);
        assert!(run.stderr.contains("stays as it is"), "{run}");
        let taken = before - free().trim().parse::<i64>().unwrap();
        let file =
            host.sh("ls -S $(find /var/lib/docker/100000.100000/overlay2 -name busybox) | head -1");
        let size: i64 = host.sh(&format!("stat -c %s {file}")).parse().unwrap();
        assert!(is_shared(&host, &file), "{kind}: {file}");
        assert!(
            taken < size,
            "{kind}: {taken} bytes, and the file alone has {size}"
        );
        host.start_docker();
        saved_layers_are_whole(&host, "tiny:1");
        host.docker(&["start", "-a", "one"]);
    }
}
