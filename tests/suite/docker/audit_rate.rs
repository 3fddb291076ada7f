//! `docker audit --rate` on a live host, by the clock: it can take longer, never less.

use std::fs;
use std::time::{Duration, Instant};

use super::audit::Root;
use crate::support::Idshift;
use crate::support::Run;

#[test]
fn each_look_of_an_audit_keeps_to_the_rate() {
    let root = Root::new();
    for dir in 0..30 {
        let dir = root.make(&format!("overlay2/layer/diff/{dir}"));
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
    // The plan by changed owners, then what a mount would show: 1.5 s each, and the last groups are not waited for.
    assert!(took >= Duration::from_millis(2600), "{took:?}");
}
