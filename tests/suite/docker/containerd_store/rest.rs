//! What a conversion by rename leaves of a store is none that a daemon can start containers of.

use super::{host_with_store, seen};
use crate::docker::store_images::{MIGRATE, STOP};
use crate::support::need_root;

#[test]
fn the_rest_of_a_converted_store_is_no_whole_one() {
    need_root();
    let host = host_with_store();
    host.docker(&[
        "run", "--name", "one", "-v", "data:/d", "tiny:1", "touch", "/d/f",
    ]);
    host.sh(STOP);
    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    host.docker(&["rm", "-f", "one"]);
    host.docker(&["rmi", "-f", "tiny:1"]);
    host.sh(STOP);

    // The images are in containerd, and none of them has its files.
    let run = host.idshift(&["docker", "revert", "--write-daemon-json"]);
    let run = run.exits(0);
    assert!(!run.stderr.contains("finds its containerd"), "{run}");
    assert!(host.path("/var/lib/docker/overlay2").is_dir());
    // Converted once more, they are unpacked from their blobs.
    host.idshift(MIGRATE).exits(0);
    host.start_docker();
    let [images, containers, volumes] = seen(&host);
    assert_eq!([&images[..], &containers, &volumes], ["tiny:1", "", "data"]);
    let ran = host.docker(&["run", "--rm", "-v", "data:/d", "tiny:1", "ls", "/d"]);
    assert_eq!(ran, "f");

    // Where the layers are in overlay2, the store is not needed.
    host.sh(STOP);
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);
    let audit = host.idshift(&["docker", "audit"]).exits(0);
    let text = audit.text();
    for words in [
        "the rest of a store that was converted",
        "rm -rf /var/lib/containerd/*",
    ] {
        assert!(text.contains(words), "{words:?} in {audit}");
    }
    assert!(!text.contains("they are not migrated"), "{audit}");
}
