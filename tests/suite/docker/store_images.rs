//! Images of the containerd image store in every form: not unpacked, of other platforms, by digest, without their content.

use crate::support::PYTHON;
use std::fs;

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER, saved_layers_are_whole};
use crate::support::docker::{same, snapshot};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{self, need_root, script};

pub(super) const MIGRATE: &[&str] = &["docker", "migrate", "--write-daemon-json"];
pub(super) const STOP: &str = "systemctl stop docker.socket docker containerd";
pub(super) const TOPS: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

/// A host whose daemon uses the store, with the user that it is to be remapped to.
pub(super) fn store_host() -> EngineHost {
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host
}

/// Makes the archive of `oci_archive.py` in /shared.
pub(super) fn archive(host: &EngineHost) {
    let busybox = host.system().join("usr/bin/busybox");
    let out = host.shared().join("images.tar");
    let args = [&script("oci_archive.py"), &out, &busybox];
    support::output(PYTHON, args);
}

/// All but when it was last read.
pub(super) fn disk(host: &EngineHost) -> [Vec<String>; 2] {
    TOPS.map(|top| unread(&snapshot(&host.path(top))))
}

pub(super) fn unread(lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        value.as_object_mut().unwrap().remove("atime_ns");
        value.to_string()
    };
    lines.iter().map(strip).collect()
}

pub(super) fn same_disk(host: &EngineHost, before: &[Vec<String>; 2], when: &str) {
    for (n, now) in disk(host).iter().enumerate() {
        same(&before[n], now, &format!("{} {when}", TOPS[n]));
    }
}

/// All that a container of an image sees of it.
fn content(host: &EngineHost, image: &str) -> String {
    let list = "find /odd /bin -type d -exec stat -c '%n %F %u:%g %a %Y' {} + | sort; \
                find /odd /bin ! -type d -exec stat -c '%n %F %u:%g %a %s %h %Y' {} + | sort; \
                find /odd /bin -type f -exec md5sum {} + | sort";
    host.docker(&[
        "run", "--name", "look", "--user", "0", image, "sh", "-c", list,
    ]);
    // On a machine that is busy, not all that is printed gets to `docker run`.
    let seen = host.docker(&["logs", "look"]);
    host.docker(&["rm", "look"]);
    // A directory in which a layer has something, without telling of the directory itself, is of the time of unpacking.
    let of_now =
        |line: &str| line.starts_with("/odd directory") || line.starts_with("/odd/dir2 directory");
    let strip = |line: &str| match of_now(line) {
        true => line.rsplit_once(' ').unwrap().0.to_string(),
        false => line.to_string(),
    };
    seen.lines().map(strip).collect::<Vec<_>>().join("\n")
}

#[test]
fn images_that_are_not_unpacked_are_unpacked_and_carried() {
    need_root();
    let host = store_host();
    archive(&host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    let zoo = content(&host, "zoo:1");
    assert!(zoo.contains("/odd/suid regular file 7:8 4755"), "{zoo}");
    // Gone again, and loaded without being unpacked.
    host.docker(&["rmi", "-f", "zoo:1", "odd:1", "arm:1"]);
    host.sh("ctr -n moby images ls -q | xargs -r ctr -n moby images rm --sync");
    host.sh(
        "ctr -n moby images import --all-platforms --no-unpack /shared/images.tar
         digest=$(ctr -n moby images ls name==docker.io/library/odd:1 | tail -1 | awk '{print $3}')
         ctr -n moby images tag docker.io/library/odd:1 docker.io/library/pinned@$digest
         ctr -n moby images tag docker.io/library/zoo:1 moby-dangling@sha256:0000000000000000000000000000000000000000000000000000000000000001",
    );
    let unpacked = host.sh("ctr -n moby snapshots ls | wc -l");
    assert_eq!(unpacked, "1", "a line of titles");
    host.sh(STOP);
    let as_was = disk(&host);
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat()).exits(0);
    same_disk(&host, &as_was, "after a dry run");
    assert!(dry.stderr.contains("3 images"), "{dry}");
    let more = "A run counts more inodes than a dry run";
    let made = dry.stderr.lines().find(|line| line.starts_with(more));
    let made = made.unwrap_or_else(|| panic!("{dry}"));
    assert!(made.contains("metadata of 3 images"), "{made}");
    assert!(made.contains("and the files of"), "{made}");
    let none = host
        .idshift(&["docker", "revert", "--to-containerd"])
        .exits(4);
    assert!(
        none.stderr.contains("there is no journal of a migration"),
        "{none}"
    );
    let run = host.idshift(MIGRATE).exits(0);
    assert!(!run.stderr.contains(more), "{run}");
    host.idshift(&["docker", "revert", "--to-containerd"])
        .exits(0);
    same_disk(&host, &as_was, "rolled back");

    let told = host.idshift(MIGRATE).exits(0);
    let removal = "rm -rf /var/lib/containerd/*";
    assert!(told.stderr.contains(removal), "{told}");
    host.start_docker();
    let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    for name in ["zoo:1", "arm:1", "odd:1", "pinned:<none>"] {
        assert!(images.contains(name), "{name} in {images}");
    }
    for image in ["zoo:1", "arm:1", "odd:1"] {
        saved_layers_are_whole(&host, image);
    }
    assert_eq!(content(&host, "zoo:1"), zoo);
    let arm = host.docker(&["inspect", "-f", "{{.Architecture}}", "arm:1"]);
    assert_eq!(arm, "arm64");
    let user = host.docker(&["run", "--rm", "zoo:1", "busybox", "id", "-u"]);
    assert_eq!(user, "33");
    let dead = host.path("/var/lib/docker/idshift-convert-100000.100000");
    assert!(!dead.exists());

    // What is left of the store is not needed any more, and it is the way back no more.
    host.sh(STOP);
    let back = host
        .idshift(&["docker", "revert", "--to-containerd"])
        .exits(4);
    assert!(back.stderr.contains("`idshift docker revert`"), "{back}");
    host.sh("rm -rf /var/lib/containerd/*");
    host.start_docker();
    assert_eq!(content(&host, "zoo:1"), zoo);
}

#[test]
fn a_container_lives_on_whose_image_is_gone() {
    need_root();
    let host = store_host();
    archive(&host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    host.sh(
        "docker run --user 0 --name one -e A=b zoo:1 sh -c 'echo w > /w; rm /odd/capable; echo said'
         docker run --name two zoo:1 true
         docker run --user 0 --name three odd:1 touch /three
         docker commit three made:1
         docker run --name four made:1 touch /four",
    );
    let see = "for c in one two three four; do docker diff $c | sort; docker inspect -f '{{.Config.Env}}' $c; done; docker logs one";
    let before = host.sh(see);
    // As its content goes when nothing refers to it any more: all of zoo:1, and what made:1 has of its own.
    host.sh(
        "ctr -n moby images ls -q | grep -v /odd | xargs ctr -n moby images rm --sync
         ctr -n moby content ls -q | wc -l",
    );
    let left = host.sh("ctr -n moby content ls -q");
    assert!(!left.is_empty());
    host.sh(STOP);
    let as_was = disk(&host);
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat()).exits(0);
    assert!(
        dry.stderr.contains("is made of the files of its layers"),
        "{dry}"
    );
    same_disk(&host, &as_was, "after a dry run");
    host.idshift(MIGRATE).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same_disk(&host, &as_was, "rolled back");

    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    assert_eq!(host.sh(see), before);
    host.docker(&["start", "-a", "one"]);
    host.docker(&["start", "-a", "four"]);
    for name in ["one", "two", "three", "four"] {
        let tag = format!("{name}:9");
        host.docker(&["commit", name, &tag]);
        saved_layers_are_whole(&host, &tag);
        host.docker(&["run", "--rm", "--user", "0", &tag, "ls", "/odd"]);
    }
    let seen = host.docker(&["run", "--rm", "one:9", "cat", "/w"]);
    assert_eq!(seen, "w");
    let history = host.docker(&["history", "one:9"]);
    assert!(history.contains("the image was gone"), "{history}");

    // A daemon has been running on it.
    host.idshift(&["rollback", "latest"]).exits(4);
}

/// containerd's directory on a filesystem of its own, with its content, from before it starts.
fn store_on_other_filesystem(host: &EngineHost, options: &str) {
    host.sh(&format!(
        "{STOP}; rm -rf /var/lib/containerd; mkdir /var/lib/containerd
         mount -t tmpfs -o {options} tmpfs /var/lib/containerd
         systemctl start containerd docker"
    ));
}

/// One of everything in the store.
fn fill_store(host: &EngineHost) -> String {
    archive(host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    host.sh(
        "docker run --user 0 --name one -v data:/d zoo:1 sh -c 'echo w > /w; rm /odd/capable; echo said'
         docker run --user 0 --name two odd:1 sh -c 'rm -rf /odd/dir; touch /x; echo 1 > /bin/true2'
         docker create --restart=always --name three zoo:1 sleep 100",
    );
    seen(host)
}

fn seen(host: &EngineHost) -> String {
    host.sh(
        "docker images --format '{{.Repository}}:{{.Tag}}' | sort; docker volume ls -q
         for c in one two three; do docker diff $c | sort; docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $c; done
         docker logs one",
    )
}

fn works_migrated(host: &EngineHost, before: &str) {
    host.start_docker();
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    assert_eq!(seen(host), before);
    for image in ["zoo:1", "odd:1", "arm:1"] {
        saved_layers_are_whole(host, image);
    }
    host.docker(&["start", "-a", "one"]);
    host.docker(&["commit", "two", "new:1"]);
    saved_layers_are_whole(host, "new:1");
}

#[test]
fn a_store_on_another_filesystem_is_copied() {
    need_root();
    let host = store_host();
    store_on_other_filesystem(&host, "mode=711");
    let before = fill_store(&host);
    let zoo = content(&host, "zoo:1");
    host.sh(STOP);
    let docker = unread(&snapshot(&host.path(TOPS[0])));
    let store = || {
        host.sh("cd /var/lib/containerd; find . -printf '%p %y %U:%G %m %s %T@\\n' | sort; find . -type f -exec md5sum {} + | sort")
    };
    let as_was = store();
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat()).exits(0);
    let made = "A run counts more inodes than a dry run";
    assert!(dry.stderr.contains(made), "{dry}");
    assert!(!dry.stderr.contains("and the files of"), "{dry}");
    let run = host.idshift(MIGRATE).exits(0);
    assert!(run.stderr.contains("stays as it is"), "{run}");
    assert_eq!(store(), as_was, "migrated");
    host.idshift(&["rollback", "latest"]).exits(0);
    assert_eq!(store(), as_was, "rolled back");
    same(
        &docker,
        &unread(&snapshot(&host.path(TOPS[0]))),
        "rolled back",
    );
    host.start_docker();
    assert_eq!(seen(&host), before);
    host.sh(STOP);

    host.idshift(MIGRATE).exits(0);
    works_migrated(&host, &before);
    assert_eq!(content(&host, "zoo:1"), zoo);
}

#[test]
fn a_copy_leaves_the_store_and_the_plain_root() {
    need_root();
    let host = store_host();
    let before = fill_store(&host);
    host.sh(STOP);
    let start = disk(&host);
    let copy = [MIGRATE, &["--copy"]].concat();
    let dry = host.idshift(&[&copy[..], &["--dry-run"]].concat()).exits(0);
    assert!(dry.stderr.contains("would stay as it is"), "{dry}");
    same_disk(&host, &start, "after a dry run");
    host.idshift(&copy).exits(0);
    same(&start[1], &disk(&host)[1], "containerd");
    works_migrated(&host, &before);
    host.stop_docker();
    // The plain daemon has all it had.
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.start_docker();
    assert_eq!(seen(&host), before);
    host.docker(&["start", "-a", "one"]);
    host.sh(STOP);

    // Undone before a daemon ran on it.
    let inner = host.path("/var/lib/docker/100000.100000");
    fs::remove_dir_all(inner).unwrap();
    let start = disk(&host);
    host.idshift(&copy).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same(&start[1], &disk(&host)[1], "containerd");
    let copy = host.path("/var/lib/docker/idshift-copy-100000.100000");
    let staging = host.path("/var/lib/docker/idshift-convert-100000.100000");
    assert!(copy.is_dir() && !staging.exists());
}
