//! A data-root that a real daemon made is migrated and reverted with a kill before and after system
//! calls that change the disk, and nothing is lost: both are finished by `resume` and undone by
//! `rollback`, to the byte.

use std::process::Command;

use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Numbers, Promise, Run, long, need_root, trace};
use serde_json::Value;

const HOW: &str = "kill -9 before and after system calls that change the disk; each time resumed, or rolled back \
                   with one more kill";

pub(super) fn small_host_of_tiny_containers() -> Host {
    let host = Host::new();
    let daemon = host.start(&[]);
    daemon.import_tiny("tiny:1");
    let work = "echo x > /x && busybox chown 7:7 /x && echo y > /vol/y && busybox rm /bin/ls";
    let run = [
        "run",
        "--network=none",
        "--name",
        "one",
        "-v",
        "vol:/vol",
        "tiny:1",
    ];
    daemon.docker(&[&run[..], &["sh", "-c", work]].concat());
    daemon.docker(&["create", "--name", "two", "--privileged", "tiny:1", "true"]);
    daemon.stop();
    host
}

/// What is killed: a command of `idshift docker` and its options.
pub(super) struct Carry {
    pub what: &'static str,
    pub more: &'static [&'static str],
}

const MIGRATE: Carry = Carry {
    what: "migrate",
    more: &["--set-userns-host"],
};
const REVERT: Carry = Carry {
    what: "revert",
    more: &["--bind-mounts"],
};
const IDMAP: Carry = Carry {
    what: "migrate",
    more: &["--set-userns-host", "--idmapped"],
};
pub(super) const REBASE: Carry = Carry {
    what: "rebase",
    more: &["--from", "b:0:165536:65536"],
};
const MAKE_PERMANENT: Carry = Carry {
    what: "migrate",
    more: &[],
};

fn command(idshift: &Idshift, host: &Host, carry: &Carry) -> Command {
    idshift.command([&docker_args(carry.what, host)[..], carry.more].concat())
}

/// What a reboot does to a mount.
fn reboot(host: &Host) {
    let point = host.data_root.join("100000.100000");
    while nix::mount::umount2(&point, nix::mount::MntFlags::empty()).is_ok() {}
}

/// The directory that a revert or a move to another range removes is another one when that is undone, with the same owner and mode.
pub(super) fn state(host: &Host) -> Vec<String> {
    let strip = |line: String| {
        let mut value: Value = serde_json::from_str(&line).unwrap();
        let path = value["path"].as_str().unwrap_or_default().to_string();
        let holder = "idshift-idmapped-100000.100000";
        if path == "165536.165536"
            || path == "100000.100000"
            || path.starts_with(holder) && path.matches('/').count() < 2
        {
            let object = value.as_object_mut().unwrap();
            object.remove("ino");
            object.remove("atime_ns");
            if path.ends_with("/map") {
                object.remove("mtime_ns");
            }
        }
        value.to_string()
    };
    snapshot(&host.data_root).into_iter().map(strip).collect()
}

/// What a run makes: the record of an idmapped root has the time of it, and is as long each time.
fn made(host: &Host) -> Vec<String> {
    let strip = |line: String| {
        let mut value: Value = serde_json::from_str(&line).unwrap();
        if value["path"] == "idshift-idmapped-100000.100000/map" {
            value.as_object_mut().unwrap().remove("sha256");
        }
        value.to_string()
    };
    timeless(&state(host)).into_iter().map(strip).collect()
}

/// A command that is killed, and what is to be seen of the disk.
pub(super) struct Killed<'a> {
    /// What it is called.
    pub what: &'a str,
    pub command: &'a dyn Fn(&Idshift) -> Command,
    /// All that must be as before when it is undone.
    pub state: &'a dyn Fn() -> Vec<String>,
    /// All that must be as it is made without a kill.
    pub made: &'a dyn Fn() -> Vec<String>,
    pub reboot: &'a dyn Fn(),
}

pub(super) fn killed_anywhere(host: &Host, carry: &Carry, text: &'static str) {
    let killed = Killed {
        what: carry.what,
        command: &|idshift| command(idshift, host, carry),
        state: &|| state(host),
        made: &|| made(host),
        reboot: &|| reboot(host),
    };
    killed_at_any_place(&killed, text);
}

pub(super) fn killed_at_any_place(killed: &Killed<'_>, text: &'static str) {
    let Killed {
        what,
        command,
        state,
        made,
        reboot,
    } = killed;
    let promise = Promise::new("Docker", text, HOW);
    let learning = Idshift::new();
    let start = state();
    let events = trace::count(&command(&learning));
    let there = made();
    learning.run(["rollback", "latest"]).exits(0);
    same(&start, &state(), "the first rollback");

    let mut numbers = Numbers::seeded(13);
    let cases = if long() { 120 } else { 6 };
    let mut kills = 0;
    for case in 0..cases {
        // Steps come last, and are where most kinds of calls are.
        let n = match case % 3 {
            0 => numbers.below(events),
            _ => events - 1 - numbers.below(events.min(160)),
        };
        let idshift = Idshift::new();
        let when = format!("{what} killed at event {n} of {events}");
        kills += u64::from(trace::kill_at(&command(&idshift), n));
        if numbers.below(2) == 0 {
            reboot();
        }
        if idshift.journal_files().is_empty() {
            same(&start, &state(), &when);
            continue;
        }
        if case % 2 == 0 {
            let resumed = idshift.run(["resume", "latest"]);
            match resumed.code {
                // Also when it had come to its end.
                Some(0) => same(&there, &made(), &when),
                // Killed before it knew all that is to be done: nothing is done.
                Some(4) => {}
                _ => panic!("{when}: {resumed}"),
            }
        } else {
            let n = numbers.below(100);
            trace::kill_at(&idshift.command(["rollback", "latest"]), n);
        }
        let undone: Run = idshift.run(["rollback", "latest"]);
        if undone.code != Some(0) {
            // One that was to be killed had come to its end.
            undone.exits(4).says("rolled back already");
        }
        same(&start, &state(), &format!("{when}, undone"));
        promise.held();
    }
    assert!(kills >= cases * 3 / 4, "only {kills} of {cases} were hit");
}

#[test]
fn migrate_and_revert_survive_a_kill_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--create-user"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    killed_anywhere(
        &host,
        &MIGRATE,
        "`docker migrate` of a real data-root is finished or undone to the byte",
    );

    migrate(&idshift, &host, &["--set-userns-host"]).exits(0);
    let remapped = host.start(REMAPPED);
    let new = [
        "run",
        "--network=none",
        "--name",
        "new",
        "-v",
        "fresh:/fresh",
        "tiny:1",
    ];
    let work = "echo n > /fresh/n && busybox chown 9:9 /fresh/n && echo n > /n";
    remapped.docker(&[&new[..], &["sh", "-c", work]].concat());
    remapped.stop();
    killed_anywhere(
        &host,
        &REVERT,
        "`docker revert` of a real data-root is finished or undone to the byte",
    );

    revert(&idshift, &host, &[]).exits(0);
    let plain = host.start(&[]);
    plain.docker(&["start", "-a", "new"]);
    plain.stop();
}

/// A container and a volume that are made while the root is idmapped.
fn make_something_new(host: &Host) {
    let remapped = host.start(REMAPPED);
    let work =
        "echo n > /fresh/n && busybox chown 9:9 /fresh/n && echo n > /n && busybox rm -f /bin/ls";
    let new = [
        "run",
        "--network=none",
        "--name",
        "new",
        "-v",
        "fresh:/fresh",
        "tiny:1",
        "sh",
        "-c",
        work,
    ];
    remapped.docker(&new);
    remapped.stop();
}

#[test]
fn an_idmapped_root_survives_a_kill_and_a_reboot_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let idshift = Idshift::new();
    killed_anywhere(
        &host,
        &IDMAP,
        "`docker migrate --idmapped` of a real data-root is finished or undone to the byte, also after a reboot",
    );

    migrate(&idshift, &host, &["--set-userns-host", "--idmapped"]).exits(0);
    make_something_new(&host);
    killed_anywhere(
        &host,
        &REVERT,
        "`docker revert` of an idmapped root is finished or undone to the byte, also after a reboot",
    );
    killed_anywhere(
        &host,
        &MAKE_PERMANENT,
        "`docker migrate` of an idmapped root is finished or undone to the byte, also after a reboot",
    );

    migrate(&idshift, &host, &[]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "new"]);
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    let plain = host.start(&[]);
    plain.docker(&["start", "-a", "new"]);
    plain.stop();
}
