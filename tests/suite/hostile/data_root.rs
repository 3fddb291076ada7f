//! A data-root of Docker's in which anything may be something else while it is carried into a range and back: nothing
//! outside of it changes, nothing hangs, and what was done can be undone.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::hostile::{make_canary, outside, run, run_command};
use crate::support::scene::{docker_args, migrate};
use crate::support::{
    Idshift, Kind, Promise, Run, Snapshot, TestFs, assert_same, data_root, docker, long, sh,
};

pub const PART: &str = "Hostile trees";
pub const INNER: &str = "100000.100000";

/// Files outside of a data-root; a directory among them looks like one of a daemon's, so that whoever follows
/// a symlink to it finds work there.
pub fn canary(fs: &TestFs) -> (PathBuf, Snapshot) {
    let canary = fs.path().join("canary");
    make_canary(&canary);
    let bait = data_root::filled(&canary.join("directory/docker"));
    for (from, to) in [
        ("containers/4567", "4567"),
        ("overlay2/0123", "0123"),
        ("overlay2/0123/diff", "diff"),
        ("overlay2/0123/diff", "_data"),
        ("containers/4567/config.v2.json", "config.v2.json"),
        ("containers/4567/hostconfig.json", "hostconfig.json"),
    ] {
        let to = canary.join("directory").join(to);
        sh(
            "cp",
            ["-a".as_ref(), bait.join(from).as_os_str(), to.as_os_str()],
        );
    }
    // As files beside the others too: the adversary takes those for its links.
    fs::copy(
        bait.join("containers/4567/config.v2.json"),
        canary.join("config"),
    )
    .unwrap();
    let before = outside(&canary);
    (canary, before)
}

/// What is put where something of a daemon's should be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Thing {
    LinkToFile,
    LinkToDirectory,
    LinkToNothing,
    SecondName,
    Fifo,
    EndlessDevice,
    Socket,
    Directory,
    Garbage,
    Nothing,
}

const THINGS: [Thing; 10] = [
    Thing::LinkToFile,
    Thing::LinkToDirectory,
    Thing::LinkToNothing,
    Thing::SecondName,
    Thing::Fifo,
    Thing::EndlessDevice,
    Thing::Socket,
    Thing::Directory,
    Thing::Garbage,
    Thing::Nothing,
];

impl Thing {
    fn put(self, at: &Path, canary: &Path) {
        match self {
            Thing::LinkToFile => symlink(canary.join("config"), at).unwrap(),
            Thing::LinkToDirectory => symlink(canary.join("directory"), at).unwrap(),
            Thing::LinkToNothing => symlink("nowhere", at).unwrap(),
            Thing::SecondName => fs::hard_link(canary.join("config"), at).unwrap(),
            Thing::Fifo => sh("mkfifo", [at]),
            Thing::EndlessDevice => sh("mknod", [at.to_str().unwrap(), "c", "1", "5"]),
            Thing::Socket => drop(UnixListener::bind(at).unwrap()),
            Thing::Directory => fs::create_dir(at).unwrap(),
            Thing::Garbage => fs::write(at, "{\"Name\": \u{fffd}").unwrap(),
            Thing::Nothing => {}
        }
    }

    fn take_away(self, at: &Path) {
        match self {
            Thing::Nothing => {}
            Thing::Directory => fs::remove_dir_all(at).unwrap(),
            _ => fs::remove_file(at).unwrap(),
        }
    }
}

/// Places that are read, changed, renamed, rewritten or made.
pub const PLACES: [&str; 20] = [
    "containers/4567/config.v2.json",
    "containers/4567/hostconfig.json",
    "containers/4567/config.v2.json.idshift-new",
    "containers/4567/hostname",
    "containers/4567",
    "containers",
    "volumes/named/_data",
    "volumes/named/opts.json",
    "volumes/named",
    "volumes",
    "overlay2/0123/diff",
    "overlay2/0123/diff/dir",
    "overlay2/0123",
    "overlay2",
    "image/overlay2/imagedb/content/sha256",
    "image/overlay2/layerdb",
    "image",
    "network",
    INNER,
    "idshift-aside-100000.100000",
];

/// Does `work` with something else in a place of a data-root; then that is as it was before.
fn with(thing: Thing, place: &Path, canary: &Path, work: impl FnOnce()) {
    let aside = canary.with_file_name("aside");
    let is_there = place.symlink_metadata().is_ok();
    if is_there {
        fs::rename(place, &aside).unwrap();
    }
    let can_be = place.parent().is_some_and(Path::is_dir);
    if can_be {
        thing.put(place, canary);
    }
    work();
    // A file that a killed run was writing goes when the next one writes it.
    if can_be && place.symlink_metadata().is_ok() {
        thing.take_away(place);
    }
    if is_there {
        fs::rename(&aside, place).unwrap();
    }
}

/// What is in a data-root, but for what a killed run left.
fn look(top: &Path) -> Vec<String> {
    let mut lines = docker::timeless(&docker::snapshot(top));
    lines.retain(|line| !line.contains(".idshift-new"));
    lines
}

pub fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

pub fn docker_run(idshift: &Idshift, what: &str, top: &Path, more: &[&str]) -> Run {
    run(idshift, &strs(&docker_args(what, top, more)))
}

fn audit(top: &Path) -> Run {
    // It has no journal directory of its own.
    let nowhere = Idshift::new();
    let mut command = Command::new(Idshift::program());
    command.args(docker_args("audit", top, &[]));
    run_command(&nowhere, &command, &[])
}

#[test]
fn metadata_that_is_something_else() {
    let promise = Promise::new(
        PART,
        "`docker audit`, `migrate` and `revert` of a data-root in which files are replaced by other types (symlinks, fifos, \
         ...): nothing outside changes, nothing hangs, and it is as it was, or rolled back to that",
        "each place that they read, change, rename, rewrite or make x symlinks to files and directories outside, second \
         names of a file outside, fifos, endless devices, sockets, directories, garbage, nothing",
    );
    let scene = migrate(if long() { Kind::Ext4 } else { Kind::Tmpfs });
    let (canary, before) = canary(&scene.fs);
    let top = scene.top.clone();
    let all: Vec<(&str, Thing)> = PLACES
        .into_iter()
        .flat_map(|place| THINGS.map(|thing| (place, thing)))
        .collect();
    // In the short form some, and what could be waited for.
    let waits = |thing| {
        matches!(
            thing,
            Thing::Fifo | Thing::EndlessDevice | Thing::LinkToFile
        )
    };
    let is_chosen = |n: usize, place: &str, thing: Thing| {
        long() || n.is_multiple_of(67) || (waits(thing) && place.ends_with("config.v2.json"))
    };
    let mut done = 0;
    for (n, (place, thing)) in all.into_iter().enumerate() {
        if !is_chosen(n, place, thing) {
            continue;
        }
        let when = format!("{thing:?} at {place}");
        let more: &[&str] = if n % 2 == 0 { &[] } else { &["--keep-going"] };
        // On the way there.
        with(thing, &top.join(place), &canary, || {
            let start = look(&top);
            audit(&top);
            let idshift = Idshift::new();
            docker_run(&idshift, "migrate", &top, &["--dry-run", "--json"]);
            let migrated = docker_run(&idshift, "migrate", &top, more);
            done += u64::from(migrated.code == Some(0));
            roll_back(&idshift, &when);
            docker::same(&start, &look(&top), &format!("{when}: {migrated}"));
        });
        // On the way back.
        let idshift = Idshift::new();
        docker_run(&idshift, "migrate", &top, &[]);
        with(thing, &top.join(INNER).join(place), &canary, || {
            let start = look(&top);
            audit(&top);
            let second = Idshift::new();
            docker_run(&second, "revert", &top, &["--dry-run", "--json"]);
            let reverted = docker_run(&second, "revert", &top, more);
            done += u64::from(reverted.code == Some(0));
            roll_back(&second, &when);
            docker::same(&start, &look(&top), &format!("{when}: {reverted}"));
        });
        roll_back(&idshift, &when);
        scene.is_at_start(&when);
        assert_same(&before, &outside(&canary), &when);
        promise.held_in(2);
    }
    println!("{} cases, {done} of them carried", promise.cases());
    assert!(done * 10 > promise.cases(), "only {done} were carried");
}

/// Undoes the latest run, if one did anything and has not undone itself.
#[track_caller]
fn roll_back(idshift: &Idshift, when: &str) {
    if idshift.journal_files().is_empty() {
        return;
    }
    let undone = run(idshift, &["rollback", "latest"]);
    if undone.code != Some(0) {
        assert_eq!(undone.code, Some(4), "{when}: {undone}");
        assert!(
            undone.stderr.contains("rolled back already"),
            "{when}: {undone}"
        );
    }
}
