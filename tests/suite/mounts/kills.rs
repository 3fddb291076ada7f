//! Killed at any moment, `idshift mount` leaves its mount or none.

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use crate::support::mounts::{mount, mounted_at, owner, umount};
use crate::support::{Idshift, Kind, MAP, Promise, TestFs, long};

#[test]
fn a_killed_command_leaves_the_mount_or_nothing() {
    let promise = Promise::new(
        "Crash",
        "`idshift mount` leaves its mount or none",
        "killed at moments spread over its run",
    );
    let fs = TestFs::new(Kind::Ext4);
    let dir = fs.path().join("data");
    fs::create_dir(&dir).unwrap();
    let idshift = Idshift::new();
    let start = Instant::now();
    mount(&dir, &[]).exits(0);
    let whole = start.elapsed();
    umount(&dir, &[]).exits(0);
    let moments = if long() { 400 } else { 40 };
    let (mut with, mut without) = (0, 0);
    for moment in 0..moments {
        let mut command = idshift.command(["mount", "--map", MAP, "--allow-home"]);
        let mut child = command
            .arg(&dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(whole * 3 * moment / (2 * moments));
        let _ = child.kill();
        child.wait().unwrap();
        match &mounted_at(&dir)[..] {
            [] => without += 1,
            [options] => {
                with += 1;
                assert!(options.contains("idmapped"), "{options}");
                assert_eq!(owner(&dir), (100_000, 100_000));
                umount(&dir, &[]).exits(0);
            }
            more => panic!("{more:?}"),
        }
        assert_eq!(owner(&dir), (0, 0));
        promise.held();
    }
    println!("{with} were killed with the mount, {without} without");
    assert!(
        with > 0 && without > 0,
        "moments on both sides: {with}, {without}"
    );
}
