//! A rollback gives every directory its modification time back.

use crate::support::PYTHON;
use std::path::Path;

use crate::support::docker::*;
use crate::support::scene;
use crate::support::{Idshift, Kind, Run, need_root, output, script, trace};
use serde_json::Value;

/// Modification times of every directory of a tree, by path.
fn directory_times(top: &Path) -> Vec<String> {
    let out = output(PYTHON, [script("snapshot.py").as_path(), top]).stdout;
    String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|value| value["type"] == "directory")
        .map(|value| format!("{} {}", value["path"], value["mtime_ns"]))
        .collect()
}

#[test]
fn a_rollback_gives_every_directory_its_time_back() {
    need_root();
    for kind in [Kind::Ext4, Kind::Xfs] {
        let scene = scene::migrate(kind);
        let start = directory_times(&scene.top);
        let idshift = Idshift::new();
        Run::of(&mut scene.command(&idshift)).exits(0);
        assert_ne!(start, directory_times(&scene.top));
        idshift.rollback();
        same(&start, &directory_times(&scene.top), "migrate, rolled back");

        // Out of the range, killed at its end.
        Run::of(&mut scene.command(&Idshift::new())).exits(0);
        let inside = directory_times(&scene.top);
        let args = scene::docker_args("revert", &scene.top, &[]);
        let idshift = Idshift::new();
        let events = trace::count(&idshift.command(&args));
        idshift.rollback();
        same(&inside, &directory_times(&scene.top), "revert, rolled back");
        // Not every run has as many events: the journal's writes are what happened to come together.
        let mut killed = false;
        for before_end in (6..40).step_by(4) {
            let idshift = Idshift::new();
            killed = trace::kill_at(&idshift.command(&args), events - before_end);
            idshift.rollback();
            if killed {
                break;
            }
        }
        assert!(killed, "{events} events");
        same(&inside, &directory_times(&scene.top), "revert, killed");
    }
}

#[test]
fn rollback_of_prepare_restores_directory_times() {
    need_root();
    let scene = scene::prepare(Kind::Ext4);
    let start = directory_times(&scene.top);
    let idshift = Idshift::new();
    Run::of(&mut scene.command(&idshift)).exits(0);
    idshift.rollback();
    same(&start, &directory_times(&scene.top), "prepare, rolled back");
}
