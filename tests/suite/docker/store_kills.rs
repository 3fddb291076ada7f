//! A containerd store that is converted, unpacked and copied with a kill before and after system calls that change the
//! disk: undone to the byte, or finished.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::containerd_store::{DAEMON_JSON, SNAPSHOTTER};
use super::store_images::{archive, unread};
use crate::support::docker::{same, snapshot, timeless};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{Idshift, Numbers, Promise, isolation, long, need_root, trace};

const HOW: &str = "kill -9 before and after system calls that change the disk; then resumed, or rolled back with one more kill";

/// A host that is switched off: its dockerd ran a containerd of its own, in the data-root.
pub(super) fn host_with_managed_store() -> EngineHost {
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    let unit = host.path("/etc/systemd/system/containerd.service");
    std::os::unix::fs::symlink("/dev/null", unit).unwrap();
    let alone = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n";
    host.write("/etc/systemd/system/docker.service.d/alone.conf", alone);
    host.boot();
    archive(&host);
    host.import_tiny("tiny:1");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh(
        "ctr -a /run/docker/containerd/containerd.sock -n moby images import --all-platforms --no-unpack /shared/images.tar",
    );
    host.power_off();
    host
}

pub(super) struct Store {
    pub(super) root: PathBuf,
}

impl Store {
    pub(super) fn of(host: &EngineHost) -> Store {
        Store {
            root: host.path("/var/lib/docker"),
        }
    }

    pub(super) fn command(&self, idshift: &Idshift, more: &[&str]) -> Command {
        let root = self.root.to_str().unwrap();
        let args = ["docker", "migrate", "--data-root", root, "--create-user"];
        let nowhere = ["--daemon-json", "/nonexistent/daemon.json"];
        idshift.command([&args[..], &nowhere, more].concat())
    }

    /// Removes what was made before the journal knew what is to be done, if the rollback tells that.
    fn remove_told(&self, rollback: &crate::support::Run) {
        let made = self.root.join("idshift-convert-100000.100000");
        let told = format!("`rm -rf {}` removes it", made.display());
        if rollback.stderr.contains(&told) {
            fs::remove_dir_all(made).unwrap();
        }
    }

    /// All but what a copy that was undone leaves, with the times that removing it changes.
    pub(super) fn state(&self) -> Vec<String> {
        let _ = fs::remove_dir_all(self.root.join("idshift-copy-100000.100000"));
        let lines = unread(&snapshot(&self.root));
        let strip = |line: String| {
            let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
            if value["path"] == "." {
                value.as_object_mut().unwrap().remove("mtime_ns");
            }
            value.to_string()
        };
        lines.into_iter().map(strip).collect()
    }
}

/// What is made has other inodes each time.
pub(super) fn made_anew(lines: &[String]) -> Vec<String> {
    let strip = |line: String| {
        let mut value: serde_json::Value = serde_json::from_str(&line).unwrap();
        let object = value.as_object_mut().unwrap();
        object.remove("ino");
        // The record of an idmapped root has the time of the run.
        let record = "idshift-idmapped-100000.100000/map";
        if object.get("path").is_some_and(|path| path == record) {
            object.remove("sha256");
        }
        value.to_string()
    };
    timeless(lines).into_iter().map(strip).collect()
}

fn killed_anywhere(store: &Store, more: &[&str], text: &'static str) {
    let promise = Promise::new("Docker", text, HOW);
    let learning = Idshift::new();
    let start = store.state();
    let events = trace::count(&store.command(&learning, more));
    let there = made_anew(&store.state());
    let undoing = trace::count(&learning.command(["rollback", "latest"]));
    same(&start, &store.state(), "the first rollback");

    let mut numbers = Numbers::seeded(17);
    let cases = if long() { 120 } else { 8 };
    for case in 0..cases {
        let idshift = Idshift::new();
        let n = numbers.below(events);
        let when = format!("{more:?} killed at event {n} of {events}");
        trace::kill_at(&store.command(&idshift, more), n);
        if idshift.journal_files().is_empty() {
            // Half made, and nobody's: the next run replaces it. A copy is removed as a run says.
            let _ = fs::remove_dir_all(store.root.join("idshift-copy-100000.100000"));
            let again = crate::support::Run::of(&mut store.command(&idshift, more));
            assert_eq!(again.code, Some(0), "{when}: {again}");
            same(&there, &made_anew(&store.state()), &when);
            idshift.run(["rollback", "latest"]).exits(0);
            same(&start, &store.state(), &when);
            continue;
        }
        if case % 2 == 0 && idshift.run(["resume", "latest"]).code == Some(0) {
            same(&there, &made_anew(&store.state()), &when);
        }
        // Where trees that were made are removed, in the end above all.
        let n = undoing.saturating_sub(1 + numbers.below(undoing.min(300)));
        let when = format!("{when}, its rollback at event {n} of {undoing}");
        trace::kill_at(&idshift.command(["rollback", "latest"]), n);
        let undone = idshift.run(["rollback", "latest"]);
        store.remove_told(&undone);
        if undone.code != Some(0) {
            undone.exits(4).says("rolled back already");
        }
        same(&start, &store.state(), &when);
        promise.held();
    }
}

#[test]
fn a_conversion_survives_a_kill_anywhere() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    killed_anywhere(
        &store,
        &[],
        "`docker migrate` of a containerd store, unpacked in part, is finished or undone to the byte",
    );
    killed_anywhere(
        &store,
        &["--copy"],
        "`docker migrate --copy` of a containerd store is finished or undone to the byte",
    );
    if long() {
        killed_anywhere(
            &store,
            &["--idmapped"],
            "`docker migrate --idmapped` of a containerd store is finished or undone to the byte",
        );
    }
}
