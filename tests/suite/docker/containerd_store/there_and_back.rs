//! There, and back: with real daemons, whose containerd is the host's or their own.

use std::fs;

use super::{DAEMON_JSON, SNAPSHOTTER, host_with_store, saved_layers_are_whole, seen};
use crate::docker::store_images::unread;
use crate::support::docker::{same, snapshot};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{long, need_root};

/// Everything that is carried, as users and as Docker see it.
fn all_seen(host: &EngineHost) -> String {
    host.sh(
        "docker images --format '{{.Repository}}:{{.Tag}}' | sort; docker volume ls -q; \
         docker ps -a --format '{{.Names}} {{.Image}}' | sort; \
         for c in one three two; do docker diff $c | sort; docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $c; done; \
         docker logs one",
    )
}

/// `way`: options of the migration.
fn with_own_or_managed_containerd(managed: bool, way: &[&str]) {
    let host = store_with_containers(managed);
    let before = all_seen(&host);
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.sh("mkdir -p /var/lib/containerd");
    let stop = "systemctl stop docker.socket docker; systemctl stop containerd || true";
    let migrate = [&["docker", "migrate", "--write-daemon-json"], way].concat();
    let run = host.idshift(&migrate).exits(4);
    assert!(run.stderr.contains("systemctl stop"), "{run}");
    host.sh(stop);

    let as_was = disk(&host);
    audit_counts_the_store(&host);
    let dry = host.idshift(&[&migrate[..], &["--dry-run"]].concat());
    dry.exits(0);
    let run = host
        .idshift(&[&["docker", "migrate"], way].concat())
        .exits(4);
    assert!(run.stderr.contains("--write-daemon-json"), "{run}");
    same_disk(&host, &as_was, "after a dry run");
    host.idshift(&migrate).exits(0);
    assert_eq!(
        fs::read_to_string(host.path(DAEMON_JSON)).unwrap(),
        "{\n  \"userns-remap\": \"default\"\n}\n"
    );
    host.idshift(&["rollback", "latest"]).exits(0);
    same_disk(&host, &as_was, "rolled back");
    assert_eq!(
        fs::read_to_string(host.path(DAEMON_JSON)).unwrap(),
        SNAPSHOTTER
    );
    // containerd's store works as before.
    host.start_docker();
    assert_eq!(all_seen(&host), before);
    host.sh(stop);

    host.idshift(&migrate).exits(0);
    host.start_docker();
    assert_eq!(all_seen(&host), before);
    the_layers_are_used(&host);

    the_way_back_is_a_plain_root(&host, &before);
}

/// A daemon that runs, with images and containers in containerd: its own containerd, or the host's.
fn store_with_containers(managed: bool) -> EngineHost {
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    if managed {
        let unit = host.path("/etc/systemd/system/containerd.service");
        std::os::unix::fs::symlink("/dev/null", unit).unwrap();
        let alone = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n";
        host.write("/etc/systemd/system/docker.service.d/alone.conf", alone);
    }
    host.boot();
    host.import_tiny("tiny:1");
    host.sh(
        "docker tag tiny:1 reg.example.com:5000/a/b:2
         docker run -v data:/d --name one tiny:1 sh -c 'echo 1 > /d/f; echo w > /w; rm /bin/true; touch /home; chown 7:8 /home; echo said'
         docker commit one committed:1
         docker create --name two --restart=always --init committed:1 sleep 100
         docker run --name three committed:1 sh -c 'rm -rf /w; echo x > /x'
         # As Docker 29 has it with the store.
         install -d -m 700 /var/lib/docker/image
         install -m 600 /etc/hostname /var/lib/docker/image/identity-cache.db",
    );
    host
}

const TOPS: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

fn disk(host: &EngineHost) -> [Vec<String>; 2] {
    TOPS.map(|top| snapshot(&host.path(top)))
}

fn same_disk(host: &EngineHost, before: &[Vec<String>; 2], when: &str) {
    for (n, now) in disk(host).iter().enumerate() {
        let (mut before, mut now) = (before[n].clone(), now.clone());
        // An init layer that lacks a mount point is copied, and so was read.
        if when == "rolled back" {
            (before, now) = (unread(&before), unread(&now));
        }
        same(&before, &now, &format!("{} {when}", TOPS[n]));
    }
}

fn audit_counts_the_store(host: &EngineHost) {
    let audit = host.idshift(&["docker", "audit"]).exits(0);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(
        text.contains(
            "2 images and 3 containers of the containerd image store become overlay2 layers"
        ),
        "{audit}"
    );
}

fn the_layers_are_used(host: &EngineHost) {
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    for image in ["tiny:1", "committed:1"] {
        saved_layers_are_whole(host, image);
    }
    host.docker(&["start", "-a", "one"]);
    host.docker(&["start", "-a", "three"]);
    host.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/d",
        "committed:1",
        "cat",
        "/d/f",
        "/w",
    ]);
    host.docker(&["commit", "three", "new:1"]);
    saved_layers_are_whole(host, "new:1");
    let owners = host.docker(&["run", "--rm", "committed:1", "ls", "-ln", "/"]);
    assert!(owners.contains(" 7        8 "), "{owners}");
}

/// It has overlay2.
fn the_way_back_is_a_plain_root(host: &EngineHost, before: &str) {
    host.stop_docker();
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);
    let in_range = "find /var/lib/docker -xdev -uid +99999 -o -xdev -gid +99999";
    assert_eq!(host.sh(in_range), "");
    host.start_docker();
    let reverted = all_seen(host);
    let without = |text: &str| text.replace("new:1\n", "");
    assert_eq!(without(&reverted).lines().next(), before.lines().next());
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    host.docker(&["start", "-a", "one"]);
}

#[test]
fn docker_26_images_in_host_containerd_become_layers() {
    need_root();
    with_own_or_managed_containerd(false, &[]);
}

#[test]
fn docker_26_images_in_its_containerd_become_layers() {
    need_root();
    with_own_or_managed_containerd(true, &[]);
}

/// The layers that are made of the store keep their owners, and are seen through a mount.
#[test]
fn docker_26_images_in_containerd_are_remapped_by_a_mount() {
    need_root();
    with_own_or_managed_containerd(false, &["--idmapped"]);
    if long() {
        with_own_or_managed_containerd(true, &["--idmapped"]);
    }
}

/// Docker is enabled, so it tries to start by itself at each boot.
#[test]
fn a_conversion_survives_a_reboot_in_the_middle() {
    need_root();
    let mut host = host_with_store();
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    for way in ["rollback", "resume"] {
        let there = seen(&host);
        let diff = host.docker(&["diff", "one"]);
        host.sh("systemctl stop docker.socket docker containerd");
        let args = [
            "idshift",
            "docker",
            "migrate",
            "--write-daemon-json",
            "--rate",
            "3",
        ];
        let mut migration = host.command(&args).spawn().unwrap();
        let moving = host.path("/var/lib/docker/idshift-moving-100000.100000");
        while !moving.exists() {
            assert!(migration.try_wait().unwrap().is_none(), "too fast");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // Layers are renamed by now, and some owners changed.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        host.cut_power();
        migration.wait().unwrap();
        host.boot();
        assert!(!host.try_start_docker(), "it came up on half of its data");
        host.sh("systemctl stop containerd");
        host.idshift(&[way, "latest"]).exits(0);
        host.sh("systemctl start containerd");
        host.start_docker();
        assert_eq!(seen(&host), there, "{way}");
        assert_eq!(host.docker(&["diff", "one"]), diff, "{way}");
        host.docker(&["start", "-a", "one"]);
    }
}
