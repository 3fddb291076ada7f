//! `docker audit --rate` on a live host, by the clock: it can take longer, never less.

use std::fs;
use std::time::{Duration, Instant};

use super::handmade_root::Root;
use super::volumes::Place;
use crate::support::Idshift;
use crate::support::Run;

#[test]
fn each_look_of_an_audit_keeps_to_the_rate() {
    let root = Root::new();
    // One look is at what would be shifted; the other, at what a mount would show, passes over layers without ids of the range.
    for dir in 0..60 {
        let place = if dir < 30 {
            "overlay2/layer/diff"
        } else {
            "backup"
        };
        let dir = root.make(&format!("{place}/{dir}"));
        for n in 0..20 {
            fs::write(dir.join(n.to_string()), "").unwrap();
        }
    }
    let top = root.dir.path().to_str().unwrap();
    let mut audit = std::process::Command::new(Idshift::program());
    audit.args([
        "docker",
        "audit",
        "--daemon-json",
        "/nonexistent",
        "--rate",
        "400",
    ]);
    let start = Instant::now();
    let run = Run::of(audit.args(["--data-root", top]));
    let took = start.elapsed();
    assert!(run.stdout.starts_with(b"Ready"), "{run}");
    // 1.5 s each, and the last groups are not waited for.
    assert!(took >= Duration::from_millis(2600), "{took:?}");
}

/// Owners of what containers bind are counted at this rate, too, in an audit and in a migration.
#[test]
fn what_containers_bind_is_looked_at_as_slowly() {
    let place = Place::new();
    let bound = place.data(&place.beside("bound"));
    for n in 0..600 {
        fs::write(bound.join(n.to_string()), "").unwrap();
    }
    place.container(
        "web",
        &[(bound.to_str().unwrap(), "/in")],
        serde_json::json!({}),
    );
    let idshift = Idshift::new();
    // So slow that a busy machine is faster.
    let rate = ["--rate", "100"];
    let dry_run = [&rate[..], &["--bind-mounts", "--dry-run"]].concat();
    for (command, more) in [("audit", &rate[..]), ("migrate", &dry_run[..])] {
        let start = Instant::now();
        place.run(&idshift, command, more);
        let took = start.elapsed();
        // 6 s, and the last group is not waited for.
        assert!(took >= Duration::from_millis(5200), "{command}: {took:?}");
    }
}
