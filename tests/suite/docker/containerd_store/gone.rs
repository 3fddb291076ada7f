//! The rest of a store was removed, as the end of a conversion says: a rollback tears nothing apart, and a revert works.

use super::{host_with_store, seen};
use crate::docker::store_images::{MIGRATE, STOP};
use crate::support::docker::{same, snapshot};
use crate::support::need_root;

#[test]
fn without_the_store_a_rollback_changes_nothing() {
    need_root();
    let host = host_with_store();
    host.docker(&[
        "run", "--name", "one", "-v", "data:/d", "tiny:1", "touch", "/d/f",
    ]);
    let there = seen(&host);
    host.sh(STOP);
    let run = host.idshift(MIGRATE).exits(0);
    assert!(run.stderr.contains("rm -rf /var/lib/containerd/*"), "{run}");
    host.sh("rm -rf /var/lib/containerd/*");
    let top = host.path("/var/lib/docker");
    let before = snapshot(&top);
    for more in [&["--dry-run"][..], &[], &["--force"]] {
        let run = host.idshift(&[&["rollback", "latest"], more].concat());
        let run = run.exits(4);
        for word in [
            "the directory that it was in is gone",
            "`idshift docker revert` goes back",
        ] {
            assert!(run.stderr.contains(word), "{word} in {run}");
        }
    }
    same(&before, &snapshot(&top), "a rollback was refused");
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);
    host.start_docker();
    assert_eq!(seen(&host), there);
    host.docker(&["start", "-a", "one"]);
}
