//! What a user's Podman has becomes that of root's Podman, unless somebody could reach the host with it.

mod containers;
mod planted;
mod powers;
mod stage;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use self::stage::Stage;
use super::kills::without_what_is_new;
use super::scenario::releases;
use crate::support::docker::same;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::podman_host::{PodmanHost, STORE, USER};
use crate::support::{Idshift, Run, need_root};

const REVERT: [&str; 5] = ["podman", "revert", "--from-user", USER, "--yes"];

fn revert(host: &PodmanHost, more: &[&str]) -> Run {
    host.idshift(&[&REVERT[..], more].concat())
}

/// Both the dry run and the run are refused, and nothing changes.
#[track_caller]
fn refused(host: &PodmanHost, said: &str) {
    let there = host.state();
    revert(host, &["--dry-run"]).exits(4).says(said);
    revert(host, &[]).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// Only the run is: time cures it.
#[track_caller]
fn refused_now(host: &PodmanHost, said: &str) {
    let there = host.state();
    let dry = revert(host, &["--dry-run"]).exits(0);
    assert!((dry.text() + &dry.stderr).contains(said), "{said}: {dry}");
    revert(host, &[]).exits(4).says(said);
    same(&there, &host.state(), said);
}

/// `PATH TYPE OWNER MODE` of what is in root's store.
fn layout(host: &PodmanHost) -> BTreeSet<String> {
    let found = host.root(&format!("find {STORE} -printf '%P %y %U:%G %m %l\n'"));
    found
        .lines()
        .map(|line| line.trim_end().to_string())
        .collect()
}

fn path_of(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

/// What a user's Podman makes: an image of a container and one that is built, volumes, a secret.
const MAKE: &str = "podman volume create -o o=uid=5,gid=6 owned
    podman volume create -o type=tmpfs -o device=tmpfs -o o=size=1m memory
    podman run --network none --name later -v own:/o tiny:1 sh -c 'rm /bin/ls; echo f > /f; chown 7:7 /f; echo o > /o/o; chown 8:8 /o/o; busybox chmod 4755 /o/o'
    podman run --rm --network none --user 7:8 -v data:/d tiny:1 true
    podman commit -q later made:1
    printf 'FROM tiny:1\\nRUN rm -r /bin/ls && echo b > /built && chown 9:9 /built\\n' | podman build -q --network none -t built:1 -
    echo -n other | podman secret create other -
    podman pod create --name pod";

/// What root's Podman says of it, and what is there.
const USE: [(&str, &str); 7] = [
    (
        "podman volume ls -q | sort | xargs",
        "data memory new own owned vol",
    ),
    (
        "podman secret ls --format '{{.Name}}' | sort | xargs",
        "other word",
    ),
    ("podman ps -aq --external", ""),
    (
        "podman run --rm --network none -v own:/o made:1 sh -c 'cat /f /o/o; stat -c %u:%a /f /o/o; test ! -e /bin/ls'",
        "f\no\n7:644\n8:4755",
    ),
    (
        "podman run --rm --network none --secret other --secret word -v owned:/w -v memory:/m built:1 \
         sh -c 'cat /run/secrets/other /run/secrets/word /built; stat -c %u /built; stat -c %u:%g /w; touch /m/x'",
        "otherwordb\n9\n5:6",
    ),
    (
        "podman run --rm --network none --user 7:8 -v data:/d tiny:1 sh -c 'touch /d/x; stat -c %u:%g /d /d/x'",
        "7:8\n7:8",
    ),
    (
        "podman run --name new -v new:/n -v vol:/v --network none tiny:1 sh -c 'cat /v/y; stat -c %u /v/y; echo n > /n/n'; podman start -a new",
        "y\n1000\ny\n1000",
    ),
];

#[test]
fn what_the_users_podman_made_comes_back() {
    need_root();
    for release in releases() {
        comes_back(&PodmanHost::new(release));
    }
}

fn comes_back(host: &PodmanHost) {
    host.populate_tiny();
    let plain = layout(host);
    host.idshift(&["podman", "migrate", "--to-user", USER, "--yes"])
        .exits(0);
    host.user(MAKE);
    refused(host, "has the pod pod.");
    host.user("podman pod rm pod");
    refused(host, "`podman rm two`");
    host.user("podman rm -a");
    host.root("podman volume create roots");
    refused(host, "holds 0 images, 0 containers, 1 volume");
    // The files of the boot are for this store, too.
    host.root("install -d -m 700 /srv/other");
    let other = revert(host, &["--storage", "/srv/other", "--dry-run"]).exits(0);
    let told = other.text() + &other.stderr;
    assert!(
        told.contains("1 volume") && !told.contains("rm -f /run/libpod/alive"),
        "{other}"
    );
    host.root("podman volume rm roots");
    refused_now(host, "still runs process");
    host.log_out();
    refused_now(host, "root's Podman has been used since the last boot");
    host.root("rm -f /run/libpod/alive /dev/shm/libpod_lock");

    let there = host.state();
    revert(host, &["--dry-run"])
        .exits(0)
        .says("contents of images, containers and volumes are not checked");
    same(&there, &host.state(), "after a dry run");
    revert(host, &[]).exits(0).says("Now root works with it");
    host.idshift(&["verify", "latest"]).exits(0);
    host.idshift(&["rollback", "latest"]).exits(0);
    same(&there, &host.state(), "after a rollback");
    revert(host, &[]).exits(0);

    let store = fs::metadata(host.host.path(STORE)).unwrap();
    assert_eq!((store.uid(), store.mode() & 0o7777), (0, 0o700));
    let back = layout(host);
    let paths: BTreeSet<&str> = back.iter().map(|line| path_of(line)).collect();
    let is_taken = |line: &&String| {
        let of = [
            "overlay/",
            "overlay-images/",
            "overlay-layers/",
            "secrets",
            "volumes",
            "db.sql",
        ];
        of.iter().any(|name| line.starts_with(name)) && paths.contains(path_of(line))
    };
    let wrong: Vec<&String> = plain.difference(&back).filter(is_taken).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let ids = [format!(" {}:", host.ids.uid), format!(":{} ", host.ids.gid)];
    let is_users = |line: &&String| ids.iter().any(|id| line.contains(id));
    assert_eq!(back.iter().find(is_users), None);

    host.root("podman volume create new");
    for (command, expected) in USE {
        assert_eq!(host.root(command), expected, "{command}");
    }
    assert_eq!(host.root("podman system check"), "");
    let there = host.state();
    for more in [&[][..], &["--force"]] {
        host.idshift(&[&["rollback", "latest"], more].concat())
            .exits(4)
            .says("`idshift podman migrate --to-user USER` gives that user all there is now");
        same(&there, &host.state(), "a rollback that is refused");
    }
}

#[test]
fn the_way_back_survives_a_kill_anywhere() {
    let stage = Stage::new("podman rm two");
    let state = || stage.state();
    let made = || state().iter().map(|it| without_what_is_new(it)).collect();
    killed_at_any_place(
        &Killed {
            part: "Podman",
            what: "podman revert",
            idshift: &|| stage.host.idshift(),
            command: &|idshift: &Idshift| idshift.command(REVERT),
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`podman revert` of a real store is finished or undone to the byte",
    );
}
