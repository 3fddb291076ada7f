//! What is left of `docker migrate --copy`: nobody's where it was cut short, and else perhaps the only copy.

use std::fs;
use std::process::Command;

use super::copy::cp_and;
use super::volumes::{INNER, Place};
use crate::support::{Idshift, Run, scene};

#[test]
fn what_was_written_to_a_copy_is_named_after_its_rollback() {
    let place = Place::new();
    place.volume("v1");
    fs::create_dir(place.root.join("volumes/v1/_data")).unwrap();
    fs::set_permissions(
        &place.root,
        std::os::unix::fs::PermissionsExt::from_mode(0o710),
    )
    .unwrap();
    // Its metadata names paths in the data-root: the run rewrites it, and its undo does so again.
    let data = place.root.join("volumes/v1/_data");
    place.container(
        "web",
        &[(data.to_str().unwrap(), "/v")],
        serde_json::json!({}),
    );
    let idshift = Idshift::new();
    let copy = place.root.join(format!("idshift-copy-{INNER}"));
    let copied = || place.run(&idshift, "migrate", &["--copy"]);
    copied().exits(0);
    let untouched = idshift.run(["rollback", "latest"]).exits(0);
    let removes = format!("rm -rf {}", copy.display());
    assert!(untouched.stderr.contains(&removes), "{untouched}");
    assert!(!untouched.stderr.contains("nowhere else"), "{untouched}");
    fs::remove_dir_all(&copy).unwrap();

    copied().exits(0);
    fs::write(
        place.root.join(INNER).join("volumes/v1/_data/dump.sql"),
        "precious",
    )
    .unwrap();
    idshift
        .run(["rollback", "latest"])
        .exits(0)
        .says("1 of its files")
        .says(&copy.join("volumes/v1/_data/dump.sql").display().to_string())
        .says("nowhere else");
    let refused = copied().exits(4);
    assert!(!refused.stderr.contains("not needed"), "{refused}");
    assert!(!refused.stderr.contains("rm -rf"), "{refused}");
    assert!(
        refused
            .stderr
            .contains(&format!("mv {} /root/", copy.display())),
        "{refused}"
    );
    let audited = place.audit();
    assert!(audited.text().contains("may be nowhere else"), "{audited}");
}

#[test]
fn a_copy_that_was_cut_short_is_not_needed() {
    let place = Place::new();
    fs::set_permissions(
        &place.root,
        std::os::unix::fs::PermissionsExt::from_mode(0o710),
    )
    .unwrap();
    let idshift = Idshift::new();
    // The program that waits for `cp` is killed.
    let cp = cp_and("kill -9 $PPID");
    let path = format!("{}:{}", cp.path().display(), std::env::var("PATH").unwrap());
    let mut command: Command =
        idshift.command(scene::docker_args("migrate", &place.root, &["--copy"]));
    let killed = Run::of(command.env("PATH", path));
    assert_eq!(killed.signal, Some(9), "{killed}");
    let refused = place.run(&idshift, "migrate", &["--copy"]).exits(4);
    assert!(refused.stderr.contains("is not needed"), "{refused}");
    assert!(refused.stderr.contains("rm -rf"), "{refused}");
}
