//! A migration of a real daemon's data-root that is undone, killed or refused leaves what was there, to the byte.

use std::fs;
use std::path::PathBuf;

use crate::support;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Kind, Numbers, Run, TestFs, need_root};
use serde_json::Value;

#[test]
fn rollback_gives_back_the_plain_root_to_the_byte() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    let start = snapshot(&host.data_root);
    let config = host.beside().join("daemon.json");
    fs::write(&config, SETTINGS).unwrap();
    let on = OnSmall {
        host: &host,
        idshift: &idshift,
        config,
    };
    on.run("migrate").exits(0);
    let written: Value = serde_json::from_str(&on.settings()).unwrap();
    assert_eq!(
        written,
        serde_json::json!({"debug": false, "log-level": "info", "userns-remap": "default"})
    );
    idshift.run(["rollback", "latest", "--dry-run"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(
        &start,
        &snapshot(&host.data_root),
        "after migrate and rollback",
    );
    assert_eq!(on.settings(), SETTINGS);
    idshift.run(["verify", "latest"]).exits(0);

    on.only_the_data_root_is_migrated();
    on.what_is_new_in_an_old_place_refuses_a_rollback();
    // Out of the range again without a daemon in between is the way back too.
    on.run("migrate").exits(0);
    on.run("revert").exits(0);
    same(
        &timeless(&start),
        &timeless(&snapshot(&host.data_root)),
        "after migrate and revert",
    );

    on.a_used_root_of_the_range_refuses();
    on.what_does_not_parse_refuses();
    on.a_mount_refuses();
    on.a_manifest_has_the_whole_plan();
    on.an_id_outside_the_range_changes_nothing();
}

const SETTINGS: &str = "{\n \"debug\": false, \"log-level\": \"info\"}";

/// A data-root of a real daemon, which is stopped, and its `daemon.json`.
struct OnSmall<'a> {
    host: &'a Host,
    idshift: &'a Idshift,
    config: PathBuf,
}

impl OnSmall<'_> {
    fn run(&self, what: &str) -> Run {
        let data_root = self.host.data_root.to_str().unwrap();
        let config = self.config.to_str().unwrap();
        let args = ["docker", what, "--create-user", "--write-daemon-json"];
        let more = ["--data-root", data_root, "--daemon-json", config];
        self.idshift.run([&args[..], &more[..]].concat())
    }

    fn settings(&self) -> String {
        fs::read_to_string(&self.config).unwrap()
    }

    fn only_the_data_root_is_migrated(&self) {
        let data_root = self.host.data_root.to_str().unwrap();
        let meant = self.idshift.run(["shift", data_root]);
        assert_eq!(meant.code, Some(4), "{meant}");
        assert!(meant.stderr.contains("idshift docker migrate"), "{meant}");
        // Neither a part of it nor what it lies in is shifted.
        let above = self.host.data_root.parent().unwrap();
        for (path, told) in [
            (above.to_path_buf(), "holds the Docker data-root"),
            (
                self.host.data_root.join("image"),
                "is a part of the Docker data-root",
            ),
            (
                self.host.data_root.join("volumes"),
                "is a part of the Docker data-root",
            ),
        ] {
            for dry in [&["--dry-run"][..], &[]] {
                let args = [&["shift", path.to_str().unwrap()], dry].concat();
                self.idshift.run(args).exits(4).says(told);
            }
        }
        let left_out = format!("--exclude={}", self.host.data_root.display());
        let above = above.to_str().unwrap();
        let left = self
            .idshift
            .run(["shift", "--dry-run", "--allow-home", &left_out, above]);
        assert_eq!(left.code, Some(0), "{left}");
    }

    fn what_is_new_in_an_old_place_refuses_a_rollback(&self) {
        // A plain daemon was started in between: what it made has the old places.
        self.run("migrate").exits(0);
        fs::create_dir(self.host.data_root.join("containers")).unwrap();
        let refused = self.idshift.run(["rollback", "latest"]);
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(
            refused.stderr.contains("something new is in its old place"),
            "{refused}"
        );
        // What cannot be renamed back keeps its owners, too, and nothing leads to the half of it.
        assert!(!refused.stderr.contains("--force"), "{refused}");
        let migrated = snapshot(&self.host.data_root);
        for dry in [&["--dry-run"][..], &[]] {
            let forced = self
                .idshift
                .run([&["rollback", "latest", "--force"], dry].concat());
            forced.exits(4).says("something new is in its old place");
        }
        same(
            &migrated,
            &snapshot(&self.host.data_root),
            "after the refusals",
        );
        fs::remove_dir(self.host.data_root.join("containers")).unwrap();
        self.idshift.run(["rollback", "latest"]).exits(0);
    }

    fn a_used_root_of_the_range_refuses(&self) {
        // Somebody tried the option before and made nothing with it.
        let shell = self
            .host
            .data_root
            .join("100000.100000/image/overlay2/imagedb");
        fs::create_dir_all(shell).unwrap();
        let told = self.run("migrate").exits(0);
        assert!(
            told.stderr.contains("idshift-aside-100000.100000"),
            "{told}"
        );
        self.idshift.run(["rollback", "latest"]).exits(0);
        let content = self.host.data_root.join("100000.100000/containers/c");
        fs::create_dir_all(content).unwrap();
        let refused = self.run("migrate");
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(refused.stderr.contains("1 container,"), "{refused}");
        fs::remove_dir_all(self.host.data_root.join("100000.100000")).unwrap();
    }

    fn what_does_not_parse_refuses(&self) {
        // What does not parse stops it before anything is changed.
        let containers = fs::read_dir(self.host.data_root.join("containers")).unwrap();
        let file = containers
            .last()
            .unwrap()
            .unwrap()
            .path()
            .join("config.v2.json");
        let good = fs::read(&file).unwrap();
        fs::write(&file, &good[..good.len() / 2]).unwrap();
        let refused = self.run("migrate");
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(refused.stderr.contains("config.v2.json"), "{refused}");

        fs::write(&file, good).unwrap();
        fs::write(&self.config, "{").unwrap();
        let refused = self.run("migrate");
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(refused.stderr.contains("daemon.json"), "{refused}");
        fs::write(&self.config, SETTINGS).unwrap();
    }

    fn a_mount_refuses(&self) {
        let mounted = self.host.data_root.join("builder");
        fs::create_dir_all(&mounted).unwrap();
        let over = TestFs::mount_inside(Kind::Tmpfs, &mounted);
        let refused = self.run("migrate");
        assert_eq!(refused.code, Some(4), "{refused}");
        drop(over);
    }

    fn a_manifest_has_the_whole_plan(&self) {
        // What a dry run writes down is all of it.
        let manifest = self.host.beside().join("plan.jsonl");
        let options = [
            "--dry-run",
            "--json",
            "--manifest",
            manifest.to_str().unwrap(),
        ];
        let told: Value =
            serde_json::from_slice(&migrate(self.idshift, self.host, &options).exits(0).stdout)
                .unwrap();
        let lines = fs::read_to_string(&manifest).unwrap();
        let kinds = |kind: &str| {
            let of_kind =
                |line: &&str| serde_json::from_str::<Value>(line).unwrap()["kind"] == kind;
            lines.lines().filter(of_kind).count() as u64
        };
        assert_eq!(kinds("change"), told["changed"].as_u64().unwrap());
        // Times that are only put back by a rollback are no step that is counted.
        let times = lines.matches("\"do\":\"times\"").count() as u64;
        assert!(times > 0, "{lines}");
        assert_eq!(kinds("step") - times, told["steps"].as_u64().unwrap());
        assert!(lines.contains("\"do\":\"rename\"") && lines.contains("\"do\":\"rewrite\""));
    }

    fn an_id_outside_the_range_changes_nothing(&self) {
        // An id outside the range: all of it or nothing.
        let strange = self.host.data_root.join("volumes/named/_data/strange");
        fs::write(&strange, "").unwrap();
        std::os::unix::fs::chown(&strange, Some(70_000), None).unwrap();
        let audited = audit(self.host);
        assert_eq!(audited.code, Some(3), "{audited}");
        assert!(audited.text().contains("volumes/named (1)"), "{audited}");
        let now = snapshot(&self.host.data_root);
        let failed = self.run("migrate");
        assert_eq!(failed.code, Some(1), "{failed}");
        assert!(
            failed.stderr.contains("70000 is outside the map"),
            "{failed}"
        );
        same(
            &now,
            &snapshot(&self.host.data_root),
            "after a run that could not",
        );
    }
}

#[test]
fn a_migration_killed_anywhere_is_finished_or_undone() {
    need_root();
    let host = small_host();
    let idshift = Idshift::new();
    let start = snapshot(&host.data_root);
    migrate(&idshift, &host, &["--create-user"]).exits(0);
    let there = snapshot(&host.data_root);
    idshift.run(["rollback", "latest"]).exits(0);
    same(
        &start,
        &snapshot(&host.data_root),
        "after the first rollback",
    );

    let mut numbers = Numbers::seeded(7);
    let mut places: Vec<(&str, u64)> = vec![
        ("mkdirat", 1),
        ("renameat2", 1),
        ("renameat2", 7),
        ("renameat", 1),
    ];
    places.extend([
        ("renameat", 2),
        ("fdatasync", 2),
        ("fdatasync", 3),
        ("fdatasync", 4),
        ("syncfs", 1),
        ("syncfs", 2),
    ]);
    let random = if support::long() { 40 } else { 4 };
    places.extend((0..random).map(|_| ("fchownat", 1 + numbers.below(4000))));
    places.extend((0..random / 2).map(|_| ("renameat2", 1 + numbers.below(12))));
    let mut kills = 0;
    for (i, (call, n)) in places.into_iter().enumerate() {
        let when = format!("killed at {call} {n}");
        let args = docker_args("migrate", &host);
        if !killed_at(idshift.command(args), call, n) {
            idshift.run(["rollback", "latest"]).exits(0);
            continue;
        }
        kills += 1;
        let args = docker_args("migrate", &host);
        let listed = idshift.run(["journal", "list", "--json"]).exits(0);
        let is_listed_as = |state: &str| listed.text().contains(state);
        let is_open = is_listed_as("\"unfinished\"");
        // Killed while the disk was waited for once more, with all done and said to be.
        let is_finished = is_listed_as("\"finished\"");
        if is_open {
            let again = idshift.run(args);
            assert_eq!(
                again.code,
                Some(4),
                "{when}: nothing else may start: {again}"
            );
        }
        // Killed before all was journalled, there is nothing to go on with.
        let resumed = i % 2 == 0 && is_open && idshift.run(["resume", "latest"]).code == Some(0);
        if resumed || is_finished {
            same(
                &timeless(&there),
                &timeless(&snapshot(&host.data_root)),
                &format!("{when}, finished"),
            );
        }
        if is_open || is_finished {
            // Killed in its undoing too, and undone again.
            let rollback = ["rollback", "latest"];
            if killed_at(idshift.command(rollback), "renameat2", 3) {
                let undone = idshift.run(rollback);
                assert_eq!(undone.code, Some(0), "{when}: {undone}");
            }
        }
        same(
            &start,
            &snapshot(&host.data_root),
            &format!("{when}, undone"),
        );
    }
    assert!(kills >= 8, "only {kills} kills hit");
}
