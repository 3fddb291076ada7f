//! What goes on beside a run: files that come and go, another run, a clock that is set.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support;
use crate::support::place::Place;
use crate::support::scene::Scene;
use crate::support::trace::{self, Event, Then};
use crate::support::{
    Idshift, Kind, MAP, Numbers, Promise, Run, Snapshot, TestFs, assert_same, long, scene, tree,
};

const PART: &str = "Faults";

#[test]
fn inodes_that_vanish_and_appear_during_the_walk() {
    let promise = Promise::new(
        PART,
        "What vanishes or appears during the walk harms nothing else",
        "one inode removed, and others made, at some system call; all the rest is shifted, then rolled back, and the \
         one that is gone is reported",
    );
    let mut numbers = Numbers::seeded(44);
    for _ in 0..if long() { 40 } else { 3 } {
        let fs = TestFs::new(Kind::Tmpfs);
        let top = tree::specimens(&fs.path().join("tree"));
        let (gone, new) = (top.join("dir/below/fifo"), top.join("dir/new"));
        let start = Snapshot::of(&top);
        let idshift = Idshift::new();
        let command = idshift.command([
            "shift",
            "--json",
            "--jobs",
            "1",
            "--map",
            MAP,
            top.to_str().unwrap(),
        ]);
        let (n, mut at) = (numbers.below(60), 0);
        let run = trace::run(&command, |_: Event<'_>| {
            if at == n {
                std::fs::remove_file(&gone).unwrap();
                std::fs::write(&new, "new").unwrap();
            }
            at += 1;
            Then::GoOn
        });
        let when = format!("changed at event {n}");
        let run = run.exits(0);
        // Directories keep their own times.
        let apart = |path: &[u8]| {
            [&b"dir"[..], b"dir/below", b"dir/below/fifo", b"dir/new"].contains(&path)
        };
        let now = Snapshot::of(&top);
        assert_same(
            &start.shifted(&[MAP]).without(apart),
            &now.without(apart),
            &format!("{when}: {run}"),
        );
        let undone = idshift.run(["rollback", "latest", "--json"]);
        let conflicts = undone.problem_paths();
        let only_gone = conflicts.iter().all(|path| Path::new(path) == gone);
        assert!(only_gone, "{when}: {undone}");
        assert_eq!(
            undone.code,
            Some(if conflicts.is_empty() { 0 } else { 3 }),
            "{when}: {undone}"
        );
        assert_same(
            &start.clone().without(apart),
            &Snapshot::of(&top).without(apart),
            &when,
        );
        promise.held();
    }
}

/// How long another command is given while one stands still: it may wait for that one's lock.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs a command, and at its `n`-th call that reads or changes anything of the disk does something else, which is
/// over before that call is made unless it waits for the first.
fn meet<T: Send + 'static>(
    first: &Command,
    n: u64,
    second: impl FnOnce() -> T + Send + 'static,
) -> (Run, T) {
    let (mut at, mut second, mut other) = (0, Some(second), None);
    let first = trace::run_failing(first, |_| {
        if at >= n
            && let Some(second) = second.take()
        {
            // A thread's own: whoever traces the first waits for all children of this one.
            let thread = std::thread::spawn(second);
            let begun = Instant::now();
            while !thread.is_finished() && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(5));
            }
            other = Some(thread);
        }
        at += 1;
        None
    });
    // It may make fewer calls than it did.
    let other = match (other, second) {
        (Some(thread), _) => thread.join().unwrap(),
        (None, second) => second.unwrap()(),
    };
    (first, other)
}

/// Runs one command, and at its `n`-th call another.
fn both(first: &Command, n: u64, mut second: Command) -> [Run; 2] {
    meet(first, n, move || Run::of(&mut second)).into()
}

/// The calls of a command.
#[derive(Clone, Copy)]
struct Calls {
    number: u64,
    /// The one by which the lock is asked for.
    lock: u64,
}

fn calls(command: &Command) -> Calls {
    let (mut number, mut lock) = (0, None);
    trace::run_failing(command, |call| {
        let is_lock = call
            .inode()
            .is_some_and(|path| path.ends_with("idshift/gate"));
        if is_lock && lock.is_none() {
            lock = Some(number);
        }
        number += 1;
        None
    });
    let lock = lock.unwrap_or(number - 1);
    Calls { number, lock }
}

/// The moments about the lock, some others, and as many of the last ones. In the long form each of the last, and
/// each sixteenth of the others.
fn moments(calls: Calls, some: u64, numbers: &mut Numbers) -> Vec<u64> {
    let Calls { number, lock } = calls;
    let late = number.saturating_sub(if long() { 160 } else { 60 });
    let mut moments = vec![lock.saturating_sub(1), lock, lock + 2];
    match long() {
        true => moments.extend((0..late).step_by(16).chain(late..number)),
        false => moments.extend(
            (0..some).flat_map(|_| [numbers.below(number), late + numbers.below(number - late)]),
        ),
    }
    moments
}

fn shift(idshift: &Idshift, tree: &Path, more: &[&str]) -> Command {
    idshift.command(support::idshift::shift_args(tree, &[MAP], more))
}

#[test]
fn two_runs_at_once() {
    let promise = Promise::new(
        PART,
        "Of two runs at once on overlapping trees one works and the other is refused, or they come one after the other",
        "begun on a directory of the tree at each call of a run on all of it, and the other way round; all is shifted \
         once, and both rolled back",
    );
    let it = Place::new();
    let trees = [it.scene.top.clone(), it.scene.top.join("dir")];
    let inner = Snapshot::of(&trees[1]);
    let mut numbers = Numbers::seeded(46);
    let mut refused = 0;
    for (first, second) in [(0, 1), (1, 0)] {
        let alone = Idshift::new();
        let calls = calls(&shift(&alone, &trees[first], &[]));
        alone.rollback();
        for n in moments(calls, 3, &mut numbers) {
            let idshift = Idshift::new();
            let runs = both(
                &shift(&idshift, &trees[first], &[]),
                n,
                shift(&idshift, &trees[second], &[]),
            );
            let codes = [runs[0].code, runs[1].code];
            let when = format!(
                "tree {first}, the other from call {n} of {} on: {}\n{}",
                calls.number, runs[0], runs[1]
            );
            assert!(
                codes.iter().all(|code| [Some(0), Some(4)].contains(code)),
                "{when}"
            );
            assert!(codes.contains(&Some(0)), "{when}");
            refused += codes.iter().filter(|code| **code == Some(4)).count();
            let top_is_shifted = codes[first] == Some(0);
            match top_is_shifted {
                true => it.scene.is_at_end(&when),
                false => assert_same(&inner.shifted(&[MAP]), &Snapshot::of(&trees[1]), &when),
            }
            for journal in idshift.journal_files().iter().rev() {
                idshift
                    .run(["rollback".as_ref(), journal.as_os_str()])
                    .exits(0);
            }
            it.scene.is_at_start(&when);
            promise.held();
        }
    }
    assert!(refused > 0, "they never met");
}

#[test]
fn a_shift_beside_a_dry_run_of_the_same_tree() {
    let promise = Promise::new(
        PART,
        "A dry run in the tree is no user of it: a run works beside it",
        "a run begun and ended at each call of a dry run of the same tree; rolled back",
    );
    let it = Place::new();
    let mut numbers = Numbers::seeded(47);
    let dry = |idshift: &Idshift| shift(idshift, &it.scene.top, &["--dry-run"]);
    let calls = calls(&dry(&Idshift::new()));
    for n in moments(calls, 3, &mut numbers) {
        let idshift = Idshift::new();
        let runs = both(&dry(&idshift), n, shift(&idshift, &it.scene.top, &[]));
        let when = format!(
            "from call {n} of {} on: {}\n{}",
            calls.number, runs[0], runs[1]
        );
        assert_eq!(runs[1].code, Some(0), "{when}");
        it.scene.is_at_end(&when);
        it.scene.roll_back(&idshift, &when);
        promise.held();
    }
}

/// What a journal said before the lock was there may not be all of it.
#[test]
fn a_rollback_and_a_resume_at_once() {
    let promise = Promise::new(
        PART,
        "Of a rollback and a resume of the same run at once neither acts on a state that the other has changed",
        "a run killed half way; a resume begun and ended at each call of a rollback, and the other way round; rolled back",
    );
    let scene = scene::shift_in_many_frames(Kind::Ext4);
    let half = scene.events() / 2;
    let mut numbers = Numbers::seeded(48);
    let mut refused = 0;
    for rollback_first in [true, false] {
        let pair = |idshift: &Idshift| match rollback_first {
            true => (scene.rollback(idshift), scene.resume(idshift)),
            false => (scene.resume(idshift), scene.rollback(idshift)),
        };
        let killed = || {
            let idshift = Idshift::new();
            assert!(trace::kill_at(&scene.command(&idshift), half));
            idshift
        };
        let alone = killed();
        let calls = calls(&pair(&alone).0);
        scene.roll_back(&alone, "alone");
        for n in moments(calls, 5, &mut numbers) {
            let idshift = killed();
            let (first, second) = pair(&idshift);
            let runs = both(&first, n, second);
            let when = format!(
                "the rollback first: {rollback_first}, the other from call {n} of {} on: {}\n{}",
                calls.number, runs[0], runs[1]
            );
            for run in &runs {
                assert!([Some(0), Some(4)].contains(&run.code), "{when}");
                refused += usize::from(
                    run.stderr
                        .contains("another idshift is working on it, or has"),
                );
            }
            scene.roll_back(&idshift, &when);
            promise.held();
        }
    }
    assert!(refused > 0, "none was too late");
}

/// Tries each moment of runs that take steps, some of which change no owner in any tree. `second` is begun then;
/// `check` sees what came of the two.
fn beside_steps(
    seed: u64,
    promise: &Promise,
    second: impl Fn(&Scene, &Idshift) -> Command,
    check: impl Fn(&Scene, &Idshift, &[Run; 2], &str),
) {
    let mut numbers = Numbers::seeded(seed);
    for build in [scene::prepare, scene::migrate] {
        let scene = build(Kind::Ext4);
        let alone = Idshift::new();
        let calls = calls(&scene.command(&alone));
        scene.roll_back(&alone, "alone");
        for n in moments(calls, 4, &mut numbers) {
            let idshift = Idshift::new();
            let runs = both(&scene.command(&idshift), n, second(&scene, &idshift));
            let when = format!("call {n} of {} on: {}\n{}", calls.number, runs[0], runs[1]);
            check(&scene, &idshift, &runs, &when);
            scene.roll_back(&idshift, &when);
            promise.held();
        }
    }
}

#[test]
fn a_run_with_steps_and_its_rollback_at_once() {
    let promise = Promise::new(
        PART,
        "A rollback of a run that still goes on, its steps too, is held off or refused, and takes no record with it",
        "a rollback begun and ended at each call of `prepare` and of `docker migrate`; then rolled back",
    );
    beside_steps(49, &promise, Scene::rollback, |scene, _, runs, when| {
        assert_eq!(runs[0].code, Some(0), "{when}");
        assert!([Some(0), Some(4)].contains(&runs[1].code), "{when}");
        if runs[1].code == Some(4) {
            scene.is_at_end(when);
        }
    });
}

#[test]
fn a_run_with_steps_twice_at_once() {
    let promise = Promise::new(
        PART,
        "Of a run with steps that is begun twice at once, one does all of it, and the other does not say that it did",
        "the same command begun and ended at each call of `prepare` and of `docker migrate`; then each is rolled back",
    );
    beside_steps(
        50,
        &promise,
        Scene::command,
        |scene, idshift, runs, when| {
            assert!(runs.iter().any(|run| run.code == Some(0)), "{when}");
            scene.is_at_end(when);
            assert_eq!(idshift.journal_files().len(), 1, "{when}");
        },
    );
}

#[test]
fn journals_pruned_while_one_is_rolled_back() {
    let promise = Promise::new(
        PART,
        "`journal prune` leaves a journal that a rollback has taken up since it was found to be over",
        "a rollback begun, and killed half way, at each call of a prune of all that is over; then rolled back",
    );
    let scene = scene::shift_in_many_frames(Kind::Ext4);
    let finished = || {
        let idshift = Idshift::new();
        Run::of(&mut scene.command(&idshift)).exits(0);
        idshift
    };
    let prune = |idshift: &Idshift| idshift.command(["journal", "prune", "--older-than", "0"]);
    let alone = finished();
    let half = trace::count(&scene.rollback(&alone)) / 2;
    let number = calls(&prune(&alone)).number;
    for n in 0..number {
        let idshift = finished();
        let rollback = scene.rollback(&idshift);
        let (run, is_killed) = meet(&prune(&idshift), n, move || trace::kill_at(&rollback, half));
        let when = format!("call {n} of {number} on: {run}");
        run.exits(0);
        if !is_killed {
            // It was removed before the rollback began, and so it is at each call from here on.
            assert!(idshift.journal_files().is_empty(), "{when}");
            scene.is_at_end(&when);
            break;
        }
        assert_eq!(idshift.journal_files().len(), 1, "{when}");
        scene.roll_back(&idshift, &when);
        promise.held();
    }
    assert!(promise.cases() > 3, "it was removed at once");
}

/// Before it says so in the journal, a rollback looks through the trees for what is new: that can take long.
#[test]
fn a_prune_while_a_rollback_looks_for_what_is_new() {
    let scene = scene::shift(Kind::Ext4);
    let idshift = Idshift::new();
    Run::of(&mut scene.command(&idshift)).exits(0);
    let mut pruned = None;
    let run = trace::run_failing(&scene.rollback(&idshift), |call| {
        let is_in_tree = |path: PathBuf| path.starts_with(&scene.top);
        if pruned.is_none() && call.name == "getdents64" && call.inode().is_some_and(is_in_tree) {
            let prune = ["journal", "prune", "--older-than", "0"];
            pruned = Some(idshift.run(prune).exits(0));
        }
        None
    });
    assert!(pruned.is_some(), "it read no directory: {run}");
    run.exits(0);
    assert_eq!(idshift.journal_files().len(), 1);
    scene.is_at_start("rolled back");
}

#[test]
fn a_clock_that_jumps() {
    let promise = Promise::new(
        PART,
        "A clock that jumps changes nothing of what is done, and not which journal is the latest",
        "run, resume and rollback under faketime with clocks days and years apart, forwards and backwards, after kills",
    );
    let scene = scene::shift(Kind::Ext4);
    let events = scene.events();
    let mut numbers = Numbers::seeded(45);
    let jump = |command: Command, by: &str| {
        let mut jumped = Command::new("faketime");
        jumped.args(["-f", by]).arg(command.get_program());
        jumped.args(command.get_args());
        jumped
    };
    let clocks = ["+0", "-3d", "+10y", "-20y", "+1s", "-1d"];
    for case in 0..if long() { 60 } else { 2 } {
        let idshift = Idshift::new();
        let mut clock = || clocks[numbers.below(6) as usize];
        let (first, second, third) = (clock(), clock(), clock());
        // One that is over, so that there is an older journal.
        Run::of(&mut jump(scene.command(&idshift), first)).exits(0);
        Run::of(&mut jump(scene.rollback(&idshift), second)).exits(0);
        let n = numbers.below(events);
        trace::kill_at(&jump(scene.command(&idshift), second), n);
        let when = format!("clocks {first}, {second}, {third}, killed at {n}");
        if case % 2 == 0 && scene::is_unfinished(&idshift) {
            let resumed = Run::of(&mut jump(scene.resume(&idshift), third)).exits(0);
            scene.is_at_end(&format!("{when}: {resumed}"));
        }
        scene.roll_back(&idshift, &when);
        promise.held();
    }
}
