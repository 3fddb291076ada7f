//! Hosts of a fleet that fail: each undoes itself, and no further batch is begun.

use std::time::{Duration, Instant};

use crate::support::engine_host::EngineHost;
use crate::support::fleet::{Fleet, owners, recap};
use crate::support::{long, need_root};

const PLAIN: &str = "/var/lib/docker";
const REMAPPED: &str = "/var/lib/docker/100000.100000";

/// Kills idshift, with no chance to say anything, when it has begun to change the data-root and has not ended.
fn kill_in_the_middle(host: &EngineHost) {
    let start = Instant::now();
    let begun = host.path("/var/lib/docker/idshift-moving-100000.100000");
    while !begun.exists() {
        assert!(start.elapsed() < Duration::from_secs(300), "no run began");
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(500));
    host.sh("kill -KILL $(pidof idshift)");
}

fn states(host: &EngineHost) -> String {
    host.sh("idshift journal list --json | jq -r '.journals[].state' 2>/dev/null || true")
}

fn running(host: &EngineHost) -> String {
    host.sh("docker ps --format '{{.Names}}' | sort | tr '\\n' ' '")
}

#[test]
fn a_host_that_fails_is_undone_and_ends_the_batches() {
    if !long() {
        return;
    }
    need_root();
    let fleet = Fleet::new(3);
    let second = owners(&fleet.hosts[1], PLAIN);
    one_is_killed_in_the_middle(&fleet, &second);
    two_do_not_run_remapped(&fleet, &second);
    refused_before_docker_is_stopped(&fleet.hosts[2], &fleet);
    assert_eq!(running(&fleet.hosts[0]), "db web");
}

/// One after the other. The second is killed in the middle of its run.
fn one_is_killed_in_the_middle(fleet: &Fleet, before: &str) {
    let (h2, h3) = (&fleet.hosts[1], &fleet.hosts[2]);
    let third = h3.docker(&["inspect", "-f", "{{.State.StartedAt}}", "web"]);

    let migrate = std::thread::scope(|scope| {
        scope.spawn(|| kill_in_the_middle(h2));
        fleet.play(
            "migrate",
            "-e userns_remap_serial=1 -e '{\"userns_remap_rate\": 20}'",
        )
    });
    assert_eq!(migrate.code, Some(2), "{migrate}");
    assert_eq!(recap(&migrate, "h1"), (1, 0), "{migrate}");
    assert_eq!(recap(&migrate, "h2"), (0, 1), "{migrate}");
    assert!(!migrate.text().contains("h3 "), "{migrate}");
    assert!(migrate.text().contains("It was undone."), "{migrate}");
    assert_eq!(owners(h2, PLAIN), before);
    assert_eq!(states(h2), "rolled back");
    assert_eq!(running(h2), "db web");
    assert!(!h2.path("/etc/docker/daemon.json").exists());
    assert_eq!(states(h3), "");
    assert_eq!(
        h3.docker(&["inspect", "-f", "{{.State.StartedAt}}", "web"]),
        third
    );
}

/// All at once. Docker does not start remapped on the second, a container does not run remapped on the third.
fn two_do_not_run_remapped(fleet: &Fleet, before: &str) {
    let (h2, h3) = (&fleet.hosts[1], &fleet.hosts[2]);
    h2.write(
        "/etc/systemd/system/docker.service.d/plain.conf",
        "[Service]\nExecStartPre=/bin/sh -c '! grep -q userns-remap /etc/docker/daemon.json'\n",
    );
    h2.sh("systemctl daemon-reload");
    h3.docker(&[
        "run",
        "-d",
        "--name",
        "writer",
        "-v",
        "/srv/shop:/shop",
        "tiny:1",
        "sh",
        "-c",
        "touch /shop/stock && exec sleep 100000",
    ]);
    let before_writer = owners(h3, PLAIN);
    let migrate = fleet.play("migrate", "-e userns_remap_serial=3");
    assert_eq!(recap(&migrate, "h1"), (0, 0), "{migrate}");
    assert_eq!(recap(&migrate, "h2"), (0, 1), "{migrate}");
    assert_eq!(recap(&migrate, "h3"), (0, 1), "{migrate}");
    let text = migrate.text();
    assert!(
        text.contains("containers do not run any more: writer: it ended with code 1"),
        "{migrate}"
    );
    assert_eq!(text.matches("It was undone.").count(), 2, "{migrate}");
    assert_eq!(owners(h2, PLAIN), before);
    assert_eq!(states(h2), "rolled back\nrolled back");
    assert_eq!(running(h2), "db web");
    assert_eq!(owners(h3, PLAIN), before_writer);
    assert_eq!(running(h3), "db web writer");
}

/// What is refused is refused before Docker is stopped.
fn refused_before_docker_is_stopped(h3: &EngineHost, fleet: &Fleet) {
    let web = h3.docker(&["inspect", "-f", "{{.State.StartedAt}}", "web"]);
    let locked = format!("{PLAIN}/volumes/data/_data/script");
    h3.sh(&format!("chattr +i {locked}"));
    let refused = fleet.play("migrate", "-e userns_remap_serial=3 --limit h3");
    h3.sh(&format!("chattr -i {locked}"));
    assert_eq!(recap(&refused, "h3"), (0, 1), "{refused}");
    assert!(
        refused
            .text()
            .contains("Refused before anything was changed"),
        "{refused}"
    );
    assert_eq!(
        h3.docker(&["inspect", "-f", "{{.State.StartedAt}}", "web"]),
        web
    );
}

#[test]
fn a_fleet_goes_by_a_mount_and_what_is_unfinished_is_rolled_back() {
    if !long() {
        return;
    }
    need_root();
    let fleet = Fleet::new(2);
    let [h1, h2] = &fleet.hosts[..] else {
        unreachable!("two hosts")
    };
    let before = [owners(h1, PLAIN), owners(h2, PLAIN)];
    h1.write("/etc/docker/daemon.json", "{\"live-restore\": true}");
    h1.sh("systemctl reload docker");

    // A run that was killed, as by a power cut.
    h2.sh("systemctl stop docker.socket docker");
    std::thread::scope(|scope| {
        scope.spawn(|| kill_in_the_middle(h2));
        h2.idshift(&["docker", "migrate", "--create-user", "--rate", "20"])
    });
    assert_eq!(states(h2), "unfinished");
    let options = "-e '{\"userns_remap_idmapped\": true, \"userns_remap_verify\": true}'";
    let migrate = fleet.play("migrate", &format!("-e userns_remap_serial=2 {options}"));
    assert_eq!(recap(&migrate, "h1"), (1, 0), "{migrate}");
    assert_eq!(recap(&migrate, "h2"), (0, 1), "{migrate}");
    assert_eq!(states(h2), "unfinished");
    let rollback = fleet.play("rollback", "--limit h2");
    assert_eq!(recap(&rollback, "h2"), (1, 0), "{rollback}");
    assert_eq!(states(h2), "rolled back");
    assert_eq!(owners(h2, PLAIN), before[1]);
    h2.sh("docker start web");
    assert_eq!(running(h2), "db web");
    let again = fleet.play("rollback", "--limit h2");
    assert_eq!(recap(&again, "h2"), (0, 0), "{again}");

    // By a mount, then permanent, then back.
    let disk = format!("{PLAIN}/idshift-idmapped-100000.100000/content/volumes/data/_data/uploads");
    assert_eq!(h1.sh(&format!("stat -c %u {disk}")), "33");
    assert_eq!(running(h1), "db web");
    let again = fleet.play("migrate", &format!("{options} --limit h1"));
    assert_eq!(recap(&again, "h1"), (0, 0), "{again}");
    one_runs_by_a_mount_only(h1, &fleet);
    let permanent = fleet.play("migrate", "--limit h1");
    assert_eq!(recap(&permanent, "h1"), (1, 0), "{permanent}");
    let disk = format!("{REMAPPED}/volumes/data/_data/uploads");
    assert_eq!(h1.sh(&format!("stat -c %u {disk}")), "100033");
    let revert = fleet.play("revert", "--limit h1");
    assert_eq!(recap(&revert, "h1"), (1, 0), "{revert}");
    assert_eq!(owners(h1, PLAIN), before[0]);
    assert_eq!(running(h1), "db web");
}

/// A container does not run when the host is made permanent: the host is by a mount again, with live-restore, too.
fn one_runs_by_a_mount_only(h1: &EngineHost, fleet: &Fleet) {
    h1.docker(&[
        "run",
        "-d",
        "--name",
        "picky",
        "-v",
        "data:/data",
        "tiny:1",
        "sh",
        "-c",
        "busybox grep -q idmapped /proc/self/mountinfo && exec sleep 100000",
    ]);
    let state = |h1: &EngineHost| h1.sh("idshift docker audit --quick --json | jq -r .state");
    assert_eq!(
        (state(h1), running(h1)),
        ("idmapped".into(), "db picky web".into())
    );
    let permanent = fleet.play("migrate", "--limit h1");
    assert_eq!(recap(&permanent, "h1"), (0, 1), "{permanent}");
    let text = permanent.text();
    assert!(
        text.contains("containers do not run any more: picky"),
        "{permanent}"
    );
    assert!(text.contains("It was undone."), "{permanent}");
    assert_eq!(
        (state(h1), running(h1)),
        ("idmapped".into(), "db picky web".into())
    );
    h1.docker(&["rm", "-f", "picky"]);
}
