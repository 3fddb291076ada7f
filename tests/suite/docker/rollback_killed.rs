//! A rollback that is killed, or cannot go on, before it is at its end: what was not undone is not said to be, and there is a
//! command that ends it, also after a daemon was started in between.

use std::collections::HashMap;
use std::path::Path;

use nix::errno::Errno;

use super::idmapped::{INNER, tiny};
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::trace::{Event, Then};
use crate::support::{Idshift, Numbers, long, need_root, trace};

const ROLLBACK: [&str; 2] = ["rollback", "latest"];

fn tiny_host() -> (Host, Idshift) {
    need_root();
    let host = Host::new();
    tiny(&host);
    (host, Idshift::new())
}

fn is_rollback_unfinished(idshift: &Idshift) -> bool {
    let listed = idshift.run(["journal", "list", "--json"]).exits(0).text();
    listed.contains("\"rollback unfinished\"")
}

/// Kills a rollback that has begun, and has not come to keep a daemon from the root at `root` again.
pub(super) fn kill_rollback_at_its_begin(idshift: &Idshift, root: &Path) {
    // The journal says that it has begun, and nothing is undone yet.
    let run = trace::run(&idshift.command(ROLLBACK), |event| match event {
        Event::After(call, _) if call.name == "fdatasync" => Then::Kill,
        _ => Then::GoOn,
    });
    assert!(is_rollback_unfinished(idshift), "{run}");
    assert!(root.join("containers").is_dir(), "{run}");
}

/// With the remapped daemon, which is told to remap by its command line.
fn a_daemon_ran_in_between(how: &[&str]) {
    let (host, idshift) = tiny_host();
    let root = host.data_root.join(INNER);
    migrate(&idshift, &host, how).exits(0);
    let there = timeless(&snapshot(&host.data_root));
    // Nobody used it: both are possible.
    kill_rollback_at_its_begin(&idshift, &root);
    idshift.run(["resume", "latest"]).exits(0);
    same(&there, &timeless(&snapshot(&host.data_root)), "resumed");
    kill_rollback_at_its_begin(&idshift, &root);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["volume", "create", "since"]);
    remapped.stop();
    let used = timeless(&snapshot(&host.data_root));
    let refused = idshift.run(ROLLBACK).exits(4);
    let resume = refused
        .says("idshift resume")
        .says("then `idshift docker revert`");
    same(&used, &timeless(&snapshot(&host.data_root)), "refused");
    idshift.run(["resume", "latest"]).exits(0);
    same(&used, &timeless(&snapshot(&host.data_root)), "resumed");
    revert(&idshift, &host, &[]).exits(0);
    let plain = host.start(&[]);
    let volumes = plain.docker(&["volume", "ls", "-q"]);
    assert!(volumes.contains("since"), "{volumes} {resume}");
    plain.docker(&["start", "-a", "one"]);
    plain.stop();
}

#[test]
fn a_migration_whose_killed_rollback_a_daemon_came_before_is_finished_and_reverted() {
    a_daemon_ran_in_between(&["--create-user"]);
}

#[test]
fn the_same_of_an_idmapped_root() {
    a_daemon_ran_in_between(&["--create-user", "--idmapped"]);
}

/// Wherever a rollback is killed, what a resume does not refuse it finishes, and what it refuses a rollback ends.
fn killed_anywhere(how: &[&str]) {
    let (host, idshift) = tiny_host();
    let start = snapshot(&host.data_root);
    let mut numbers = Numbers::seeded(21);
    migrate(&idshift, &host, how).exits(0);
    let there = made(&host);
    let events = trace::count(&idshift.command(ROLLBACK));
    let (mut redone, mut ended) = (0, 0);
    let cases = if long() { events } else { 5 };
    for case in 0..cases {
        let n = match long() {
            true => case,
            // Late steps are undone first.
            false if case % 2 == 0 => 8 * (case + 1),
            false => numbers.below(events),
        };
        let when = format!("{how:?}, killed at event {n} of {events}");
        migrate(&idshift, &host, how).exits(0);
        let is_killed = trace::kill_at(&idshift.command(ROLLBACK), n);
        let resumed = idshift.run(["resume", "latest"]);
        match resumed.code {
            Some(0) => {
                redone += u64::from(is_killed);
                same(&there, &made(&host), &when);
                idshift.run(ROLLBACK).exits(0);
            }
            Some(4) => {
                ended += 1;
                let undone = idshift.run(ROLLBACK);
                if undone.code != Some(0) {
                    undone.exits(4).says("rolled back already");
                }
            }
            _ => panic!("{when}: {resumed}"),
        }
        same(&start, &snapshot(&host.data_root), &when);
    }
    assert!(redone > 0 && ended > 0, "{redone} redone, {ended} ended");
}

#[test]
fn a_rollback_killed_anywhere_is_taken_back_or_ended() {
    killed_anywhere(&["--create-user"]);
}

#[test]
fn that_of_an_idmapped_root_too() {
    killed_anywhere(&["--create-user", "--idmapped"]);
}

/// What a migration makes: the directories of an idmapped root are others each time, and its record has the time of its run.
fn made(host: &Host) -> Vec<String> {
    let holder = format!("idshift-idmapped-{INNER}");
    let mut lines = timeless(&snapshot(&host.data_root));
    lines.retain(|line| {
        let names = ["", "/map", "/content"].map(|name| format!("\"{holder}{name}\""));
        !names.iter().any(|name| line.contains(name))
    });
    lines
}

/// One call fails, once.
fn a_call_fails(how: &[&str], failing: &[&str]) {
    let (host, idshift) = tiny_host();
    let start = snapshot(&host.data_root);
    migrate(&idshift, &host, how).exits(0);
    let mut calls = HashMap::<&str, u64>::new();
    let learning = trace::run_failing(&idshift.command(ROLLBACK), |one| {
        *calls.entry(one.name).or_default() += 1;
        None
    });
    learning.exits(0);
    let mut stuck = 0;
    for call in failing {
        let all = calls[call];
        let each = if long() { 1 } else { all.div_ceil(2) };
        for n in (0..all).step_by(each as usize) {
            let when = format!("{how:?}, {call} {n} of {all} fails");
            migrate(&idshift, &host, how).exits(0);
            let mut at = 0;
            let args = [&ROLLBACK[..], &["--json"]].concat();
            let run = trace::run_failing(&idshift.command(args), |one| {
                at += u64::from(one.name == *call);
                (one.name == *call && at == n + 1).then_some(Errno::EIO)
            });
            match run.code {
                // It was of no matter.
                Some(0) => {}
                Some(5) => {
                    stuck += 1;
                    assert_eq!(run.json()["ending"], "rollback-incomplete", "{when}: {run}");
                    assert!(is_rollback_unfinished(&idshift), "{when}: {run}");
                    idshift.run(ROLLBACK).exits(0);
                }
                _ => panic!("{when}: {run}"),
            }
            same(&start, &snapshot(&host.data_root), &when);
        }
    }
    assert!(stuck > 2, "only {stuck} could not go on");
}

#[test]
fn a_rollback_that_cannot_go_on_is_not_called_done() {
    a_call_fails(&["--create-user"], &["renameat2", "renameat", "unlinkat"]);
}

#[test]
fn nor_is_one_that_cannot_unmount() {
    let failing = ["umount2", "renameat2", "unlinkat"];
    a_call_fails(&["--create-user", "--idmapped"], &failing);
}

/// The run fails, and so does its undoing.
#[test]
fn a_failed_run_that_cannot_be_undone_is_not_called_undone() {
    let (host, idshift) = tiny_host();
    let start = snapshot(&host.data_root);
    let command = |idshift: &Idshift| {
        let args = [
            &docker_args("migrate", &host)[..],
            &["--create-user", "--json"],
        ]
        .concat();
        idshift.command(args)
    };
    let mut renames = 0;
    trace::run_failing(&command(&idshift), |one| {
        renames += u64::from(one.name == "renameat2");
        None
    })
    .exits(0);
    idshift.run(ROLLBACK).exits(0);
    // The last of them is in the late steps, the first one a guard.
    for from in [renames, renames / 2] {
        let idshift = Idshift::new();
        let mut at = 0;
        let run = trace::run_failing(&command(&idshift), |one| {
            let is_it = one.name == "renameat2";
            at += u64::from(is_it);
            (is_it && at >= from).then_some(Errno::EIO)
        });
        let run = run.exits(5);
        assert_eq!(run.json()["ending"], "rollback-incomplete", "{run}");
        assert!(is_rollback_unfinished(&idshift), "{run}");
        idshift.run(ROLLBACK).exits(0);
        same(&start, &snapshot(&host.data_root), "undone later");
    }
}
