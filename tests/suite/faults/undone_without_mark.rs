//! A run fails and is undone while its journal cannot be written any more: what the journal says last is not so.

use std::path::PathBuf;
use std::process::Command;

use crate::support::journal;
use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, Promise, Run, long, scene};
use nix::errno::Errno;

/// Whether the only journal has this mark.
fn has_mark(idshift: &Idshift, mark: &str) -> bool {
    let bytes = std::fs::read(idshift.the_journal()).unwrap();
    let mark = format!("\"mark\":\"{mark}\"");
    let frames = journal::frames(&bytes).into_iter();
    frames
        .rev()
        .any(|frame| journal::lines(&bytes[frame]).contains(&mark))
}

/// A run of which the journal takes nothing behind its mark `stepping`, and that is killed after the `last`-th change of an
/// owner behind that. Gives also how many there were.
fn run_until_unmarked(command: &Command, idshift: &Idshift, last: u64) -> (Run, u64) {
    let (mut is_broken, mut owners) = (false, 0);
    let run = trace::run(command, |event| match event {
        Event::Before(call) if call.name == "pwrite64" => {
            // It has another name while its header is written.
            let is_journal = |path: PathBuf| idshift.journal_files().contains(&path);
            is_broken =
                is_broken || call.inode().is_some_and(is_journal) && has_mark(idshift, "stepping");
            match is_broken {
                true => Then::Fail(Errno::EIO),
                false => Then::GoOn,
            }
        }
        Event::After(call, 0) if call.name == "fchownat" && is_broken => {
            owners += 1;
            match owners == last {
                true => Then::Kill,
                false => Then::GoOn,
            }
        }
        _ => Then::GoOn,
    });
    (run, owners)
}

/// Its last mark says that all owners are changed.
#[test]
fn a_run_that_was_undone_without_a_mark_is_not_finished() {
    let promise = Promise::new(
        "Faults",
        "A run that was undone while its journal could not be written is finished from its start, or refused by `resume`",
        "EIO for all writes of the journal from its last mark on, in a preparation and a migration; killed at changes of \
         owners of the undoing, or at its end; resumed, then rolled back",
    );
    let mut refused = 0;
    for build in [scene::prepare as scene::Build, scene::migrate] {
        let scene = build(Kind::Ext4);
        let idshift = Idshift::new();
        let command = scene.command(&idshift);
        let (run, owners) = run_until_unmarked(&command, &idshift, 0);
        assert_eq!(run.code, Some(1), "{run}");
        scene.is_at_start("undone");
        assert!(owners > 4, "{run}");
        scene.roll_back(&idshift, "undone");
        let places = match long() {
            true => (0..=owners).collect(),
            false => vec![1, 2, owners / 2, owners - 1, owners, 0],
        };
        for last in places {
            let idshift = Idshift::new();
            let command = scene.command(&idshift);
            run_until_unmarked(&command, &idshift, last);
            let when = format!("killed at change {last} of {owners} of the undoing");
            assert!(scene::is_unfinished(&idshift), "{when}");
            let resumed = Run::of(&mut scene.resume(&idshift));
            match resumed.code {
                Some(0) => scene.is_at_end(&when),
                Some(4) => {
                    refused += 1;
                    resumed.says("idshift rollback");
                }
                _ => panic!("{when}: {resumed}"),
            }
            scene.roll_back(&idshift, &when);
            promise.held();
        }
    }
    assert!(refused > 5, "only {refused}");
}
