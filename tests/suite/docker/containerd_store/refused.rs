//! What is not carried is refused before a change, and what to do is said.

use std::fs;
use std::path::Path;

use super::{DAEMON_JSON, REMAPPED, host_with_store, seen};
use crate::support::docker::{same, snapshot};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::need_root;

/// Audit, dry run and run: none goes on, and each says what to do.
fn all_refuse(host: &EngineHost, what: &str, words: &[&str]) {
    let before = snapshot(&host.path("/var/lib/docker"));
    let commands: &[&[&str]] = match what {
        "migrate" => &[
            &["docker", "audit"],
            &["docker", "migrate", "--dry-run"],
            &["docker", "migrate"],
        ],
        _ => &[
            &["docker", "revert", "--dry-run"],
            &["docker", "revert", "--write-daemon-json"],
        ],
    };
    for command in commands {
        let run = host.idshift(command).exits(4);
        let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        for word in words {
            assert!(text.contains(word), "{word} in {run}");
        }
    }
    same(&before, &snapshot(&host.path("/var/lib/docker")), "refused");
}

#[test]
fn an_uncarriable_store_is_refused_before_a_change() {
    need_root();
    let host = host_with_store();
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh("systemctl stop docker.socket docker containerd");
    let content = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";
    let meta = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
    let layer = host.sh(&format!("ls -S {content} | head -1"));
    let (layer, meta) = (host.path(&format!("{content}/{layer}")), host.path(meta));
    let migrate = ["docker", "migrate", "--write-daemon-json"];
    let refused = |word: &str| {
        let before = ["/var/lib/docker", "/var/lib/containerd"].map(|it| snapshot(&host.path(it)));
        let dry_run = [&migrate[..], &["--dry-run"]].concat();
        for args in [&migrate[..], &dry_run, &["docker", "audit"]] {
            let run = host.idshift(args).exits(4);
            let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
            assert!(told.contains(word), "{word} in {run}");
        }
        for (n, top) in ["/var/lib/docker", "/var/lib/containerd"]
            .iter()
            .enumerate()
        {
            same(&before[n], &snapshot(&host.path(top)), word);
        }
    };
    let change = |path: &Path, with: &dyn Fn(&mut Vec<u8>)| {
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        with(&mut bytes);
        fs::write(path, bytes).unwrap();
        before
    };
    // The content is not what its digest says: in the middle, and at the end.
    for at in [2, 1] {
        let good = change(&layer, &|bytes| {
            let at = bytes.len() / at - 1;
            bytes[at] ^= 1;
        });
        refused(layer.file_name().unwrap().to_str().unwrap());
        fs::write(&layer, good).unwrap();
    }
    let good = change(&layer, &Vec::clear);
    refused(layer.file_name().unwrap().to_str().unwrap());
    fs::remove_file(&layer).unwrap();
    refused("docker pull");
    fs::write(&layer, good).unwrap();

    let good = change(&meta, &|bytes| bytes[..80].fill(0));
    // The other meta page is whole, and may be older.
    let run = host.idshift(&[&migrate[..], &["--dry-run"]].concat());
    assert!(matches!(run.code, Some(0 | 4)), "{run}");
    fs::write(&meta, &good).unwrap();
    change(&meta, &|bytes| bytes.truncate(bytes.len() / 16));
    refused("meta.db");
    fs::write(&meta, &good).unwrap();
    host.idshift(&migrate).exits(0);
}

/// With a storage driver's images beside the store.
#[test]
fn a_storage_driver_beside_the_store_is_refused() {
    need_root();
    let host = host_with_store();
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/f"]);
    host.sh("systemctl stop docker.socket docker");
    host.write(DAEMON_JSON, "{}");
    host.start_docker();
    host.import_tiny("graph:1");
    host.sh("systemctl stop docker.socket docker");
    all_refuse(&host, "migrate", &["container one", "docker save"]);
}

#[test]
fn revert_loses_nothing_docker_26_has_in_containerd() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, REMAPPED);
    host.boot();
    host.import_tiny("tiny:1");
    host.stop_docker();
    all_refuse(&host, "revert", &["its images", "docker save"]);
    host.start_docker();
    host.docker(&[
        "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
    ]);
    let there = seen(&host);
    host.stop_docker();
    all_refuse(&host, "revert", &["container one", "docker save"]);
    host.start_docker();
    assert_eq!(seen(&host), there);
}
