//! A run that is interrupted or killed at any moment is finished by `resume` and undone by
//! `rollback`, to the same bytes.

mod support;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::idshift::shift_args;
use support::{Idshift, Kind, MAP, Numbers, Run, Snapshot, TestFs, assert_same, long, tree};

struct Place {
    _fs: TestFs,
    tree: PathBuf,
    start: Snapshot,
    end: Snapshot,
    /// How long an uninterrupted run takes.
    whole: Duration,
    numbers: Numbers,
}

const INODES: usize = 60_000;

fn place(seed: u64) -> Place {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::wide(&fs.path().join("tree"), INODES);
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    let begin = Instant::now();
    idshift.shift(&tree);
    let whole = begin.elapsed();
    idshift.rollback();
    let end = start.shifted(&[MAP]);
    let numbers = Numbers::seeded(seed);
    Place {
        _fs: fs,
        tree,
        start,
        end,
        whole,
        numbers,
    }
}

/// A way to be undone or finished.
type Ending = fn(&Place, &Idshift);

const ENDINGS: [Ending; 2] = [
    |it, idshift| {
        idshift.resume();
        assert_same(&it.end, &Snapshot::of(&it.tree), "after the resume");
        idshift.run(["verify", "latest"]).exits(0);
        idshift.rollback();
        assert_same(
            &it.start,
            &Snapshot::of(&it.tree),
            "after the rollback of the resumed run",
        );
    },
    |it, idshift| {
        idshift.rollback();
        assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
    },
];

fn signal(child: u32, signal: Signal) {
    kill(Pid::from_raw(child as i32), signal).expect("it is not waited for yet");
}

impl Place {
    /// Some inodes changed, some not.
    fn is_midway(&self) -> bool {
        let owners = support::output(
            "find",
            [self.tree.as_os_str(), "-printf".as_ref(), "%U\n".as_ref()],
        );
        let changed = owners
            .stdout
            .split(|&byte| byte == b'\n')
            .filter(|uid| uid.len() == 6)
            .count();
        (1..INODES - 1).contains(&changed)
    }

    /// A moment in the run, for a signal to come.
    fn moment(&mut self) -> Duration {
        self.whole * (5 + self.numbers.below(90) as u32) / 100
    }

    /// Starts a run and sends it a signal at some moment. None when it was over too soon, or had
    /// not begun; then everything is as it was.
    fn cut(
        &mut self,
        idshift: &Idshift,
        args: &[std::ffi::OsString],
        which: Signal,
    ) -> Option<Run> {
        let moment = self.moment();
        let child = idshift.spawn(args);
        std::thread::sleep(moment);
        signal(child.id(), which);
        let run = Run::wait(child);
        let hit = run.code != Some(0) && !idshift.journal_files().is_empty();
        if run.code == Some(0) {
            idshift.rollback();
        }
        hit.then_some(run)
    }

    fn shift_args(&self) -> Vec<std::ffi::OsString> {
        shift_args(&self.tree, &[MAP], &[])
    }
}

fn rounds() -> usize {
    if long() { 40 } else { 4 }
}

/// Attempts until enough of them hit a run in its middle.
fn until_hit(mut attempt: impl FnMut() -> bool, wanted: usize) {
    let mut hits = 0;
    for _ in 0..wanted * 25 {
        hits += usize::from(attempt());
        if hits == wanted {
            return;
        }
    }
    panic!("only {hits} of {wanted} signals came in the middle of a run");
}

fn interrupted(which: Signal, seed: u64) {
    let mut it = place(seed);
    let mut round = 0;
    let args = it.shift_args();
    until_hit(
        || {
            let idshift = Idshift::new();
            let Some(run) = it.cut(&idshift, &args, which) else {
                return false;
            };
            let run = run.exits(130);
            let journal = idshift.the_journal();
            let journal = journal.to_str().unwrap();
            let run = run.says(&format!("idshift resume {journal}"));
            let run = run.says(&format!("idshift rollback {journal}"));
            assert_eq!(run.json()["ending"], "interrupted");
            let is_midway = it.is_midway();
            ENDINGS[round % 2](&it, &idshift);
            round += usize::from(is_midway);
            is_midway
        },
        rounds() / 2,
    );
}

#[test]
fn sigint_stops_a_run_so_that_it_can_be_finished_or_undone() {
    interrupted(Signal::SIGINT, 11);
}

#[test]
fn sigterm_as_well() {
    interrupted(Signal::SIGTERM, 12);
}

#[test]
fn a_killed_run_can_be_finished_or_undone() {
    let mut it = place(13);
    let mut round = 0;
    let args = it.shift_args();
    until_hit(
        || {
            let idshift = Idshift::new();
            let Some(run) = it.cut(&idshift, &args, Signal::SIGKILL) else {
                return false;
            };
            assert_eq!(run.signal, Some(9), "{run}");
            let is_midway = it.is_midway();
            end_after_kill(&it, &idshift, round);
            round += usize::from(is_midway);
            is_midway
        },
        rounds(),
    );
}

/// A journal that was killed before its first frame was whole is none.
fn end_after_kill(it: &Place, idshift: &Idshift, round: usize) {
    let check = idshift.run(["journal", "check", idshift.the_journal().to_str().unwrap()]);
    match check.code {
        Some(0) => ENDINGS[round % 2](it, idshift),
        _ => assert_same(&it.start, &Snapshot::of(&it.tree), "killed before it began"),
    }
}

#[test]
fn a_killed_rollback_goes_on() {
    let mut it = place(14);
    let rollback = ["rollback", "latest", "--json"];
    until_hit(
        || {
            let idshift = Idshift::new();
            idshift.shift(&it.tree);
            let moment = it.moment();
            let child = idshift.spawn(&rollback);
            std::thread::sleep(moment);
            signal(child.id(), Signal::SIGKILL);
            let run = Run::wait(child);
            let is_midway = run.signal == Some(9) && it.is_midway();
            if run.code != Some(0) {
                idshift.rollback();
            }
            assert_same(
                &it.start,
                &Snapshot::of(&it.tree),
                "after the second rollback",
            );
            is_midway
        },
        rounds() / 2,
    );
}

#[test]
fn a_killed_resume_goes_on_or_is_undone() {
    let mut it = place(15);
    let mut round = 0;
    let (shift, resume) = (it.shift_args(), ["resume", "latest", "--json"]);
    until_hit(
        || {
            let idshift = Idshift::new();
            if it.cut(&idshift, &shift, Signal::SIGKILL).is_none() {
                return false;
            }
            let moment = it.moment() / 2;
            let child = idshift.spawn(&resume);
            std::thread::sleep(moment);
            signal(child.id(), Signal::SIGKILL);
            let run = Run::wait(child);
            let is_midway = run.signal == Some(9) && it.is_midway();
            match run.code {
                None => end_after_kill(&it, &idshift, round),
                Some(_) => ENDINGS[1](&it, &idshift),
            }
            round += 1;
            is_midway
        },
        rounds() / 2,
    );
}

/// What is applied from a manifest is journalled whole before the first change.
#[test]
fn a_killed_run_of_a_manifest_can_be_finished_or_undone() {
    let mut it = place(16);
    let manifests = tempfile::tempdir().unwrap();
    let manifest = manifests.path().join("manifest.jsonl");
    let dry = Idshift::new();
    let more = ["--dry-run", "--manifest", path(&manifest)];
    dry.shift_with(&it.tree, &more).exits(0);
    let args = ["shift", "--json", "--from-manifest", path(&manifest)].map(Into::into);
    let mut round = 0;
    until_hit(
        || {
            let idshift = Idshift::new();
            let Some(run) = it.cut(&idshift, &args, Signal::SIGKILL) else {
                return false;
            };
            assert_eq!(run.signal, Some(9), "{run}");
            let is_midway = it.is_midway();
            // Killed while the manifest was being journalled, there is nothing to finish.
            let listed = idshift
                .run(["journal", "show", "latest"])
                .text()
                .contains("Listed");
            end_after_kill(&it, &idshift, if listed { round } else { 1 });
            round += usize::from(is_midway);
            is_midway
        },
        rounds() / 2,
    );
}

/// Signals that come again and again do not break what the first one began.
#[test]
fn a_second_signal_changes_nothing() {
    let mut it = place(17);
    until_hit(
        || {
            let idshift = Idshift::new();
            let moment = it.moment();
            let child = idshift.spawn(it.shift_args());
            std::thread::sleep(moment);
            for which in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT] {
                signal(child.id(), which);
            }
            let run = Run::wait(child);
            if run.code == Some(0) {
                idshift.rollback();
                return false;
            }
            if idshift.journal_files().is_empty() {
                return false;
            }
            run.exits(130);
            let is_midway = it.is_midway();
            ENDINGS[0](&it, &idshift);
            is_midway
        },
        1,
    );
}

/// A tree that somebody goes on using: what comes and goes during the run is neither half shifted
/// nor lost.
#[test]
fn names_that_come_and_go_during_a_run_do_no_harm() {
    let it = place(18);
    let busy = it.tree.join("busy");
    std::fs::create_dir(&busy).unwrap();
    let idshift = Idshift::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| churn(&busy, &stop));
        let run = idshift.shift_with(&it.tree, &["--allow-in-use"]);
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        run
    });
    let run = run.exits(0);
    idshift.run(["rollback", "latest", "--json"]);
    std::fs::remove_dir_all(&busy).unwrap();
    let top = |path: &[u8]| path == b".";
    let now = Snapshot::of(&it.tree).without(top);
    assert_same(
        &it.start.clone().without(top),
        &now,
        &format!("after the rollback of {run}"),
    );
}

fn churn(dir: &Path, stop: &std::sync::atomic::AtomicBool) {
    for number in 0.. {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        let (one, two) = (
            dir.join(format!("{}", number % 50)),
            dir.join(format!("{}", (number + 7) % 50)),
        );
        std::fs::write(&one, "x").unwrap();
        let _ = std::fs::rename(&one, &two);
        let _ = std::fs::remove_file(dir.join(format!("{}", (number + 20) % 50)));
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
