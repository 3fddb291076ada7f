//! A container without remapping gives a file another owner: on disk, that is an id of the range. The way out is told.

use std::os::unix::fs::MetadataExt;

use super::{content, idmapped_host};
use crate::support::docker::*;
use crate::support::need_root;

#[test]
fn what_a_container_of_the_host_gave_away_is_named_with_the_way_out() {
    need_root();
    let (host, idshift) = idmapped_host();
    let remapped = host.start(REMAPPED);
    let run = |more: &[&str], what: &str| {
        let args = ["run", "--rm", "--network=none", "-v", "shared:/shared"];
        let args = [&args[..], more, &["tiny:1", "sh", "-c", what]].concat();
        remapped.docker(&args);
    };
    run(
        &[],
        "touch /shared/given /shared/own; busybox chown 33:33 /shared/own",
    );
    run(&["--userns=host"], "busybox chown 33:33 /shared/given");
    remapped.stop();
    let disk = |top: &std::path::Path, name: &str| {
        let found = top
            .join("volumes/shared/_data")
            .join(name)
            .metadata()
            .unwrap();
        (found.uid(), found.gid())
    };
    let before = content(&host);
    assert_eq!(disk(&before, "given"), (100_033, 100_033));
    assert_eq!(disk(&before, "own"), (33, 33));
    for more in [&["--dry-run"][..], &[]] {
        let run = revert(&idshift, &host, more);
        assert!(matches!(run.code, Some(1 | 3)), "{run}");
        let told = format!("{run}");
        for word in [
            "volumes/shared/_data/given",
            "100033",
            "`idshift docker revert --undated give-back`",
        ] {
            assert!(told.contains(word), "{word} in {told}");
        }
        assert!(!told.contains("_data/own"), "{told}");
    }
    revert(&idshift, &host, &["--undated", "give-back"]).exits(0);
    for name in ["given", "own"] {
        assert_eq!(disk(&host.data_root, name), (33, 33), "{name}");
    }
}
