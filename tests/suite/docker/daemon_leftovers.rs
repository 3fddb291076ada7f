//! What a daemon makes in a data-root whose migration was killed: it stops neither resume nor rollback, and is kept. The
//! daemon is one made by hand.

use std::fs;
use std::path::Path;

use crate::support::docker::*;
use crate::support::scene::{self, Scene};
use crate::support::{Idshift, Kind, Promise, TestFs, data_root, long, need_root, output, trace};

/// What a daemon makes that is kept from starting, or that somebody let start by removing the guard.
pub fn make_daemon_things(root: &Path, all: bool) {
    let _ = fs::remove_dir_all(root.join("tmp"));
    fs::create_dir_all(root.join("tmp")).unwrap();
    if !all {
        return;
    }
    for below in [
        "buildkit/content",
        "containerd/daemon",
        "image/overlay2/layerdb",
        "network/files",
        "overlay2/l",
        "plugins/storage",
        "runtimes",
        "swarm",
        "trust",
        "volumes",
    ] {
        let _ = fs::create_dir_all(root.join(below));
    }
    let _ = fs::write(root.join("network/files/local-kv.db"), "new");
    let containers = root.join("containers");
    if containers.is_file() {
        fs::remove_file(&containers).unwrap();
    }
    fs::create_dir_all(containers.join("new")).unwrap();
    fs::create_dir_all(root.join("volumes/made-between/_data")).unwrap();
    fs::write(root.join("volumes/made-between/_data/kept"), "kept").unwrap();
}

/// Whether what was made is somewhere below.
pub fn keeps(top: &Path) -> bool {
    let found = output(
        "find",
        [
            top.as_os_str(),
            "-path".as_ref(),
            "*made-between/_data/kept".as_ref(),
        ],
    );
    !found.stdout.is_empty()
}

fn end(scene: &Scene, idshift: &Idshift, first: &str, when: &str) {
    let mut told = String::new();
    let ways: [&str; 2] = match first {
        "resume" => ["resume", "rollback"],
        _ => ["rollback", "resume"],
    };
    for what in ways {
        let run = idshift.run([what, "latest"]);
        told += &run.to_string();
        match run.code {
            Some(0) => return,
            Some(4) => {}
            _ => break,
        }
    }
    panic!("{}, {when}: {told}", scene.name);
}

#[test]
fn what_daemons_make_at_each_start_is_in_nobodys_way() {
    need_root();
    let promise = Promise::new(
        "Docker",
        "What a daemon that could not start leaves behind stops neither resume nor rollback",
        "kill -9 at system calls that change the disk; `tmp` recreated in the plain and in the remapped root; resumed, \
         or rolled back to the byte",
    );
    let mut scene = scene::migrate(Kind::Ext4);
    let events = scene.events();
    let step = if long() { 1 } else { 17 };
    for (case, n) in (0..events).step_by(step).enumerate() {
        let idshift = Idshift::new();
        let when = format!("killed at event {n} of {events}");
        if !trace::kill_at(&scene.command(&idshift), n) || idshift.journal_files().is_empty() {
            idshift
                .journal_files()
                .is_empty()
                .then_some(())
                .map_or_else(
                    || scene.roll_back(&idshift, &when),
                    |()| scene.is_at_start(&when),
                );
            continue;
        }
        let inner = scene.top.join("100000.100000");
        let is_guarded = scene.top.join("containers").is_file();
        if is_guarded {
            make_daemon_things(&scene.top, false);
        }
        if inner.join("containers").is_file() {
            make_daemon_things(&inner, false);
        }
        let is_new = ["tmp", "idshift-aside-between"];
        let strip = |lines: Vec<String>| -> Vec<String> {
            lines
                .into_iter()
                .filter(|line| {
                    !is_new
                        .iter()
                        .any(|name| line.contains(&format!("{name}\"")))
                })
                .collect()
        };
        let first = if case % 2 == 0 { "resume" } else { "rollback" };
        end(&scene, &idshift, first, &when);
        let now = strip(timeless(&snapshot(&scene.top)));
        let states = [scene.start(), scene.end()].map(|lines| strip(lines.to_vec()));
        assert!(
            states.contains(&now),
            "{when}, {first}: neither start nor end"
        );
        if now == states[1] {
            let run = idshift.run(["rollback", "latest"]);
            if run.code == Some(4) {
                // A daemon may have been running since, for all that is known.
                run.says("idshift docker revert");
                scene = scene::migrate(Kind::Ext4);
                continue;
            }
        }
        same(&states[0], &strip(timeless(&snapshot(&scene.top))), &when);
        promise.held();
    }
}

/// What a daemon and its containers do to what a run lists: inodes are made anew, another is given away, one goes, and
/// the metadata of a container is written.
fn use_listed(top: &Path, owner: u32) {
    fs::remove_dir(top.join("tmp")).unwrap();
    fs::create_dir(top.join("tmp")).unwrap();
    let config = top.join("containers/4567/config.v2.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "\n").unwrap();
    let diff = top.join("overlay2/0123/diff");
    let plain = diff.join("plain");
    let text = fs::read(&plain).unwrap();
    fs::rename(&plain, diff.join("kept")).unwrap();
    fs::write(&plain, text).unwrap();
    std::os::unix::fs::chown(diff.join("setuid"), Some(owner), Some(owner)).unwrap();
    fs::remove_file(diff.join("passing")).unwrap();
}

#[test]
fn a_run_cut_short_while_listing_is_closed() {
    need_root();
    let test_fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&test_fs.path().join("docker"));
    let diff = top.join("overlay2/0123/diff");
    let mut listed = 0;
    for n in 0..1000 {
        fs::write(diff.join("passing"), "").unwrap();
        let idshift = Idshift::new();
        let command = idshift.command(scene::docker_args("migrate", &top, &[]));
        assert!(trace::kill_at(&command, n));
        if idshift.journal_files().is_empty() {
            continue;
        }
        use_listed(&top, 4321 + n as u32);
        let used = timeless(&snapshot(&top));
        let resumed = idshift.run(["resume", "latest"]).exits(4);
        if !resumed.stderr.contains("before its journal was complete") {
            assert!(listed > 0, "no journal named an inode");
            return;
        }
        let dry = idshift.run(["rollback", "--dry-run", "latest"]).exits(0);
        let undone = idshift.run(["rollback", "latest"]).exits(0);
        for run in [dry, undone] {
            let text = run.text();
            listed += u64::from(!text.contains("of 0 inodes"));
            assert!(!text.contains("Left as they were"), "{n}: {run}");
        }
        let when = format!("killed at event {n}, used, rolled back");
        same(&used, &timeless(&snapshot(&top)), &when);
    }
    panic!("no kill came after the list");
}

#[test]
fn a_guard_that_somebody_removed_loses_nothing() {
    need_root();
    for first in ["resume", "rollback"] {
        let scene = scene::migrate(Kind::Ext4);
        let idshift = Idshift::new();
        // Somewhere after the first change and before the last.
        let events = scene.events();
        let n = (0..events)
            .rev()
            .find(|n| {
                let one = Idshift::new();
                trace::kill_at(&scene.command(&one), *n);
                let is_half = scene.top.join("idshift-moving-100000.100000").is_dir();
                scene.roll_back(&one, "looking");
                is_half
            })
            .unwrap();
        assert!(trace::kill_at(&scene.command(&idshift), n - 4));
        make_daemon_things(&scene.top, true);
        assert!(keeps(&scene.top));
        end(&scene, &idshift, first, "a guard removed");
        assert!(keeps(&scene.top), "{first}: what was made between is gone");
        let data = match first {
            "resume" => scene.top.join("100000.100000"),
            _ => scene.top.clone(),
        };
        assert!(data.join("containers/4567/config.v2.json").is_file());
        assert!(data.join("overlay2/0123/diff").is_dir());
        assert!(data.join("volumes/named").is_dir());
    }
}
