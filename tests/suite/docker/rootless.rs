//! A plain data-root becomes that of a user's real rootless daemon.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::kills::small_host_of_tiny_containers;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::rootless::{GID, RootlessUser, UID, USER};
use crate::support::{Idshift, Run, need_root, output};

/// A user with two ranges and a hole between them.
const RANGES: &str = "ann:300000:500\nann:400000:65036\n";

/// What uid and gid 1000 of a container are with them.
const APP: u32 = 400_499;

fn to_rootless(idshift: &Idshift, host: &Host, more: &[&str]) -> Run {
    migrate(idshift, host, &[&["--rootless", USER], more].concat())
}

/// Everything of both data-roots, and what is around them.
fn state(host: &Host) -> Vec<String> {
    snapshot(host.beside())
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (found.uid(), found.gid())
}

/// Containers that are other in a rootless daemon.
fn create_troubled(daemon: &crate::support::daemon::Daemon<'_>) {
    for (name, options) in [
        ("web", &["-p", "80:80"][..]),
        ("net", &["--network=host"]),
        ("dev", &["--device", "/dev/null:/dev/null"]),
        ("limited", &["--memory", "64m"]),
    ] {
        let args = [&["create", "--name", name], options, &["app:1", "true"]].concat();
        daemon.docker(&args);
    }
}

#[test]
fn all_runs_in_the_rootless_daemon() {
    need_root();
    let host = Host::new();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    let bind = host.beside().join("bind");
    fs::create_dir(&bind).unwrap();
    let plain = host.start(&[]);
    populate(&plain, &bind);
    create_troubled(&plain);
    let before = seen(&plain);
    to_rootless(&idshift, &host, &[])
        .exits(4)
        .says("in use by process");
    plain.stop();

    let start = state(&host);
    to_rootless(&idshift, &host, &["--dry-run"])
        .exits(0)
        .says("Container web publishes port 80")
        .says("Container net uses the host's network")
        .says("Container privileged is privileged")
        .says("Container hostns is marked --userns=host")
        .says("Container dev has devices of the host: /dev/null")
        .says("Container limited limits memory")
        .says("of sleeper keeps its owners, and root in the container is ann there now");
    same(&start, &state(&host), "after a dry run");
    to_rootless(&idshift, &host, &[])
        .exits(0)
        .says("Now ann starts");
    idshift.run(["verify", "latest"]).exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    same(&start, &state(&host), "after a rollback");
    to_rootless(&idshift, &host, &[]).exits(0);

    let root = user.data_root();
    assert_eq!(owner(&root), (UID, GID));
    assert_eq!(owner(&root.join("volumes/named/_data")), (APP, APP));
    let ours = ["root", "containers", "image"].map(|name| host.beside().join(name));
    assert!(ours[0].is_dir() && !ours[0].join("containers").exists());

    let rootless = user.start(&host);
    let there = seen(&rootless);
    assert_eq!(there, before);
    check_inside(&rootless);
    write_more(&rootless);
    idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says("in use by process");
    rootless.stop();
    idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says("does not become root's");
}

/// Logs, users, set-id bits, capabilities and volumes of the migrated containers.
fn check_inside(daemon: &crate::support::daemon::Daemon<'_>) {
    daemon.docker(&["start", "-a", "written"]);
    daemon.docker(&["start", "sleeper"]);
    check_inside_as(daemon, "sleeper", APP);
    daemon.docker(&["stop", "-t", "0", "sleeper"]);
}

fn check_inside_as(daemon: &crate::support::daemon::Daemon<'_>, name: &str, uid: u32) {
    assert_eq!(host_uid(daemon, name), uid);
    let exec = |command: &str| daemon.docker(&["exec", name, "sh", "-c", command]);
    assert_eq!(
        exec("id -u; stat -c '%u %a' /usr/local/bin/asroot"),
        "1000\n0 4755"
    );
    assert_eq!(
        exec("getcap /usr/local/bin/raw"),
        "/usr/local/bin/raw cap_net_raw=ep"
    );
    assert_eq!(exec("stat -c %u /home/app; ls /opt/dir"), "1000\ny\nz");
    // The one with the set-id bit is root, whatever the map.
    assert_eq!(
        exec("cp /usr/bin/id /tmp/i; /usr/local/bin/asroot; echo $?"),
        "0"
    );
}

/// What containers write in the rootless daemon: deleted files, an opaque directory, a volume.
fn write_more(daemon: &crate::support::daemon::Daemon<'_>) {
    let work = "echo n > /home/app/new; chown app /home/app/new; echo v > /m/v; chown 1000 /m/v; sleep 1000";
    daemon.docker(&[
        "run",
        "-d",
        "--network",
        "none",
        "--name",
        "later",
        "-v",
        "made:/m",
        "app:1",
        "sh",
        "-c",
        work,
    ]);
    daemon.docker(&[
        "exec",
        "-u",
        "0",
        "later",
        "sh",
        "-c",
        "chown 1000 /m; chown -R app /home/app",
    ]);
    let gone = "rm /usr/bin/env; rm -r /usr/lib/tmpfiles.d && mkdir /usr/lib/tmpfiles.d && echo x > /usr/lib/tmpfiles.d/x";
    daemon.docker(&[
        "run",
        "--network",
        "none",
        "--name",
        "gone",
        "-u",
        "0",
        "app:1",
        "sh",
        "-c",
        gone,
    ]);
    daemon.docker(&["stop", "-t", "0", "later"]);
}

/// `PATH TYPE OWNER MODE` of a data-root's own directories and files, without what is named after an id.
fn layout(root: &Path) -> BTreeSet<String> {
    let args = ["-printf", "%P %y %U:%G %m\n"];
    let command: Vec<&str> = [root.to_str().unwrap()].into_iter().chain(args).collect();
    let found = String::from_utf8(output("find", command).stdout).unwrap();
    found.lines().map(String::from).collect()
}

#[test]
fn the_root_is_as_a_rootless_daemon_makes_it() {
    need_root();
    let host = small_host_of_tiny_containers();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    to_rootless(&idshift, &host, &[]).exits(0);
    let root = user.data_root();
    let migrated = layout(&root);
    let way =
        ["", ".local", ".local/share"].map(|below| host.beside().join("home/ann").join(below));
    let modes = |paths: &[std::path::PathBuf]| -> Vec<u32> {
        paths
            .iter()
            .map(|path| fs::metadata(path).unwrap().mode())
            .collect()
    };
    let made = modes(&way);
    fs::remove_dir_all(host.beside().join("home/ann/.local")).unwrap();

    let fresh = user.start(&host);
    fresh.stop();
    assert_eq!(made, modes(&way));
    // All that a fresh one has is there, with the same owner and mode.
    let missing: Vec<_> = layout(&root).difference(&migrated).cloned().collect();
    assert!(missing.is_empty(), "{missing:#?}");
    // And nothing in it is anybody else's.
    let is_ours = |line: &&String| {
        // Nobody opens a device by such a file: that of the filesystem's disk, which a plain daemon makes.
        if line.contains(" b 0:0 0") {
            return true;
        }
        let owner = line.rsplit(' ').nth(1).unwrap();
        let uid: u32 = owner.split(':').next().unwrap().parse().unwrap();
        uid == UID || (300_000..300_500).contains(&uid) || (400_000..465_036).contains(&uid)
    };
    let strange: Vec<_> = migrated.iter().filter(|line| !is_ours(line)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
}

#[test]
fn the_wrong_command_is_refused_with_the_right_one() {
    need_root();
    let host = small_host_of_tiny_containers();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    let there = state(&host);
    migrate(&idshift, &host, &["--rootless", "nobody-is-called-so"])
        .exits(4)
        .says("there is no such user");
    migrate(&idshift, &host, &["--rootless", "www-data"])
        .exits(4)
        .says("usermod");
    let inside = host.data_root.join("below");
    to_rootless(&idshift, &host, &["--to", inside.to_str().unwrap()])
        .exits(4)
        .says("is in the other data-root");
    to_rootless(&idshift, &host, &["--to", "/run/elsewhere"])
        .exits(4)
        .says("is on another filesystem");
    migrate(&idshift, &host, &["--rootless", USER, "--idmapped"]).exits(2);
    // The user could let root give away any directory.
    let home = host.beside().join("home/ann");
    let link = home.join(".local");
    std::os::unix::fs::symlink("/etc", &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(UID), Some(GID)).unwrap();
    to_rootless(&idshift, &host, &[])
        .exits(4)
        .says("which belongs to uid 2200, who can change where it leads");
    fs::remove_file(&link).unwrap();
    fs::write(home.join("file"), "").unwrap();
    to_rootless(&idshift, &host, &["--to", home.to_str().unwrap()])
        .exits(4)
        .says("home/ann/file: does not belong to a daemon");
    fs::remove_file(home.join("file")).unwrap();
    same(
        &timeless(&there),
        &timeless(&state(&host)),
        "after refusals",
    );
    refuses_what_no_rootless_overlay_follows(&idshift, &host);

    to_rootless(&idshift, &host, &[]).exits(0);
    let root = user.data_root();
    let advice = "is the data-root of the rootless Docker of ann";
    for what in ["migrate", "revert", "audit"] {
        let mut args = docker_args(what, &host);
        args[3] = root.to_str().unwrap();
        let run = idshift.run(args);
        run.exits(4).says(advice);
    }
    to_rootless(&idshift, &host, &[])
        .exits(4)
        .says("has no images, containers or volumes");
    idshift.run(["rollback", "latest"]).exits(0);

    migrate(&idshift, &host, &[]).exits(0);
    to_rootless(&idshift, &host, &[])
        .exits(4)
        .says("First `idshift docker revert`");
}

/// A kernel with `redirect_dir=on` leaves such attributes in layers of containers.
fn refuses_what_no_rootless_overlay_follows(idshift: &Idshift, host: &Host) {
    let layers = fs::read_dir(host.data_root.join("overlay2")).unwrap();
    let layers: Vec<_> = layers
        .map(|entry| entry.unwrap().path().join("diff"))
        .collect();
    let layer = layers.iter().find(|diff| diff.is_dir()).unwrap();
    for (name, said) in [
        (
            "trusted.overlay.redirect",
            "overlays of a rootless daemon refuse",
        ),
        ("user.overlay.opaque", "setfattr -x user.overlay.opaque"),
    ] {
        let path = layer.to_str().unwrap();
        output("setfattr", ["-n", name, "-v", "y", path]);
        let there = state(host);
        to_rootless(idshift, host, &[]).exits(1).says(said);
        same(&there, &state(host), name);
        output("setfattr", ["-x", name, path]);
    }
}

#[test]
fn what_an_unused_rootless_daemon_made_is_kept_aside() {
    need_root();
    let host = small_host_of_tiny_containers();
    let user = RootlessUser::beside(&host, RANGES);
    let idshift = Idshift::new();
    let unused = user.start(&host);
    to_rootless(&idshift, &host, &[])
        .exits(4)
        .says("in use by process");
    unused.stop();
    let there = state(&host);
    to_rootless(&idshift, &host, &[])
        .exits(0)
        .says("is kept in it as idshift-aside-unused");
    assert!(
        user.data_root()
            .join("idshift-aside-unused/overlay2")
            .is_dir()
    );
    idshift.run(["rollback", "latest"]).exits(0);
    same(&there, &state(&host), "after a rollback");
    to_rootless(&idshift, &host, &[]).exits(0);
    let rootless = user.start(&host);
    rootless.docker(&["inspect", "one", "two"]);
    rootless.stop();
}
