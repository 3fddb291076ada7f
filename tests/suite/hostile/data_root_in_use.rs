//! A data-root that others use or can get into is left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use super::data_root::{INNER, PART, docker_run};
use crate::support::hostile::run;
use crate::support::scene::migrate;
use crate::support::trace::{self, Then};
use crate::support::{Idshift, Kind, Promise, Run, docker};

/// A process that works in a directory; ended when dropped.
struct Worker(Child);

impl Worker {
    fn in_directory(dir: &Path) -> Worker {
        let mut sleep = Command::new("sleep");
        let child = sleep.arg("600").current_dir(dir).spawn().unwrap();
        // Until it runs its program it may be anywhere.
        let cwd = format!("/proc/{}/cwd", child.id());
        while !fs::read_link(&cwd).is_ok_and(|at| at == dir) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Worker(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_data_root_in_use_is_changed_by_no_command() {
    let promise = Promise::new(
        PART,
        "A data-root that a process uses is left alone by migrate, revert, resume and rollback; one that is taken into \
         use under a migration is given back as it was",
        "a process that works in it before each of them, and from each of some system calls of a migration on",
    );
    let scene = migrate(Kind::Ext4);
    let top = &scene.top;
    // Where it is at that moment.
    let in_volumes = || {
        let places = [top.join("volumes"), top.join(INNER).join("volumes")];
        let place = places.iter().find(|place| place.is_dir());
        Worker::in_directory(place.unwrap())
    };
    let refused = |run: Run| {
        let run = run.exits(4);
        assert!(run.stderr.contains("in use by process"), "{run}");
        promise.held();
    };
    let idshift = Idshift::new();
    let worker = in_volumes();
    refused(docker_run(&idshift, "migrate", top, &[]));
    scene.is_at_start("in use");
    drop(worker);

    // Killed before its first step, and after its last.
    let events = scene.events();
    assert!(trace::kill_at(&scene.command(&idshift), events / 3));
    let worker = in_volumes();
    refused(run(&idshift, &["resume", "latest"]));
    refused(run(&idshift, &["rollback", "latest"]));
    drop(worker);
    run(&idshift, &["resume", "latest"]).exits(0);
    scene.is_at_end("resumed");
    let worker = in_volumes();
    refused(docker_run(&idshift, "revert", top, &[]));
    refused(run(&idshift, &["rollback", "latest"]));
    scene.is_at_end("in use");
    drop(worker);
    scene.roll_back(&idshift, "no more in use");

    // While it is migrated: before the first owner, and before the last.
    // Those of the steps come after the last look at who uses it.
    let owners = Run::of(&mut scene.command(&idshift))
        .exits(0)
        .count("changed");
    scene.roll_back(&idshift, "counted");
    for n in [1, owners] {
        let (mut at, mut worker) = (0, None);
        let run = trace::run(&scene.command(&idshift), |event| {
            if matches!(event, trace::Event::Before(call) if call.name == "fchownat") {
                at += 1;
                if at == n {
                    worker = Some(in_volumes());
                }
            }
            Then::GoOn
        });
        let when = format!("in use from owner {n} of {owners} on: {run}");
        assert_eq!(run.code, Some(1), "{when}");
        assert!(
            run.text().contains("came into use during the run"),
            "{when}"
        );
        scene.is_at_start(&when);
        drop(worker);
        promise.held();
    }
}

/// `cp` goes by paths: where it is let into another directory, it copies that.
#[test]
fn a_copy_is_made_only_where_nobody_else_can_get_in() {
    let promise = Promise::new(
        PART,
        "`docker migrate --copy` copies only while nobody but root can get into the data-root",
        "data-roots that others, or a group, can search",
    );
    let scene = migrate(Kind::Tmpfs);
    let top = &scene.top;
    let idshift = Idshift::new();
    let own = |gid: u32, mode: u32| {
        std::os::unix::fs::chown(top, Some(0), Some(gid)).unwrap();
        fs::set_permissions(top, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (gid, mode) in [(0, 0o711), (33, 0o710), (0, 0o755)] {
        own(gid, mode);
        let start = docker::snapshot(top);
        for more in [&["--copy"][..], &["--copy", "--dry-run"]] {
            let refused = docker_run(&idshift, "migrate", top, more).exits(4);
            assert!(refused.stderr.contains("chmod 0710"), "{refused}");
        }
        docker::same(&start, &docker::snapshot(top), "refused");
        promise.held();
    }
    for (gid, mode) in [(0, 0o710), (33, 0o700)] {
        own(gid, mode);
        docker_run(&idshift, "migrate", top, &["--copy"]).exits(0);
        run(&idshift, &["rollback", "latest"]).exits(0);
        fs::remove_dir_all(top.join("idshift-copy-100000.100000")).unwrap();
        promise.held();
    }
}
