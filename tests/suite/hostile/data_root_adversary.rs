//! A data-root that somebody changes all the time while it is carried into a range and back: nothing outside of it
//! changes, nothing hangs, and what was done can be undone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::data_root::{INNER, PART, PLACES, canary, strs};
use crate::support::adversary::Adversary;
use crate::support::hostile::{outside, run_command};
use crate::support::scene::{Scene, docker_args, migrate};
use crate::support::{Idshift, Kind, Numbers, Promise, Run, Snapshot, assert_same, docker, long};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// This command where idshift does not see who else is there: it would refuse to begin.
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
        "Also if names of the daemon's own files are swapped during the run: nothing outside changes, nothing hangs, and what cannot \
         be undone is said",
        HOW,
    );
    while_an_adversary_is_at_work(true, if long() { 300 } else { 5 }, &promise);
}
