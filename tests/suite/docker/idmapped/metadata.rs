//! Through the mount, what is the daemon's own belongs to root, as in any remapped root: the range's ids own what containers
//! own, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::Command;

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{INNER, in_range, tiny_host};
use crate::support::Run;
use crate::support::docker::*;

/// Whether a path of a docker root may belong to the range: it is what containers have.
fn is_of_containers(path: &Path) -> bool {
    let path = path.to_str().unwrap();
    let parts = [
        "/diff",
        "/work",
        "/_data",
        "/hosts",
        "/hostname",
        "/resolv.conf",
        "/mounts/",
    ];
    parts.iter().any(|part| path.contains(part))
}

/// A command of somebody who got out of a container, still as the container's root.
fn escaped(command: &str) -> Run {
    let mut setpriv = Command::new("setpriv");
    setpriv.args([
        "--reuid=100000",
        "--regid=100000",
        "--clear-groups",
        "sh",
        "-c",
        command,
    ]);
    Run::of(&mut setpriv)
}

/// What a daemon has that no daemon here makes: the device of a filesystem with quotas, and a plugin, which is not remapped.
fn add_device_and_plugin(data_root: &Path) {
    for dir in ["overlay2", "volumes"] {
        let device = data_root.join(dir).join("backingFsBlockDev");
        if !device.exists() {
            let mode = Mode::from_bits_truncate(0o600);
            mknod(&device, SFlag::S_IFBLK, mode, makedev(240, 200)).unwrap();
        }
    }
    let plugin = data_root.join("plugins/1234/rootfs/bin");
    fs::create_dir_all(&plugin).unwrap();
    fs::write(plugin.join("plugin"), "").unwrap();
    chown(plugin.join("plugin"), Some(33), Some(70_000)).unwrap();
}

#[test]
fn the_range_owns_what_containers_own_and_nothing_else() {
    let (host, idshift) = tiny_host();
    add_device_and_plugin(&host.data_root);
    let start = snapshot(&host.data_root);
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let point = host.data_root.join(INNER);
    let is_passed = |path: &Path| path.is_dir() && path.metadata().unwrap().uid() == 0;
    let mut seen = in_range(&point);
    // Directories that containers pass through are root's, and the range's group's.
    seen.retain(|path| !(is_of_containers(path) || is_passed(path)));
    assert_eq!(seen, Vec::<std::path::PathBuf>::new());
    let plugin = point
        .join("plugins/1234/rootfs/bin/plugin")
        .metadata()
        .unwrap();
    assert_eq!((plugin.uid(), plugin.gid()), (33, 70_000));

    let point = point.display();
    escaped(&format!("test -x {point}/containers")).exits(0);
    let config = format!("{point}/containers/*/config.v2.json");
    for command in [
        format!("echo >> $(echo {config})"),
        format!("cat {config}"),
        format!("touch {point}/image/new"),
        format!("touch {point}/overlay2/new"),
        format!("head -c1 {point}/overlay2/backingFsBlockDev"),
        format!("test -r {point}/volumes/backingFsBlockDev"),
    ] {
        let run = escaped(&command);
        assert_ne!(run.code, Some(0), "{command}: {run}");
    }
    idshift.rollback().exits(0);
    // Looking at it changed access times.
    let now = timeless(&snapshot(&host.data_root));
    same(&timeless(&start), &now, "rolled back");
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<std::path::PathBuf>::new());
    let owners = |lines: &[String]| -> Vec<String> {
        timeless(lines)
            .into_iter()
            .filter(|line| !line.contains(r#""path":"tmp"#))
            .collect()
    };
    let plain = snapshot(&host.data_root);
    let gids = |lines: &[String]| lines.iter().filter(|it| it.contains("100000")).count();
    assert_eq!(gids(&owners(&plain)), gids(&owners(&start)));
}

/// Neither is on a side of the map, so the mount shows them as they are.
#[test]
fn ids_outside_of_the_range_are_seen_as_they_are_and_nobody_s_in_a_container() {
    let (host, idshift) = tiny_host();
    let file = |top: &Path| top.join("volumes/vol/_data/y");
    chown(file(&host.data_root), Some(200_000), Some(70_000)).unwrap();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let found = file(&host.data_root.join(INNER)).metadata().unwrap();
    assert_eq!((found.uid(), found.gid()), (200_000, 70_000));
    let remapped = host.start(REMAPPED);
    let stat = [
        "run",
        "--rm",
        "--network=none",
        "-v",
        "vol:/vol",
        "tiny:1",
        "stat",
        "-c",
        "%u:%g",
        "/vol/y",
    ];
    assert_eq!(remapped.docker(&stat), "65534:65534");
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    let found = file(&host.data_root).metadata().unwrap();
    assert_eq!((found.uid(), found.gid()), (200_000, 70_000));
}

#[test]
fn load_cp_and_exec_work_and_all_of_it_is_plain_after_revert() {
    let (host, idshift) = tiny_host();
    let plain = host.start(&[]);
    let tar = host.beside().join("saved.tar");
    let tar = tar.to_str().unwrap();
    plain.docker(&["tag", "tiny:1", "other:1"]);
    plain.docker(&["save", "-o", tar, "tiny:1"]);
    plain.stop();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);

    let remapped = host.start(REMAPPED);
    remapped.docker(&["load", "-i", tar]);
    let run = [
        "run",
        "-d",
        "--network=none",
        "--name",
        "new",
        "-v",
        "vol:/vol",
        "tiny:1",
        "sleep",
        "1000",
    ];
    remapped.docker(&run);
    let local = host.beside().join("local");
    fs::write(&local, "copied").unwrap();
    remapped.docker(&["cp", local.to_str().unwrap(), "new:/vol/in"]);
    remapped.docker(&["cp", local.to_str().unwrap(), "new:/in"]);
    let exec = [
        "exec",
        "-u",
        "0",
        "new",
        "sh",
        "-c",
        "busybox chown 7:8 /in && busybox chmod 600 /in",
    ];
    remapped.docker(&exec);
    assert_eq!(
        remapped.docker(&["exec", "-u", "7:8", "new", "cat", "/in"]),
        "copied"
    );
    let other = remapped.try_docker(&["exec", "-u", "9:9", "new", "cat", "/in"]);
    assert_ne!(other.code, Some(0), "{other}");
    let out = host.beside().join("out");
    remapped.docker(&["cp", "new:/in", out.to_str().unwrap()]);
    assert_eq!(fs::read(&out).unwrap(), b"copied");
    remapped.docker(&["stop", "-t", "0", "new"]);
    remapped.stop();

    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(in_range(&host.data_root), Vec::<std::path::PathBuf>::new());
    let plain = host.start(&[]);
    plain.docker(&["start", "new"]);
    let stat = ["exec", "new", "stat", "-c", "%u:%g:%a", "/in", "/vol/in"];
    assert_eq!(plain.docker(&stat), "7:8:600\n0:0:644");
    plain.docker(&["stop", "-t", "0", "new"]);
    plain.stop();
}

/// What the way into the root left alone is as it was after the way out, ids of the range included: a containerd's snapshots,
/// wherever in the data-root it keeps them, what somebody keeps there, and a container's files.
#[test]
fn what_was_left_alone_is_as_it_was() {
    let (host, idshift) = tiny_host();
    let layers = fs::read_dir(host.data_root.join("overlay2")).unwrap();
    let layers = layers.map(|entry| entry.unwrap().path().join("diff"));
    // A directory that is still open is in use.
    let layers: Vec<_> = layers.filter(|diff| diff.exists()).collect();
    let layer = &layers[0];
    let snapshots = "containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/7/fs/bin";
    let kept = [
        (
            "containerd/daemon/io.containerd.snapshotter.v1.native/snapshots/9",
            100_044,
        ),
        (snapshots, 0),
        (snapshots, 1000),
        ("kept", 100_033),
        ("volumes/vol/kept", 100_055),
        (
            layer
                .strip_prefix(&host.data_root)
                .unwrap()
                .to_str()
                .unwrap(),
            100_007,
        ),
    ];
    for (dir, owner) in kept {
        let dir = host.data_root.join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("file-{owner}")), "").unwrap();
        chown(dir.join(format!("file-{owner}")), Some(owner), Some(owner)).unwrap();
    }
    // The run renames it, so that it was changed since.
    chown(host.data_root.join("kept"), Some(100_033), Some(100_033)).unwrap();
    let owners = || {
        let files = kept.map(|(dir, owner)| format!("{dir}/file-{owner}"));
        let all = files.into_iter().chain(["kept".into()]);
        all.map(|path| {
            let found = host.data_root.join(path).metadata();
            found.map(|found| found.uid()).ok()
        })
        .collect::<Vec<_>>()
    };
    let start = owners();
    // Times have the precision of the record of the root.
    std::thread::sleep(std::time::Duration::from_millis(20));
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let seen = host.data_root.join(INNER).join(snapshots);
    let su = seen.join("file-0").metadata().unwrap();
    assert_eq!(su.uid(), 100_000, "a snapshot is the containers'");
    assert_eq!(seen.join("file-1000").metadata().unwrap().uid(), 101_000);
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(owners(), start);
}

/// An id of the range in the daemon's own files could not be told afterwards from one that the run gave.
#[test]
fn metadata_of_the_range_is_refused() {
    let (host, idshift) = tiny_host();
    add_device_and_plugin(&host.data_root);
    let plugin = host.data_root.join("plugins/1234/rootfs/bin/plugin");
    chown(&plugin, Some(100_005), Some(0)).unwrap();
    let start = timeless(&snapshot(&host.data_root));
    let audit = audit(&host).text();
    assert!(audit.contains("plugin: uid 100005"), "{audit}");
    let dry = migrate(&idshift, &host, &["--idmapped", "--dry-run"]).exits(3);
    assert!(dry.text().contains("100005"), "{dry}");
    migrate(&idshift, &host, &["--idmapped"]).exits(1);
    same(&start, &timeless(&snapshot(&host.data_root)), "refused");
}
