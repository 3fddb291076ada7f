//! What the audit of a containerd store, the dry run and the run say of the same store is the same.

use std::fs;

use super::store_images::{MIGRATE, STOP, disk, same_disk, store_host};
use crate::support::engine_host::EngineHost;
use crate::support::{Run, need_root};

const SNAPSHOTS: &str = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots";
const BLOBS: &str = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";

fn store_with_a_container() -> EngineHost {
    let host = store_host();
    host.import_tiny("tiny:1");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh(STOP);
    host
}

/// What JSON says of the store.
fn store_of(run: &Run) -> serde_json::Value {
    let value: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    value["containerd_store"].clone()
}

#[test]
fn a_quick_audit_says_what_it_did_not_read() {
    need_root();
    let host = store_with_a_container();
    let audit = host.idshift(&["docker", "audit"]).exits(0);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(text.contains("all layers were read"), "{audit}");
    let largest = host.sh(&format!("ls -S {BLOBS} | head -1"));
    let blob = host.path(&format!("{BLOBS}/{largest}"));
    let mut bytes = fs::read(&blob).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blob, bytes).unwrap();
    let before = disk(&host);
    let quick = host.idshift(&["docker", "audit", "--quick"]).exits(0);
    let text = String::from_utf8_lossy(&quick.stdout).into_owned();
    assert!(text.contains("Ready, with warnings"), "{quick}");
    assert!(text.contains("the layers were not read"), "{quick}");
    super::store_refusals::all_refuse(&host, &[&largest]);
    same_disk(&host, &before, "audited");
}

#[test]
fn changed_files_of_layers_are_told_before_and_after() {
    need_root();
    let host = store_with_a_container();
    // The files of the image; those of the container are in others.
    let layer = host.sh(&format!("ls -d {SNAPSHOTS}/*/fs/bin | head -1"));
    let changed = format!("{layer}/busybox");
    host.sh(&format!("echo '#' >> {changed}"));
    let told =
        format!("1 file in layers differed from the image or was gone, the first is {changed}");
    let dry_run = [MIGRATE, &["--dry-run"]].concat();
    for args in [&["docker", "audit"][..], &dry_run] {
        let run = host.idshift(args).exits(0);
        let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        assert!(text.contains(&told), "{told} in {run}");
        let run = host.idshift(&[args, &["--json"]].concat()).exits(0);
        assert_eq!(
            store_of(&run)["changed_files"],
            serde_json::json!([changed])
        );
    }
    let run = host.idshift(&[MIGRATE, &["--json"]].concat()).exits(0);
    assert!(run.stderr.contains(&told), "{run}");
    let store = store_of(&run);
    assert_eq!(store["changed_files"], serde_json::json!([changed]));
    assert_eq!(store["images"], 1);
}
