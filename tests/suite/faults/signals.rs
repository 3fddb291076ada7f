//! A run that is interrupted or killed at any moment is finished by `resume` and undone by
//! `rollback`, to the same bytes.

use std::cell::{Cell, RefCell};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::idshift::shift_args;
use crate::support::{Idshift, Kind, MAP, Numbers, Run, Snapshot, TestFs, assert_same, long, tree};
use nix::dir::Dir;
use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::Pid;

const INODES: usize = 60_000;

/// A tree that takes a while, and what it must be at the start and at the end of a run.
struct Place {
    _fs: TestFs,
    tree: PathBuf,
    start: Snapshot,
    end: Snapshot,
}

fn place() -> Place {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), INODES);
    let start = Snapshot::of(&tree);
    let end = start.shifted(&[MAP]);
    Place {
        _fs: fs,
        tree,
        start,
        end,
    }
}

impl Place {
    fn shift_args(&self) -> Vec<OsString> {
        shift_args(&self.tree, &[MAP], &[])
    }

    #[track_caller]
    fn is_at_start(&self, when: &str) {
        assert_same(&self.start, &Snapshot::of(&self.tree), when);
    }

    #[track_caller]
    fn is_at_end(&self, when: &str) {
        assert_same(&self.end, &Snapshot::of(&self.tree), when);
    }

    /// Some inodes are shifted, some not.
    fn is_midway(&self) -> bool {
        let paths = names(&self.tree).into_iter().flat_map(|dir| names(&dir));
        let shifted: Vec<bool> = paths.map(|path| is_shifted(&path)).collect();
        shifted.contains(&true) && shifted.contains(&false)
    }

    /// Every hundredth inode or so: whether they are shifted.
    fn sample(&self) -> Vec<bool> {
        let paths = self.start.lines().keys().step_by(97);
        let paths = paths.map(|path| self.tree.join(OsStr::from_bytes(path)));
        paths.map(|path| is_shifted(&path)).collect()
    }

    /// Undoes what the newest journal says, or finishes it and undoes that.
    fn end(&self, idshift: &Idshift, how: How) {
        if how == How::Finish {
            idshift.resume();
            self.is_at_end("after the resume");
            idshift.run(["verify", "latest"]).exits(0);
        }
        idshift.rollback();
        self.is_at_start("after the rollback");
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Finish,
    Undo,
}

/// What a directory holds, read without setting its atime.
fn names(dir: &Path) -> Vec<PathBuf> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOATIME;
    let entries = Dir::open(dir, flags, Mode::empty()).unwrap().into_iter();
    let names = entries.map(|entry| entry.unwrap().file_name().to_bytes().to_vec());
    let names = names.filter(|name| name != b"." && name != b"..");
    names
        .map(|name| dir.join(OsString::from_vec(name)))
        .collect()
}

fn is_shifted(path: &Path) -> bool {
    path.symlink_metadata().unwrap().uid() >= 100_000
}

/// Sends signals at random moments in the middle of a run.
struct Shooter {
    /// Seconds after the first change within which a signal comes: less when it came too late.
    spread: Cell<f64>,
    numbers: RefCell<Numbers>,
}

/// Where a signal came.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hit {
    Midway,
    Missed,
}

impl Hit {
    fn when(is_midway: bool) -> Hit {
        match is_midway {
            true => Hit::Midway,
            false => Hit::Missed,
        }
    }
}

impl Shooter {
    fn seeded(seed: u64) -> Shooter {
        Shooter {
            spread: Cell::new(0.3),
            numbers: RefCell::new(Numbers::seeded(seed)),
        }
    }

    /// Some part of so many seconds.
    fn wait_within(&self, seconds: f64) {
        let part = self.numbers.borrow_mut().below(1000) as f64 / 1000.0;
        std::thread::sleep(Duration::from_secs_f64(seconds * part));
    }

    /// Starts a command line and sends it these signals at some moment after its first change.
    fn shoot(&self, it: &Place, idshift: &Idshift, args: &[OsString], signals: &[Signal]) -> Run {
        let before = it.sample();
        let mut child = idshift.spawn(args);
        while it.sample() == before && child.try_wait().expect("a child").is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.wait_within(self.spread.get());
        end_with(child, signals)
    }

    /// Repeats an attempt until enough of them hit the middle.
    fn until_hit(&self, wanted: usize, mut attempt: impl FnMut(How) -> Hit) {
        let mut hits = 0;
        for _ in 0..wanted * 20 {
            let how = if hits % 2 == 0 {
                How::Finish
            } else {
                How::Undo
            };
            match attempt(how) {
                Hit::Midway => hits += 1,
                // Never too early: a shot waits for the first change.
                Hit::Missed => self.spread.set(self.spread.get() * 0.7),
            }
            if hits == wanted {
                return;
            }
        }
        panic!("only {hits} of {wanted} signals came in the middle of a run");
    }
}

fn end_with(mut child: Child, signals: &[Signal]) -> Run {
    for signal in signals {
        if child.try_wait().expect("a child").is_none() {
            kill(Pid::from_raw(child.id() as i32), *signal).expect("a child");
        }
    }
    Run::wait(child)
}

fn rounds() -> usize {
    if long() { 20 } else { 2 }
}

/// Shoots at a run that shifts the tree, and undoes or finishes it.
fn shoot_a_shift(
    it: &Place,
    shooter: &Shooter,
    args: &[OsString],
    signals: &[Signal],
    how: How,
) -> Hit {
    let idshift = Idshift::new();
    let run = shooter.shoot(it, &idshift, args, signals);
    if run.code == Some(0) {
        it.end(&idshift, How::Undo);
        return Hit::Missed;
    }
    let is_midway = it.is_midway();
    match signals[0] {
        Signal::SIGKILL => assert_eq!(run.signal, Some(9), "{run}"),
        _ => {
            let journal = idshift.the_journal();
            let journal = journal.to_str().unwrap();
            let run = run.exits(130).says(&format!("idshift resume {journal}"));
            let run = run.says(&format!("idshift rollback {journal}"));
            assert_eq!(run.json()["ending"], "interrupted");
        }
    }
    it.end(&idshift, how);
    Hit::when(is_midway)
}

/// Also where it has not changed anything yet, or not even begun a journal.
#[test]
fn a_run_killed_early_can_be_finished_or_undone_too() {
    let it = place();
    let shooter = Shooter::seeded(19);
    for round in 0..2 * rounds() {
        let idshift = Idshift::new();
        let child = idshift.spawn(it.shift_args());
        shooter.wait_within(0.2);
        end_with(child, &[Signal::SIGKILL]);
        match (is_begun(&idshift), round % 2) {
            (false, _) => it.is_at_start("it had not begun"),
            (true, 0) => it.end(&idshift, How::Finish),
            (true, _) => it.end(&idshift, How::Undo),
        }
    }
}

/// Whether there is a journal with at least its header: else nothing was done.
fn is_begun(idshift: &Idshift) -> bool {
    let files = idshift.journal_files();
    files.iter().any(|file| {
        idshift
            .run(["journal", "check", file.to_str().unwrap()])
            .code
            == Some(0)
    })
}

fn a_shift_that_gets(signals: &[Signal], seed: u64, rounds: usize) {
    let it = place();
    let shooter = Shooter::seeded(seed);
    let args = it.shift_args();
    shooter.until_hit(rounds, |how| {
        shoot_a_shift(&it, &shooter, &args, signals, how)
    });
}

#[test]
fn a_run_stopped_by_sigint_can_be_finished_or_undone() {
    a_shift_that_gets(&[Signal::SIGINT], 11, rounds());
}

#[test]
fn sigterm_as_well() {
    a_shift_that_gets(&[Signal::SIGTERM], 12, rounds());
}

#[test]
fn more_signals_do_not_break_what_the_first_one_began() {
    a_shift_that_gets(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT], 13, 1);
}

#[test]
fn a_killed_run_can_be_finished_or_undone() {
    a_shift_that_gets(&[Signal::SIGKILL], 14, 2 * rounds());
}

/// What is applied from a manifest is journalled whole before the first change.
#[test]
fn a_killed_manifest_run_can_be_finished_or_undone() {
    let it = place();
    let manifests = tempfile::tempdir().unwrap();
    let manifest = manifests.path().join("manifest.jsonl");
    let more = ["--dry-run", "--manifest", manifest.to_str().unwrap()];
    Idshift::new().shift_with(&it.tree, &more).exits(0);
    let args = [
        "shift",
        "--json",
        "--from-manifest",
        manifest.to_str().unwrap(),
    ]
    .map(OsString::from);
    let shooter = Shooter::seeded(15);
    shooter.until_hit(rounds(), |how| {
        shoot_a_shift(&it, &shooter, &args, &[Signal::SIGKILL], how)
    });
}

#[test]
fn a_killed_rollback_goes_on() {
    let it = place();
    let shooter = Shooter::seeded(16);
    let args = ["rollback", "latest", "--json"].map(OsString::from);
    shooter.until_hit(rounds(), |_| {
        let idshift = Idshift::new();
        idshift.shift(&it.tree);
        let run = shooter.shoot(&it, &idshift, &args, &[Signal::SIGKILL]);
        if run.code == Some(0) {
            it.is_at_start("after the rollback");
            return Hit::Missed;
        }
        let is_midway = it.is_midway();
        idshift.rollback();
        it.is_at_start("after the second rollback");
        Hit::when(is_midway)
    });
}

#[test]
fn a_killed_resume_goes_on_or_is_undone() {
    let it = place();
    let (first, second) = (Shooter::seeded(17), Shooter::seeded(18));
    let (shift, resume) = (
        it.shift_args(),
        ["resume", "latest", "--json"].map(OsString::from),
    );
    second.until_hit(rounds(), |how| {
        let mut cut_once = None;
        first.until_hit(1, |_| {
            let idshift = Idshift::new();
            let run = first.shoot(&it, &idshift, &shift, &[Signal::SIGKILL]);
            if run.code == Some(0) {
                idshift.rollback();
                return Hit::Missed;
            }
            if !it.is_midway() {
                idshift.rollback();
                return Hit::Missed;
            }
            cut_once = Some(idshift);
            Hit::Midway
        });
        let idshift = cut_once.expect("it was hit");
        let run = second.shoot(&it, &idshift, &resume, &[Signal::SIGKILL]);
        if run.code == Some(0) {
            it.is_at_end("after the resume");
            it.end(&idshift, How::Undo);
            return Hit::Missed;
        }
        // The first one's half is there in any case.
        it.end(&idshift, how);
        Hit::Midway
    });
}

/// A tree that somebody goes on using: what comes and goes during a run hurts nothing else.
#[test]
fn names_that_come_and_go_during_a_run_do_no_harm() {
    let it = place();
    let busy = it.tree.join("busy");
    std::fs::create_dir(&busy).unwrap();
    let idshift = Idshift::new();
    let stop = AtomicBool::new(false);
    let run = std::thread::scope(|scope| {
        scope.spawn(|| come_and_go(&busy, &stop));
        let run = idshift.shift_with(&it.tree, &["--allow-in-use"]);
        stop.store(true, Ordering::Relaxed);
        run
    });
    let run = run.exits(0);
    // What it shifted and what is gone by now are conflicts.
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

fn come_and_go(dir: &Path, stop: &AtomicBool) {
    let file = |number: u64| dir.join((number % 50).to_string());
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::fs::write(file(number), "x").unwrap();
        let _ = std::fs::rename(file(number), file(number + 7));
        let _ = std::fs::remove_file(file(number + 20));
    }
}
