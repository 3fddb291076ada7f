//! A run whose block device begins to fail under it says what it could not do; repaired and mounted
//! again, the tree is finished or undone.

use std::path::Path;

use crate::support;
use crate::support::scene::{self, Build};
use crate::support::trace::{self, Then};
use crate::support::{Idshift, Kind, Numbers, Promise, long};

/// Where the journal is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Journal {
    Elsewhere,
    OnTheDevice,
}

/// Fails the device at some events of a run, repairs it, and undoes what was done.
fn fails_everywhere(build: Build, kind: Kind, journal: Journal, most: u64, promise: &Promise) {
    let scene = build(kind);
    scene.fs.sync();
    let store = || match journal {
        Journal::Elsewhere => Idshift::new(),
        Journal::OnTheDevice => Idshift::with_journals_in(&scene.fs.path()),
    };
    let events = scene.events();
    let mut numbers = Numbers::seeded(31);
    let cases = if long() { events } else { most };
    let (mut failed, mut undone) = (0, 0);
    for case in 0..cases {
        let idshift = store();
        scene.fs.sync();
        let n = if long() {
            case
        } else {
            events / 3 + numbers.below(events * 2 / 3)
        };
        let in_rollback = case % 3 == 2;
        let when = format!("device failed at event {n} of {events}, rollback {in_rollback}");
        let command = match in_rollback {
            true => {
                support::Run::of(&mut scene.command(&idshift)).exits(0);
                scene.rollback(&idshift)
            }
            false => scene.command(&idshift),
        };
        let mut at = 0;
        let run = trace::run(&command, |_| {
            if at == n {
                // What was done up to here is on the disk, in every other case.
                if case % 2 == 0 {
                    scene.fs.sync();
                }
                scene.fs.fail();
            }
            at += 1;
            Then::GoOn
        });
        scene.fs.repair();
        // Neither a panic nor a success that was none.
        match run.code {
            Some(0) if in_rollback => {
                scene.is_at_start(&format!("{when}: it said that all is well"))
            }
            Some(0) => scene.is_at_end(&format!("{when}: it said that all is well")),
            Some(1 | 3 | 4 | 5) => failed += 1,
            _ => panic!("{when}: {run}"),
        }
        if !in_rollback && run.stdout.starts_with(b"{") && run.json()["ending"] == "rolled-back" {
            undone += 1;
            scene.is_at_start(&format!("{when}: it said that all is undone: {run}"));
        }
        prune_empty(&idshift, &when);
        scene.roll_back(&idshift, &format!("{when}: {run}"));
        promise.held();
    }
    println!("{cases} cases, {failed} failed, {undone} said undone");
    assert!(failed * 3 > cases, "of {cases} only {failed} failed");
}

/// A journal without a whole header has nothing to undo.
fn prune_empty(idshift: &Idshift, when: &str) {
    for file in idshift.journal_files() {
        let path: &Path = &file;
        let checked = idshift.run(["journal".as_ref(), "check".as_ref(), path.as_os_str()]);
        if checked.code != Some(0) {
            assert!(
                checked.stderr.contains("has no complete header"),
                "{when}: {checked}"
            );
            std::fs::remove_file(path).unwrap();
        }
    }
}

const HOW: &str = "every write to the device (loop on nbdkit's error filter) fails from some system call of the run, \
    or of its rollback, on; then unmounted, checked with fsck, mounted and rolled back; what the run said of its end \
    is compared with the disk";

macro_rules! fails {
    ($test:ident, $what:literal, $build:path, $kind:expr, $journal:expr, $most:literal) => {
        #[test]
        fn $test() {
            let text = concat!($what, ": a disk that fails under it loses nothing");
            let promise = Promise::new("Faults", text, HOW);
            fails_everywhere($build, $kind, $journal, $most, &promise);
        }
    };
}

fails!(
    ext4_with_the_journal_elsewhere,
    "`shift` on ext4, the journal on another disk",
    scene::shift,
    Kind::FailingExt4,
    Journal::Elsewhere,
    3
);
fails!(
    ext4_with_the_journal_on_it,
    "`shift` on ext4, the journal on the same disk",
    scene::shift,
    Kind::FailingExt4,
    Journal::OnTheDevice,
    3
);
fails!(
    xfs_with_the_journal_elsewhere,
    "`shift` on xfs, the journal on another disk",
    scene::shift,
    Kind::FailingXfs,
    Journal::Elsewhere,
    3
);
fails!(
    xfs_with_the_journal_on_it,
    "`shift` on xfs, the journal on the same disk",
    scene::shift,
    Kind::FailingXfs,
    Journal::OnTheDevice,
    3
);
fails!(
    a_migration,
    "`docker migrate` on ext4, the journal on another disk",
    scene::migrate,
    Kind::FailingExt4,
    Journal::Elsewhere,
    3
);
