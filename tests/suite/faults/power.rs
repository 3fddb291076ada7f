//! A power cut loses what was written and not synced: of the journal any part while the tree keeps
//! all, or of the tree while the journal is whole. Neither loses an owner.

use crate::support;
use crate::support::power::{CUTS, Cut, Disk};
use crate::support::scene::{self, Build, Ended, Scene};
use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, Numbers, Promise, long};

/// Whether a power cut can lose something of a journal now. Before it has its name, it is no journal
/// yet.
fn is_risky(disk: &Disk, idshift: &Idshift) -> bool {
    disk.is_at_risk() && !idshift.journal_files().is_empty()
}

/// Kills a command at the `n`-th of its risky events and cuts the power: its journal loses what was
/// not synced. Whether that was anything. (Events are not counted from the start: batches follow
/// the disk's speed, so which of all is risky differs from run to run.)
fn cut_at(
    command: &std::process::Command,
    idshift: &Idshift,
    n: u64,
    how: Cut,
    numbers: &mut Numbers,
) -> bool {
    let mut disk = Disk::default();
    disk.names_synced = !idshift.journal_files().is_empty();
    let mut risky = 0;
    trace::run(command, |event| {
        disk.hear(event, idshift.journals());
        risky += u64::from(is_risky(&disk, idshift));
        match risky > n {
            true => Then::Kill,
            false => Then::GoOn,
        }
    });
    let Some(journal) = idshift.journal_files().pop() else {
        return false;
    };
    if !disk.names_synced {
        std::fs::remove_file(journal).unwrap();
        return true;
    }
    disk.cut(&journal, how, numbers)
}

/// How many events of a run are risky: at all others a power cut leaves of the journal what a kill
/// leaves.
fn risky_events(scene: &Scene) -> u64 {
    let idshift = Idshift::new();
    let (mut disk, mut risky) = (Disk::default(), 0);
    trace::run(&scene.command(&idshift), |event| {
        disk.hear(event, idshift.journals());
        risky += u64::from(is_risky(&disk, &idshift));
        Then::GoOn
    });
    idshift.rollback();
    risky
}

/// Cuts the power at each event of a run, or at some; then resumes it, or rolls it back, or rolls it
/// back with one more power cut.
fn journal_cut_everywhere(build: Build, most: u64, promise: &Promise) {
    let scene = build(Kind::Ext4);
    let risky = risky_events(&scene);
    let mut numbers = Numbers::seeded(21);
    let all: Vec<(u64, Cut)> = (0..risky).flat_map(|n| CUTS.map(|how| (n, how))).collect();
    let each = match long() {
        true => 1,
        // No multiple of the number of cuts, so that each kind comes about.
        false => (all.len() as u64 / most / 7) * 7 + 1,
    };
    let mut lost = 0;
    for (i, (n, how)) in all.into_iter().enumerate().step_by(each as usize) {
        let idshift = Idshift::new();
        lost += u64::from(cut_at(
            &scene.command(&idshift),
            &idshift,
            n,
            how,
            &mut numbers,
        ));
        let when = format!("power cut at event {n}, {how:?}");
        if idshift.journal_files().is_empty() {
            scene.is_at_start(&when);
            promise.held();
            continue;
        }
        match i % 3 {
            0 if scene::is_unfinished(&idshift) => {
                scene.resume_to_end(&idshift, &format!("{when}, resumed"));
            }
            1 => {
                let again = numbers.below(6);
                let how = CUTS[numbers.below(7) as usize];
                cut_at(
                    &scene.rollback(&idshift),
                    &idshift,
                    again,
                    how,
                    &mut numbers,
                );
            }
            _ => {}
        }
        scene.roll_back(&idshift, &format!("{when}, rolled back"));
        promise.held();
    }
    println!("{} cases, {lost} lost something", promise.cases());
    assert!(
        lost * 4 > promise.cases(),
        "of {} only {lost} lost anything",
        promise.cases()
    );
}

const JOURNAL: &str = "power cut at each system call between a write of the journal and its sync: what was not synced is lost \
    in part (nothing left, length only, half, all but the first sector, random sectors, random pages, grown by \
    zeros), the tree keeps all; then resumed or rolled back, or the rollback cut off in the same way and repeated";

macro_rules! journal_cut {
    ($test:ident, $what:literal, $build:path, $most:literal) => {
        #[test]
        fn $test() {
            let text = concat!($what, ": a torn journal loses nothing");
            let promise = Promise::new("Power loss", text, JOURNAL);
            journal_cut_everywhere($build, $most, &promise);
        }
    };
}

journal_cut!(journal_of_a_shift, "`shift`", scene::shift, 6);
journal_cut!(
    journal_of_many_frames,
    "`shift` in many frames",
    scene::shift_in_many_frames,
    7
);
journal_cut!(
    journal_of_immutable_inodes,
    "`shift --immutable=clear`",
    scene::shift_immutable,
    3
);
journal_cut!(
    journal_of_a_manifest,
    "`shift --from-manifest`",
    scene::from_manifest,
    6
);
journal_cut!(journal_of_a_preparation, "`prepare`", scene::prepare, 3);
journal_cut!(
    journal_of_a_migration,
    "`docker migrate`",
    scene::migrate,
    6
);

/// Kills a run at some event, after the tree was synced at some earlier one, and cuts its
/// filesystem's power.
fn tree_cut_at(scene: &Scene, idshift: &Idshift, n: u64, synced_at: Option<u64>) {
    let mut events = 0;
    trace::run(&scene.command(idshift), |_: Event<'_>| {
        if synced_at == Some(events) {
            scene.fs.sync();
        }
        events += 1;
        match events > n {
            true => Then::Kill,
            false => Then::GoOn,
        }
    });
    scene.fs.lose_power();
}

fn tree_cut_everywhere(build: Build, kind: Kind, most: u64, promise: &Promise) {
    let scene = build(kind);
    scene.fs.sync();
    let events = scene.events();
    let mut numbers = Numbers::seeded(22);
    let each = match long() {
        true => 1,
        false => (events / most) | 1,
    };
    let mut lost = 0;
    // A run that came to its end is always one of them.
    for n in (0..events).step_by(each as usize).chain([events]) {
        let idshift = Idshift::new();
        // None at all, or one somewhere on the way.
        let synced_at = (n % 3 != 0).then(|| numbers.below(n + 1));
        let when = format!("power cut at event {n} of {events}, synced at {synced_at:?}");
        let command = scene.command(&idshift);
        if n == events {
            support::Run::of(&mut { command }).exits(0);
            scene.fs.lose_power();
            scene.is_at_end("a finished run is on the disk");
        } else {
            tree_cut_at(&scene, &idshift, n, synced_at);
        }
        lost += u64::from(scene.stands() == Ended::AtStart);
        match n % 2 {
            0 if scene::is_unfinished(&idshift) => {
                scene.resume_to_end(&idshift, &format!("{when}, resumed"));
                scene.fs.lose_power();
            }
            _ => {}
        }
        scene.roll_back(&idshift, &format!("{when}, rolled back"));
        scene.fs.lose_power();
        scene.is_at_start(&format!("{when}: a rollback that is over is on the disk"));
        promise.held();
    }
    println!("{} cases, {lost} back at the start", promise.cases());
}

const TREE: &str = "the device as it is in that moment is mounted again (before and after each system call, the \
    tree synced once on the way or never): its changes since are gone, the journal has all; then resumed or rolled \
    back, and the power cut again when that says it is done";

macro_rules! tree_cut {
    ($test:ident, $what:literal, $build:path, $kind:expr, $most:literal) => {
        #[test]
        fn $test() {
            let text = concat!(
                $what,
                ": a tree that lost its latest changes is finished or undone"
            );
            let promise = Promise::new("Power loss", text, TREE);
            tree_cut_everywhere($build, $kind, $most, &promise);
        }
    };
}

tree_cut!(
    tree_of_a_shift_on_ext4,
    "`shift` on ext4",
    scene::shift,
    Kind::Ext4,
    3
);
tree_cut!(
    tree_of_a_shift_on_xfs,
    "`shift` on xfs",
    scene::shift,
    Kind::Xfs,
    3
);
tree_cut!(
    tree_of_immutable_inodes,
    "`shift --immutable=clear`",
    scene::shift_immutable,
    Kind::Ext4,
    3
);
tree_cut!(
    tree_of_a_preparation,
    "`prepare`",
    scene::prepare,
    Kind::Ext4,
    3
);
tree_cut!(
    tree_of_a_migration,
    "`docker migrate`",
    scene::migrate,
    Kind::Ext4,
    3
);

/// What a run says that failed and undid itself is right as well, also where what it had done was on the
/// disk already.
#[test]
fn a_failed_run_that_says_it_is_undone_is_so() {
    let promise = Promise::new(
        "Power loss",
        "A run that failed and says that everything is undone: it is so on the disk",
        "a call on one inode fails, what was changed until then is synced; power cut as soon as the run has ended",
    );
    let scene = scene::shift(Kind::Ext4);
    scene.fs.sync();
    for n in if long() { (1..12).collect() } else { vec![9] } {
        let idshift = Idshift::new();
        let mut at = 0;
        let run = trace::run_failing(&scene.command(&idshift), |call| {
            let changes = call.name == "fchownat";
            at += u64::from(changes);
            (changes && at == n).then(|| {
                scene.fs.sync();
                nix::errno::Errno::EIO
            })
        });
        let when = format!("fchownat {n} fails: {run}");
        assert_eq!(run.json()["ending"], "rolled-back", "{when}");
        scene.fs.lose_power();
        scene.is_at_start(&format!("{when}, and a power cut"));
        promise.held();
    }
}

/// Once a run has begun with its steps, a resume believes that all owners are done: they must be on the disk.
#[test]
fn steps_begin_when_owners_are_on_the_disk() {
    let promise = Promise::new(
        "Power loss",
        "Steps begin when all owners are on the disk: a run cut off there is finished or undone",
        "power cut before the first system call of the first step after the owners of `docker migrate` and of `prepare`; then resumed, and \
         rolled back",
    );
    let builds: [Build; 2] = [scene::migrate, scene::prepare];
    for build in builds {
        let scene = build(Kind::Ext4);
        scene.fs.sync();
        let idshift = Idshift::new();
        let mut owners = 0;
        let run = trace::run(&scene.command(&idshift), |event| {
            let Event::Before(call) = event else {
                return Then::GoOn;
            };
            owners += u64::from(call.name == "fchownat");
            let steps = ["openat", "mkdirat", "renameat", "renameat2", "fsetxattr"];
            let is_there = call
                .inode()
                .is_some_and(|path| path.starts_with(&scene.top));
            // Those that keep a daemon from starting come before the owners.
            match owners > 10 && steps.contains(&call.name) && is_there {
                true => Then::Kill,
                false => Then::GoOn,
            }
        });
        assert_eq!(run.signal, Some(9), "{run}");
        assert!(owners > 10, "killed after {owners} owners: {run}");
        scene.fs.lose_power();
        let when = format!("{}: power cut before the first step", scene.name);
        scene.resume_to_end(&idshift, &when);
        scene.roll_back(&idshift, &when);
        promise.held();
    }
}
