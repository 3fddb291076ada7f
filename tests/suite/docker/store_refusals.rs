//! Stores that are in use, damaged, hostile or too large: refused before anything is changed, and nothing is left.

use crate::support::PYTHON;
use std::fs;

use serde_json::Value;

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER};
use super::store_images::{MIGRATE, STOP, archive, disk, same_disk, store_host};
use crate::support::docker::same;
use crate::support::engine_host::EngineHost;
use crate::support::{self, Run, need_root, script};

/// The run, its dry run and the audit say so, and nothing is changed.
pub(super) fn all_refuse(host: &EngineHost, words: &[&str]) {
    let before = disk(host);
    let dry_run = [MIGRATE, &["--dry-run"]].concat();
    for args in [MIGRATE, &dry_run, &["docker", "audit"]] {
        let run = host.idshift(args).exits(4);
        let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        for word in words {
            assert!(told.contains(word), "{word} in {run}");
        }
    }
    same_disk(host, &before, words[0]);
}

#[test]
fn a_store_in_use_is_refused() {
    need_root();
    let host = store_host();
    let live = SNAPSHOTTER.replace("{\"features\"", "{\"live-restore\":true,\"features\"");
    host.write(DAEMON_JSON, live);
    host.stop_docker();
    host.start_docker();
    host.import_tiny("tiny:1");
    host.docker(&["run", "-d", "--name", "runs", "tiny:1", "sleep", "1000"]);
    let run = host.idshift(MIGRATE).exits(4);
    let help =
        "docker stop runs`, then the daemon: `systemctl stop docker.socket docker containerd`";
    assert!(run.stderr.contains(help), "{run}");
    host.sh("systemctl stop docker.socket docker");
    let run = host.idshift(MIGRATE).exits(4);
    assert!(run.stderr.contains("docker stop runs"), "{run}");
    // The container outlives both daemons.
    host.sh(&format!("{STOP}; pidof sleep"));
    let before = disk(&host);
    let run = host.idshift(MIGRATE).exits(4);
    assert!(run.stderr.contains("in use"), "{run}");
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat()).exits(0);
    let text = format!("{}{}", String::from_utf8_lossy(&dry.stdout), dry.stderr);
    assert!(text.contains("would be refused now"), "{dry}");
    same(&before[1], &disk(&host)[1], "in use");

    host.sh("systemctl start containerd");
    host.start_docker();
    host.sh(&format!("docker stop -t 1 runs; {STOP}"));
    // Somebody looks at a layer.
    let snapshots = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
    host.sh(&format!(
        "mkdir /mnt/a /mnt/b; mount -t overlay -o ro,lowerdir={snapshots}/1/fs:/mnt/b overlay /mnt/a"
    ));
    let run = host.idshift(MIGRATE).exits(4);
    assert!(run.stderr.contains("umount /mnt/a"), "{run}");
    host.sh("umount /mnt/a");
    host.idshift(MIGRATE).exits(0);
}

#[test]
fn images_of_any_snapshotter_are_carried_and_containers_named() {
    need_root();
    let host = store_host();
    let native = SNAPSHOTTER.replace(
        "{\"features\"",
        "{\"storage-driver\":\"native\",\"features\"",
    );
    host.write(DAEMON_JSON, &native);
    host.stop_docker();
    host.start_docker();
    archive(&host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    host.docker(&["run", "--name", "one", "odd:1", "true"]);
    host.sh(STOP);
    all_refuse(&host, &["snapshotter native", "docker commit one"]);
    host.sh("systemctl start containerd");
    host.start_docker();
    host.sh(&format!("docker rm one; {STOP}"));
    all_refuse(&host, &["storage-driver", "native"]);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    let seen = host.docker(&["run", "--rm", "odd:1", "ls", "/odd/dir2"]);
    assert_eq!(seen, "also\nbelow");
}

#[test]
fn bad_layers_are_refused_and_nothing_is_left() {
    need_root();
    let host = store_host();
    let busybox = host.system().join("usr/bin/busybox");
    for (how, words) in [
        ("dots", &["leads out of the layer", "escaped"][..]),
        ("link", &["tar entry odd", "not in the layer before it"]),
        ("whiteout", &["tar entry .wh.file", "the layer itself has"]),
        ("lies", &["ends before the file does"]),
        ("diffid", &["is not the layer that its image names"]),
        ("noid", &["noid:1", "is not a sha256 digest"]),
    ] {
        let out = host.shared().join("bad.tar");
        support::output(
            PYTHON,
            [script("oci_archive.py"), out, busybox.clone(), how.into()],
        );
        host.sh("ctr -n moby images import --no-unpack /shared/bad.tar");
        host.sh(STOP);
        all_refuse(&host, words);
        host.sh("systemctl reset-failed containerd; systemctl start containerd; ctr -n moby images ls -q | xargs ctr -n moby images rm --sync");
    }
    // One that is whole, and then is not.
    archive(&host);
    host.sh(&format!(
        "ctr -n moby images import --all-platforms --no-unpack /shared/images.tar; {STOP}"
    ));
    let content = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";
    let largest = host.sh(&format!("ls -S {content} | head -1"));
    let blob = host.path(&format!("{content}/{largest}"));
    let good = fs::read(&blob).unwrap();
    let mut bytes = good.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, &bytes).unwrap();
    all_refuse(&host, &[&largest]);
    fs::remove_file(&blob).unwrap();
    all_refuse(&host, &[&largest, "docker pull"]);
    fs::write(&blob, &good).unwrap();

    // The disk is full in mid-conversion: all was copied to a small one.
    host.sh(
        "mkdir /mnt/kept; cp -a /var/lib/docker/. /mnt/kept; mount -t tmpfs -o size=2m,mode=710 tmpfs /var/lib/docker
         cp -a /mnt/kept/. /var/lib/docker",
    );
    let list = "cd /var/lib/docker; find . -printf '%p %y %U:%G %m %s %T@\\n' | sort";
    let before = host.sh(list);
    let run = host.idshift(MIGRATE).exits(4);
    assert_eq!(host.sh(list), before);
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat()).exits(4);
    assert_eq!(host.sh(list), before);
    let told = |run: &Run| {
        run.stderr
            .split_once("a copy needs ")
            .unwrap()
            .1
            .to_string()
    };
    assert_eq!(told(&run), told(&dry));
    // Room for just what it counts, and not for the small files that go with it.
    let told = told(&run);
    let numbers = told.split(' ').filter_map(|word| word.parse::<u64>().ok());
    let [takes, _, free, ..] = numbers.collect::<Vec<_>>()[..] else {
        panic!("{told}");
    };
    let size = (2 << 20) + takes - free + 4096;
    host.sh(&format!("mount -o remount,size={size} /var/lib/docker"));
    let run = host.idshift(MIGRATE).exits(4);
    assert!(run.stderr.contains("No space left"), "{run}");
    assert_eq!(host.sh(list), before);
    host.sh("umount /var/lib/docker");
    host.idshift(MIGRATE).exits(0);
}

#[test]
fn ids_outside_of_the_map_are_told_of_layers_that_are_not_unpacked() {
    need_root();
    let host = store_host();
    let busybox = host.system().join("usr/bin/busybox");
    let out = host.shared().join("bad.tar");
    let args = [script("oci_archive.py"), out, busybox, "ids".into()];
    support::output(PYTHON, args);
    host.sh("ctr -n moby images import --no-unpack /shared/bad.tar");
    host.sh(STOP);
    let before = disk(&host);
    let text = |run: &Run| format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
    let outside = "uid 70000 is outside the map";
    let audit = host.idshift(&["docker", "audit", "--json"]).exits(3);
    let strategies = audit.json()["ways"].clone();
    assert!(
        strategies[0]["refused"].to_string().contains(outside),
        "{strategies:#}"
    );
    assert_eq!(strategies[1]["refused"], Value::Null, "{strategies:#}");
    let dry = host.idshift(&[MIGRATE, &["--dry-run"]].concat());
    let run = host.idshift(MIGRATE).exits(1);
    for run in [&dry, &run] {
        assert!(text(run).contains(outside), "{run}");
    }
    same_disk(&host, &before, "undone");
    // As a dry run says of a container's own file.
    host.sh("touch /var/lib/docker/volumes/x; chown 70000 /var/lib/docker/volumes/x; mkdir -p /var/lib/docker/volumes/v/_data; mv /var/lib/docker/volumes/x /var/lib/docker/volumes/v/_data");
    let both = host.idshift(&[MIGRATE, &["--dry-run"]].concat());
    assert_eq!(dry.code, both.code, "{dry} {both}");
    assert_eq!(text(&both).matches(outside).count(), 2, "{both}");
    // A mount shows them as they are.
    host.sh("rm -r /var/lib/docker/volumes/v");
    let mount = [MIGRATE, &["--idmapped"]].concat();
    host.idshift(&[&mount[..], &["--dry-run"]].concat())
        .exits(0);
    host.idshift(&mount).exits(0);
}

#[test]
fn check_knows_users_of_the_store() {
    need_root();
    let host = store_host();
    archive(&host);
    host.docker(&["load", "-i", "/shared/images.tar"]);
    host.docker(&["create", "--name", "one", "-u", "app", "zoo:1"]);
    host.sh("mkdir -m 777 /srv/data");
    // The daemon runs.
    for args in [["--image-user", "odd:1"], ["--container", "one"]] {
        let run = host
            .idshift(&[&["check"], &args[..], &["/srv/data"]].concat())
            .exits(0);
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(text.contains("container user 1234:1235"), "{run}");
    }
    for (args, dir) in [
        (["--image-user", "odd:1"], "/srv/image"),
        (["--container", "one"], "/srv/container"),
    ] {
        let prepare = [&["prepare", "--create"], &args[..], &[dir]].concat();
        host.idshift(&prepare).exits(0);
        let owner = host.sh(&format!("stat -c %u:%g {dir}"));
        assert_eq!(owner, "101234:101235");
    }
    let id = host.docker(&["images", "-q", "--no-trunc", "zoo:1"]);
    let run = host
        .idshift(&["check", "--image-user", &id, "/srv/data"])
        .exits(0);
    let text = String::from_utf8_lossy(&run.stdout);
    assert!(text.contains("container user 33"), "{run}");
    let run = host
        .idshift(&["check", "--image-user", "none:1", "/srv/data"])
        .exits(4);
    assert!(run.stderr.contains("odd:1"), "{run}");
}

#[test]
fn a_store_that_changes_while_it_is_copied_is_refused() {
    need_root();
    let host = store_host();
    host.import_tiny("tiny:1");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh(STOP);
    let copy = [MIGRATE, &["--copy"]].concat();
    let names = || host.sh("ls /var/lib/docker");
    let before = names();
    let cp = "/shared/bin/cp";
    fs::create_dir(host.shared().join("bin")).unwrap();
    let path = "PATH=/shared/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let snapshots = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
    for (change, word) in [
        (
            "touch /var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db",
            "meta.db",
        ),
        (
            &format!("echo 1 > $(ls -d {snapshots}/*/fs | tail -n 1)/new"),
            "/snapshots/",
        ),
    ] {
        host.write(
            cp,
            format!("#!/bin/sh -e\n/usr/bin/cp \"$@\"\nsleep 0.1\n{change}\n"),
        );
        host.sh(&format!("chmod 755 {cp}"));
        let run = host
            .run(&[&["env", path, "idshift"], &copy[..]].concat())
            .exits(4);
        assert!(
            run.stderr.contains("was changed while it was copied"),
            "{run}"
        );
        assert!(run.stderr.contains(word), "{word} in {run}");
        assert_eq!(names(), before, "{change}");
    }
    host.idshift(&copy).exits(0);
}

#[test]
fn two_stores_are_told_apart_or_refused() {
    need_root();
    let host = store_host();
    host.import_tiny("tiny:1");
    // The other one has an image, and not the container.
    host.sh(&format!(
        "{STOP}; mkdir -p /var/lib/docker/containerd; cp -a /var/lib/containerd /shared/other"
    ));
    host.sh("systemctl start containerd");
    host.start_docker();
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh(&format!(
        "{STOP}; cp -a /var/lib/containerd /var/lib/docker/containerd/daemon"
    ));
    all_refuse(
        &host,
        &[
            "/var/lib/containerd",
            "/var/lib/docker/containerd/daemon",
            "Move the other one away",
        ],
    );
    host.sh(
        "truncate -s 100 /var/lib/docker/containerd/daemon/io.containerd.metadata.v1.bolt/meta.db",
    );
    all_refuse(&host, &["/var/lib/docker/containerd/daemon", "meta.db"]);
    host.sh("rm -rf /var/lib/docker/containerd/daemon; cp -a /shared/other /var/lib/docker/containerd/daemon");
    one_that_is_used_no_more_is_refused(&host);
    host.sh("rm -rf /var/lib/docker/containerd/daemon");
    what_a_removal_left_is_named(&host);
    host.sh("cp -a /shared/other /var/lib/docker/containerd/daemon");
    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    host.docker(&["start", "-a", "one"]);
}

/// Each start of a container is written to the containerd that the daemon uses.
fn one_that_is_used_no_more_is_refused(host: &EngineHost) {
    let database = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
    host.sh(&format!(
        "touch -r {database} /shared/time; touch -d 2001-02-03 {database}"
    ));
    all_refuse(host, &["the container one", "the daemon uses another one"]);
    host.sh(&format!("touch -r /shared/time {database}"));
}

/// `docker rm` that was cut short after the snapshots, before the directory.
fn what_a_removal_left_is_named(host: &EngineHost) {
    let id = "ab".repeat(32);
    host.sh(&format!(
        "cd /var/lib/docker/containers; one=$(ls); cp -a $one {id}; cd {id}
         sed -i \"s/$one/{id}/g; s#/one#/ghost#g\" config.v2.json; rm -f $one-json.log"
    ));
    let away = format!("mv /var/lib/docker/containers/{id} /root/");
    all_refuse(
        host,
        &[
            "the container ghost",
            "an interrupted `docker rm`",
            "`docker rm -f ghost`",
            &away,
        ],
    );
    host.sh(&away);
}
