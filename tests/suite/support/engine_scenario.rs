//! One scenario for every engine and image store: a host with one of everything goes into userns-remap, is used there,
//! and comes back. Nothing is lost, and what can be undone is undone to the byte.
//!
//! Three shell scripts in `engine/` do what an operator does: `populate.sh` fills an engine, `see.sh` prints what a user
//! sees of it, `use.sh` uses all that, and makes new things.

use std::collections::BTreeSet;
use std::time::Instant;

use super::docker::{same, snapshot};
use super::engine_host::{EngineHost, Release};
use super::{Run, script};

const DATA_ROOT: &str = "/var/lib/docker";
const INNER: &str = "100000.100000";
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Where the plain daemon keeps images and container files. A remapped one keeps them in overlay2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The graph driver.
    Overlay2,
    /// containerd's image store, by `features.containerd-snapshotter`.
    Containerd,
}

impl Store {
    fn daemon_json(self) -> &'static str {
        match self {
            Store::Overlay2 => r#"{"log-level": "info"}"#,
            Store::Containerd => {
                r#"{"log-level": "info", "features": {"containerd-snapshotter": true}}"#
            }
        }
    }

    /// A line of `see.sh` as it is on the other side.
    fn carried(self, line: &str) -> Option<String> {
        match self {
            Store::Overlay2 => Some(line.into()),
            // Images get other ids: a graph driver names them by their configuration.
            Store::Containerd if line.starts_with("image ") || line.starts_with("save ") => None,
            Store::Containerd => Some(without_image_ids(line)),
        }
    }
}

/// A container's line without what names the store.
fn without_image_ids(line: &str) -> String {
    let mut parts = line.splitn(3, ' ');
    let (kind, name, json) = (parts.next(), parts.next(), parts.next());
    let (Some("container"), Some(name), Some(json)) = (kind, name, json) else {
        return line.into();
    };
    let mut value: serde_json::Value = serde_json::from_str(json).expect("JSON of see.sh");
    let object = value.as_object_mut().unwrap();
    // `Storage` is Docker 29's.
    for key in [
        "Image",
        "ImageManifestDescriptor",
        "GraphDriver",
        "Driver",
        "Storage",
    ] {
        object.shift_remove(key);
    }
    format!("container {name} {value}")
}

/// Containers that `--set-userns-host` marks.
const MARKED: [&str; 4] = ["/privileged", "/host-pid", "/host-net", "/host-ipc"];

/// A line as it is when they are marked.
fn marked(line: &str) -> String {
    let is_marked = |name: &&str| line.starts_with(&format!("container {name} "));
    match MARKED.iter().any(is_marked) {
        true => line.replace(r#""UsernsMode":"""#, r#""UsernsMode":"host""#),
        false => line.into(),
    }
}

/// A host in the scenario.
pub struct Scenario {
    pub host: EngineHost,
    release: Release,
    store: Store,
    began: Instant,
}

impl Scenario {
    /// A host that runs, with nothing in its engine yet.
    pub fn new(release: Release, store: Store) -> Scenario {
        Scenario::with(release, store, store.daemon_json())
    }

    /// The same; its daemon is remapped from the start.
    pub fn remapped(release: Release) -> Scenario {
        Scenario::with(release, Store::Overlay2, r#"{"userns-remap": "default"}"#)
    }

    fn with(release: Release, store: Store, daemon_json: &str) -> Scenario {
        let began = Instant::now();
        let mut host = EngineHost::off(release);
        host.write(DAEMON_JSON, daemon_json);
        for name in ["populate.sh", "see.sh", "use.sh"] {
            let text = std::fs::read(script("engine").join(name)).unwrap();
            host.write(&format!("/shared/{name}"), text);
        }
        host.boot();
        Scenario {
            host,
            release,
            store,
            began,
        }
    }

    /// How long each part takes, with `--nocapture`.
    fn done(&self, what: &str) {
        let seconds = self.began.elapsed().as_secs_f32();
        println!(
            "{:?} {:?} {seconds:5.1} s: {what}",
            self.release, self.store
        );
    }

    /// One of the scripts, which must work; what it prints.
    fn script(&self, name: &str, args: &[&str]) -> String {
        let path = format!("/shared/{name}");
        let run = self.host.run(&[&["bash", &path], args].concat());
        let log = || self.host.engine_log();
        assert_eq!(
            run.code,
            Some(0),
            "{:?} {name}: {run}\n{}",
            self.release,
            log()
        );
        String::from_utf8_lossy(&run.stdout).into_owned()
    }

    /// Fills the engine. `mark` for a daemon that is remapped already.
    pub fn populate(&self, mark: &[&str]) {
        self.script("populate.sh", mark);
        self.done("populated");
    }

    fn see(&self, remapped: bool) -> BTreeSet<String> {
        let root = match remapped {
            true => format!("{DATA_ROOT}/{INNER}"),
            false => DATA_ROOT.into(),
        };
        let seen = self.script("see.sh", &[&root]);
        let lines: BTreeSet<String> = seen.lines().map(String::from).collect();
        // What the layers of an image must sum up to is what is saved; containerd saves them compressed.
        let saves_tars = self.host.docker(&["info", "-f", "{{.Driver}}"]) == "overlay2";
        let layers = lines.iter().filter(|line| line.starts_with("diffid "));
        for layer in layers.filter(|_| saves_tars) {
            let saved = layer.replace("diffid ", "save ");
            assert!(
                lines.contains(&saved),
                "{:?}: {layer} is not saved",
                self.release
            );
        }
        self.done("seen");
        lines
    }

    fn migrate(&self, more: &[&str]) -> Vec<String> {
        let args = [
            "idshift",
            "docker",
            "migrate",
            "--create-user",
            "--write-daemon-json",
        ];
        [&args[..], &["--set-userns-host", "--bind-mounts"], more]
            .concat()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    fn run(&self, args: &[String]) -> Run {
        self.host
            .run(&args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn trees(&self) -> Vec<Vec<String>> {
        let mut tops = vec![DATA_ROOT, "/srv"];
        let is_read = self.store == Store::Containerd;
        tops.extend(is_read.then_some("/var/lib/containerd"));
        let all = tops.iter().map(|top| snapshot(&self.host.path(top)));
        let line = |line| match is_read {
            true => without_keys(&without_new(line), &["atime_ns"]),
            false => without_new(line),
        };
        all.map(|lines| lines.into_iter().map(line).collect())
            .collect()
    }

    fn is_as(&self, trees: &[Vec<String>], when: &str) {
        for (before, now) in trees.iter().zip(self.trees()) {
            same(before, &now, &format!("{:?} {when}", self.release));
        }
        self.done(when);
    }

    /// Migrated and rolled back, and by another kind of migration.
    fn rolls_back(&self) {
        let start = self.trees();
        let json = self.host.path(DAEMON_JSON);
        let config = std::fs::read(&json).unwrap();
        self.run(&self.migrate(&["--dry-run"])).exits(0);
        self.is_as(&start, "after a dry run");
        self.run(&self.migrate(&[])).exits(0);
        self.host.idshift(&["rollback", "latest"]).exits(0);
        self.is_as(&start, "rolled back");
        assert_eq!(std::fs::read(json).unwrap(), config);
    }

    /// As an operator does: what idshift is about is not in use then.
    fn stop(&self) {
        self.host.stop_docker();
        if self.store == Store::Containerd {
            self.host.sh("systemctl stop containerd");
        }
    }

    /// Killed when all is about to be moved; a daemon that is started does not come up on half of it, nor is it in the
    /// way of `resume`.
    fn migrates_killed_and_resumed(&self) {
        let slowly = self.migrate(&["--rate", "200"]).join(" ");
        self.host.sh(&format!(
            "{slowly} & while [ ! -e {DATA_ROOT}/idshift-moving-{INNER} ]; do sleep 0.01; done; sleep 1; kill -9 $!; \
             ! wait $!"
        ));
        assert!(
            !self.host.try_start_docker(),
            "it came up on half of its data"
        );
        let log = self.host.engine_log();
        assert!(log.contains("not a directory"), "{log}");
        self.stop();
        self.host.idshift(&["resume", "latest"]).exits(0);
        self.host.idshift(&["verify", "latest"]).exits(0);
        self.done("migrated: killed, a daemon started in between, resumed");
    }

    fn audits_live(&self) {
        let audit = self.host.idshift(&["docker", "audit"]).exits(0);
        let text = String::from_utf8_lossy(&audit.stdout).into_owned();
        for told in [
            "Ready, with warnings",
            "is running: process",
            "privileged is privileged",
            "host-pid uses",
            "host-net uses",
            "host-ipc uses",
            "host-users runs with --userns=host",
            "/srv/bind",
            "elsewhere is a mount of bind",
            "memory is a mount of tmpfs",
            "docker node update --availability drain self",
        ] {
            assert!(text.contains(told), "{told:?} in {audit}");
        }
        self.done("audited live");
    }

    /// All of it.
    pub fn play(&self) {
        let host = &self.host;
        self.populate(&[]);
        self.audits_live();
        host.docker(&["stop", "-t", "0", "healthy", "joined"]);
        let before = self.see(false);
        self.stop();
        self.done("stopped");
        self.rolls_back();
        self.migrates_killed_and_resumed();
        host.start_docker();
        assert!(host.docker(&["info"]).contains("userns"), "it is remapped");
        let carried = before.iter().filter_map(|line| self.store.carried(line));
        let carried: BTreeSet<String> = carried.map(|line| marked(&line)).collect();
        let now = self.see(true);
        let now = now
            .iter()
            .filter_map(|line| self.store.carried(line))
            .collect();
        equal(&carried, &now, &format!("{:?} migrated", self.release));
        // The image that the classic builder has cached, and ACLs.
        let (built, again, acl) = match self.store {
            Store::Overlay2 => ("app:1", "app:1", "kept"),
            Store::Containerd => ("none", "again:remapped", "none"),
        };
        self.script("use.sh", &["remapped", "100000", built, acl]);
        self.done("used, remapped");
        let with_new = self.see(true);
        self.stop();
        let refused = host.idshift(&["rollback", "latest"]).exits(4);
        refused.says("idshift docker revert");

        let inside = self.trees();
        let revert = ["docker", "revert", "--write-daemon-json", "--bind-mounts"];
        host.idshift(&revert).exits(0);
        host.idshift(&["rollback", "latest"]).exits(0);
        self.is_as(&inside, "the reverse rolled back");
        host.idshift(&revert).exits(0);
        host.start_docker();
        assert!(!host.docker(&["info"]).contains("userns"), "it is plain");
        equal(
            &with_new,
            &self.see(false),
            &format!("{:?} reverted", self.release),
        );
        self.script("use.sh", &["plain", "0", again, acl]);
        self.done("used, plain again");
    }
}

/// A line of a snapshot without what nobody can keep: the remapped daemon's root is made again; swarm's log is space that
/// was allocated and not written, and what of it was read counts as data.
fn without_new(line: String) -> String {
    let mut value: serde_json::Value = serde_json::from_str(&line).expect("JSON of snapshot.py");
    let keys: &[&str] = match value["path"].as_str() {
        Some(INNER) => &["ino", "atime_ns"],
        Some(path) if path.contains("swarm/raft/wal") => &["data"],
        _ => return line,
    };
    for key in keys {
        value.as_object_mut().unwrap().remove(*key);
    }
    value.to_string()
}

/// A line of a snapshot without what changes when it is read.
fn without_keys(line: &str, keys: &[&str]) -> String {
    let mut value: serde_json::Value = serde_json::from_str(line).expect("JSON of snapshot.py");
    for key in keys {
        value.as_object_mut().unwrap().remove(*key);
    }
    value.to_string()
}

/// Names the lines that differ, with where they begin to.
fn equal(expected: &BTreeSet<String>, found: &BTreeSet<String>, when: &str) {
    let name = |line: &str| line.splitn(3, ' ').take(2).collect::<Vec<_>>().join(" ");
    let show = |line: &String, others: &BTreeSet<String>| {
        let other = others.iter().find(|other| name(other) == name(line));
        let same = other.map_or(0, |other| {
            let pairs = line.bytes().zip(other.bytes());
            pairs.take_while(|(a, b)| a == b).count()
        });
        let part = &line.as_bytes()[same.saturating_sub(40)..line.len().min(same + 160)];
        format!("{}: {}", name(line), String::from_utf8_lossy(part))
    };
    let missing = expected.difference(found).map(|line| show(line, found));
    let new = found.difference(expected).map(|line| show(line, expected));
    let (missing, new): (Vec<_>, Vec<_>) = (missing.collect(), new.collect());
    assert!(
        missing.is_empty() && new.is_empty(),
        "{when}: missing\n{missing:#?}\nnew\n{new:#?}"
    );
}
