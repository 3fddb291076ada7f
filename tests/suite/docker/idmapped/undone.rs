//! What is in the way of a rollback is told before anything is undone, with what helps.

use std::fs;
use std::path::Path;

use super::{HOLDER, INNER, content, idmapped_host, tiny_host};
use crate::support::docker::*;
use crate::support::mounted::Mounted;
use crate::support::{Idshift, Run};

const ROLLBACK: [&str; 2] = ["rollback", "latest"];

/// Nothing is undone, forced or not, and `umount` helps.
fn is_refused_for_what_is_mounted(idshift: &Idshift, at: &Path) {
    for more in [&[][..], &["--dry-run"], &["--force"]] {
        let run = idshift.run([&ROLLBACK[..], more].concat()).exits(4);
        let at = at.display();
        let run = run.says(&format!("{at} is mounted below it: `umount {at}` first"));
        assert!(!run.stderr.contains("--force"), "{run}");
    }
    let listed = idshift.run(["journal", "list", "--json"]).exits(0).text();
    assert!(listed.contains("\"finished\""), "{listed}");
}

/// A disk of its own for the volumes, put back before the daemon is started.
#[test]
fn nothing_is_unmounted_while_something_is_mounted_below() {
    let (host, idshift) = tiny_host();
    let start = snapshot(&host.data_root);
    let point = host.data_root.join(INNER);
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let volumes = point.join("volumes");
    let mounted = Mounted::new("tmpfs", "size=1m", &volumes);
    is_refused_for_what_is_mounted(&idshift, &volumes);
    assert!(point.join("containers").is_dir());
    drop(mounted);
    idshift.rollback().exits(0);
    same(&start, &snapshot(&host.data_root), "undone");
    // Nor is it hidden by what is mounted again.
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let there = timeless(&snapshot(&host.data_root));
    migrate(&idshift, &host, &[]).exits(0);
    let mounted = Mounted::new("tmpfs", "size=1m", &volumes);
    is_refused_for_what_is_mounted(&idshift, &volumes);
    assert!(!host.data_root.join(HOLDER).exists());
    drop(mounted);
    idshift.rollback().exits(0);
    let holder = |line: &String| line.contains(HOLDER) && line.contains("\"ino\"");
    let without = |mut lines: Vec<String>| {
        lines.retain(|line| !holder(line) || line.contains("/content/"));
        lines
    };
    let now = timeless(&snapshot(&host.data_root));
    same(&without(there), &without(now), "mounted again");
}

/// The daemon was started while it was still told to remap, and made a root of its own.
#[test]
fn what_a_daemon_made_at_the_mount_point_is_in_the_way_of_the_mount() {
    let (host, idshift) = idmapped_host();
    revert(&idshift, &host, &[]).exits(0);
    host.start(REMAPPED).stop();
    let point = host.data_root.join(INNER);
    let made = || fs::read_dir(&point).unwrap().count();
    assert!(made() > 3, "a root of its own");
    for more in [&[][..], &["--dry-run"], &["--force"]] {
        let run: Run = idshift.run([&ROLLBACK[..], more].concat()).exits(4);
        let run = run.says("something new is in its old place");
        let run = run.says("Move the new files to another place");
        assert!(!run.stderr.contains("--force"), "{run}");
        assert!(!content(&host).exists() && made() > 3, "{run}");
    }
    fs::rename(&point, host.beside().join("kept")).unwrap();
    idshift.rollback().exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
}

/// What takes along what the plain daemon made remaps by a mount again.
#[test]
fn the_way_forward_of_an_idmapped_root_is_by_a_mount() {
    let (host, idshift) = idmapped_host();
    revert(&idshift, &host, &[]).exits(0);
    host.start(&[]).stop();
    let run = idshift.run(ROLLBACK).exits(4);
    run.says("`idshift docker migrate --idmapped` takes its new data along");
}
