//! A data-root of Docker's that somebody has arranged, or changes all the time, while it is carried into
//! a range and back: nothing outside of it changes, nothing hangs, and what was done can be undone.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::adversary::Adversary;
use crate::support::hostile::{make_canary, outside, run, run_command};
use crate::support::scene::{Scene, docker_args, migrate};
use crate::support::trace::{self, Then};
use crate::support::{
    Idshift, Kind, Numbers, Promise, Run, Snapshot, TestFs, assert_same, data_root, docker, long,
    sh,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

const PART: &str = "Hostile trees";
const INNER: &str = "100000.100000";

/// Files outside of a data-root; a directory among them looks like one of a daemon's, so that whoever follows
/// a symlink to it finds work there.
fn canary(fs: &TestFs) -> (PathBuf, Snapshot) {
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
const PLACES: [&str; 20] = [
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

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

fn docker_run(idshift: &Idshift, what: &str, top: &Path, more: &[&str]) -> Run {
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
        "`docker audit`, `migrate` and `revert` of a data-root in which anything is something else: nothing outside \
         changes, nothing hangs, and it is as it was, or rolled back to that",
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

/// A process that works in a directory; ended when dropped.
struct Worker(Child);

impl Worker {
    fn in_directory(dir: &Path) -> Worker {
        let mut sleep = Command::new("sleep");
        let child = sleep.arg("600").current_dir(dir).spawn().unwrap();
        // Until it runs its program it may be anywhere.
        let cwd = format!("/proc/{}/cwd", child.id());
        while !fs::read_link(&cwd).is_ok_and(|at| at == dir) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Worker(child)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_data_root_in_use_is_changed_by_no_command() {
    let promise = Promise::new(
        PART,
        "A data-root that a process uses is left alone by migrate, revert, resume and rollback; one that is taken into \
         use under a migration is given back as it was",
        "a process that works in it before each of them, and from each of some system calls of a migration on",
    );
    let scene = migrate(Kind::Ext4);
    let top = &scene.top;
    // Where it is at that moment.
    let in_volumes = || {
        let places = [top.join("volumes"), top.join(INNER).join("volumes")];
        let place = places.iter().find(|place| place.is_dir());
        Worker::in_directory(place.unwrap())
    };
    let refused = |run: Run| {
        let run = run.exits(4);
        assert!(run.stderr.contains("in use by process"), "{run}");
        promise.held();
    };
    let idshift = Idshift::new();
    let worker = in_volumes();
    refused(docker_run(&idshift, "migrate", top, &[]));
    scene.is_at_start("in use");
    drop(worker);

    // Killed before its first step, and after its last.
    let events = scene.events();
    assert!(trace::kill_at(&scene.command(&idshift), events / 3));
    let worker = in_volumes();
    refused(run(&idshift, &["resume", "latest"]));
    refused(run(&idshift, &["rollback", "latest"]));
    drop(worker);
    run(&idshift, &["resume", "latest"]).exits(0);
    scene.is_at_end("resumed");
    let worker = in_volumes();
    refused(docker_run(&idshift, "revert", top, &[]));
    refused(run(&idshift, &["rollback", "latest"]));
    scene.is_at_end("in use");
    drop(worker);
    scene.roll_back(&idshift, "no more in use");

    // While it is migrated: before the first owner, and before the last.
    // Those of the steps come after the last look at who uses it.
    let owners = Run::of(&mut scene.command(&idshift))
        .exits(0)
        .count("changed");
    scene.roll_back(&idshift, "counted");
    for n in [1, owners] {
        let (mut at, mut worker) = (0, None);
        let run = trace::run(&scene.command(&idshift), |event| {
            if matches!(event, trace::Event::Before(call) if call.name == "fchownat") {
                at += 1;
                if at == n {
                    worker = Some(in_volumes());
                }
            }
            Then::GoOn
        });
        let when = format!("in use from owner {n} of {owners} on: {run}");
        assert_eq!(run.code, Some(1), "{when}");
        assert!(
            run.text().contains("was taken into use meanwhile"),
            "{when}"
        );
        scene.is_at_start(&when);
        drop(worker);
        promise.held();
    }
}

/// The same, where idshift does not see who else is there: it would refuse to begin.
fn unseen(command: &Command) -> Command {
    let mut alone = Command::new("unshare");
    alone.args(["--pid", "--fork", "--mount-proc", "--kill-child=KILL"]);
    alone.arg(command.get_program()).args(command.get_args());
    alone
}

/// A data-root with a volume and a layer that somebody can write to.
struct Place {
    scene: Scene,
    canary: PathBuf,
    before: Snapshot,
    start: Vec<String>,
}

/// What the adversary has for itself.
const THEIRS: [&str; 2] = ["volumes/theirs/_data", "overlay2/theirs/diff"];

impl Place {
    fn new(kind: Kind) -> Place {
        let scene = migrate(kind);
        scene.fs.keep_atimes();
        let (canary, before) = canary(&scene.fs);
        for theirs in THEIRS {
            fs::create_dir_all(scene.top.join(theirs)).unwrap();
        }
        let mut place = Place {
            scene,
            canary,
            before,
            start: Vec::new(),
        };
        place.start = place.look();
        place
    }

    fn top(&self) -> &Path {
        &self.scene.top
    }

    /// All but what the adversary does.
    fn look(&self) -> Vec<String> {
        let is_ours = |line: &String| {
            let line: Value = serde_json::from_str(line).unwrap();
            let path = line["path"].as_str().unwrap_or("").to_string();
            let path = path.strip_prefix(&format!("{INNER}/")).unwrap_or(&path);
            line["path"].is_string() && !THEIRS.iter().any(|theirs| path.starts_with(theirs))
        };
        let mut lines = docker::timeless(&docker::snapshot(self.top()));
        lines.retain(is_ours);
        lines
    }

    fn run(&self, idshift: &Idshift, args: &[String]) -> Run {
        let command = unseen(&idshift.command(args));
        run_command(idshift, &command, &strs(args))
    }

    fn docker(&self, idshift: &Idshift, what: &str, more: &[&str]) -> Run {
        self.run(idshift, &docker_args(what, self.top(), more))
    }

    fn of_journal(&self, idshift: &Idshift, args: &[&str]) -> Run {
        self.run(
            idshift,
            &args.iter().map(|arg| arg.to_string()).collect::<Vec<_>>(),
        )
    }

    /// Undoes all runs, newest first. `strictly`: nobody changes what is not theirs, so that all the rest must be as
    /// at the start.
    #[track_caller]
    fn undo_all(&self, idshift: &Idshift, strictly: bool, adversaries: &[Adversary], when: &str) {
        for journal in idshift.journal_files().iter().rev() {
            let journal = journal.to_str().unwrap();
            let undone = self.of_journal(idshift, &["rollback", journal, "--json"]);
            let when = format!("{when}: {undone}");
            match undone.code {
                Some(0) => {}
                // What is theirs may be gone by now, or be another's.
                Some(3) => {
                    let mut strange = undone.problem_paths();
                    assert!(!strange.is_empty(), "{when}");
                    strange.retain(|path| !THEIRS.iter().any(|theirs| path.contains(theirs)));
                    assert!(!strictly || strange.is_empty(), "{strange:?} {when}");
                }
                _ => assert!(!strictly && undone.code == Some(4), "{when}"),
            }
        }
        if strictly {
            let now = Adversary::at_rest(adversaries, || self.look());
            docker::same(&self.start, &now, when);
        }
    }

    /// Migrates, is killed midway.
    fn kill_one(&self, idshift: &Idshift, what: &str, after: Duration) {
        let args = docker_args(what, self.top(), &["--keep-going"]);
        let mut command = unseen(&idshift.command(args));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(after);
        let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
        child.wait().unwrap();
    }
}

/// All that a person may do with a data-root, one after the other.
fn commands(
    place: &Place,
    numbers: &mut Numbers,
    strictly: bool,
    adversaries: &[Adversary],
    when: &str,
    promise: &Promise,
) -> u64 {
    let mut carried = 0;
    let mut does = |idshift: &Idshift, what: &str, more: &[&str]| {
        let run = place.docker(idshift, what, more);
        carried += u64::from(matches!(run.code, Some(0 | 3)));
        promise.held();
        run
    };
    let idshift = Idshift::new();
    does(&idshift, "migrate", &["--dry-run", "--json"]);
    does(&idshift, "migrate", &["--json"]);
    place.undo_all(&idshift, strictly, adversaries, &format!("{when}: migrate"));
    let idshift = Idshift::new();
    does(
        &idshift,
        "migrate",
        &["--keep-going", "--set-userns-host", "--json"],
    );
    place.of_journal(&idshift, &["verify", "latest", "--json"]);
    does(&idshift, "revert", &["--keep-going", "--json"]);
    place.undo_all(
        &idshift,
        strictly,
        adversaries,
        &format!("{when}: migrate, revert"),
    );
    for what in ["migrate", "revert"] {
        let idshift = Idshift::new();
        let longest = 400 + 400 * u64::from(what == "revert");
        place.kill_one(
            &idshift,
            what,
            Duration::from_millis(numbers.below(longest)),
        );
        if numbers.below(2) == 0 && !idshift.journal_files().is_empty() {
            place.of_journal(&idshift, &["resume", "latest", "--json"]);
        }
        place.undo_all(
            &idshift,
            strictly,
            adversaries,
            &format!("{when}: {what}, killed"),
        );
        promise.held();
    }
    carried
}

fn while_an_adversary_is_at_work(swaps_places: bool, seconds: u64, promise: &Promise) {
    let mut numbers = Numbers::seeded(6);
    let start = Instant::now();
    let (mut carried, mut done) = (0, 0);
    for seed in 0.. {
        let place = Place::new(if seed % 2 == 0 {
            Kind::Ext4
        } else {
            Kind::Tmpfs
        });
        let when = format!("seed {seed}");
        // Hard links to what is outside keep a migration from starting.
        let options: &[&str] = if seed % 3 == 2 { &[] } else { &["--no-links"] };
        let places: Vec<PathBuf> = match swaps_places {
            true => PLACES.iter().map(|below| place.top().join(below)).collect(),
            false => Vec::new(),
        };
        let open = |theirs| (theirs, File::open(place.top().join(theirs)).unwrap());
        let adversaries = THEIRS.map(open).map(|(theirs, dir)| {
            // One of them at the daemon's own places is enough.
            let places = if theirs.ends_with("_data") {
                &places[..]
            } else {
                &[]
            };
            Adversary::start_with(options, &dir, &place.canary, seed, places)
        });
        carried += commands(
            &place,
            &mut numbers,
            !swaps_places,
            &adversaries,
            &when,
            promise,
        );
        for adversary in adversaries {
            done += adversary.end();
        }
        assert_same(&place.before, &outside(&place.canary), &when);
        if start.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    println!("{done} things were done, {carried} times something was carried");
    assert!(done > 500, "an adversary that did only {done} things");
    assert!(carried > 0 || swaps_places, "nothing was ever carried");
}

const HOW: &str = "migrate, dry runs, verify, revert, kills, resume and rollback, while two processes that idshift does \
                   not see swap names for symlinks, hard links to files outside, fifos and devices";

#[test]
fn a_volume_and_a_layer_changed_all_the_time() {
    let promise = Promise::new(
        PART,
        "Who can write in a volume or a layer while a data-root is carried: nothing outside changes, nothing hangs, all \
         that is not theirs is rolled back to the byte",
        HOW,
    );
    while_an_adversary_is_at_work(false, if long() { 300 } else { 5 }, &promise);
}

#[test]
fn a_data_root_with_all_places_swapped_all_the_time() {
    let promise = Promise::new(
        PART,
        "Also where the places of the daemon itself are swapped: nothing outside changes, nothing hangs, and what cannot \
         be undone is said",
        HOW,
    );
    while_an_adversary_is_at_work(true, if long() { 300 } else { 5 }, &promise);
}

/// `cp` goes by paths: where it is let into another directory, it copies that.
#[test]
fn a_copy_is_made_only_where_nobody_else_can_get_in() {
    let promise = Promise::new(
        PART,
        "`docker migrate --copy` copies only while nobody but root can get into the data-root",
        "data-roots that others, or a group, can search",
    );
    let scene = migrate(Kind::Tmpfs);
    let top = &scene.top;
    let idshift = Idshift::new();
    let own = |gid: u32, mode: u32| {
        std::os::unix::fs::chown(top, Some(0), Some(gid)).unwrap();
        fs::set_permissions(top, fs::Permissions::from_mode(mode)).unwrap();
    };
    for (gid, mode) in [(0, 0o711), (33, 0o710), (0, 0o755)] {
        own(gid, mode);
        let start = docker::snapshot(top);
        for more in [&["--copy"][..], &["--copy", "--dry-run"]] {
            let refused = docker_run(&idshift, "migrate", top, more).exits(4);
            assert!(refused.stderr.contains("chmod 0710"), "{refused}");
        }
        docker::same(&start, &docker::snapshot(top), "refused");
        promise.held();
    }
    for (gid, mode) in [(0, 0o710), (33, 0o700)] {
        own(gid, mode);
        docker_run(&idshift, "migrate", top, &["--copy"]).exits(0);
        run(&idshift, &["rollback", "latest"]).exits(0);
        fs::remove_dir_all(top.join("idshift-copy-100000.100000")).unwrap();
        promise.held();
    }
}
