//! A data-root that a real daemon made is migrated and reverted with a kill before and after system
//! calls that change the disk, and nothing is lost: both are finished by `resume` and undone by
//! `rollback`, to the byte.

use std::process::Command;

use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::{Idshift, need_root};
use serde_json::Value;

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

pub(super) fn killed_anywhere(host: &Host, carry: &Carry, text: &'static str) {
    let killed = Killed {
        part: "Docker",
        what: carry.what,
        idshift: &Idshift::new,
        command: &|idshift| command(idshift, host, carry),
        state: &|| state(host),
        made: &|| made(host),
        reboot: &|| reboot(host),
    };
    killed_at_any_place(&killed, text);
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
