//! A move to a user's rootless daemon is killed before and after system calls that change the disk.

use std::process::Command;

use nix::errno::Errno;
use serde_json::Value;

use super::kills::small_host_of_tiny_containers;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::killed::{Killed, killed_at_any_place};
use crate::support::rootless::{RootlessUser, USER};
use crate::support::trace::{Event, Then};
use crate::support::{Idshift, need_root, trace};

const MADE: [&str; 3] = [".local", ".local/share", ".local/share/docker"];

fn without_made_inodes(line: &str) -> String {
    let mut value: Value = serde_json::from_str(line).unwrap();
    let path = value["path"].as_str().unwrap_or_default();
    let below = path.strip_prefix("home/ann/");
    if below.is_some_and(|below| MADE.contains(&below)) {
        value.as_object_mut().unwrap().remove("ino");
    }
    value.to_string()
}

#[test]
fn the_way_to_a_rootless_daemon_survives_a_kill_anywhere() {
    need_root();
    let host = small_host_of_tiny_containers();
    let _user = RootlessUser::beside(&host, "ann:300000:65536\n");
    let state = || snapshot(host.beside());
    // Directories that the run makes on the way are others each time.
    let made = || {
        timeless(&state())
            .iter()
            .map(|line| without_made_inodes(line))
            .collect()
    };
    let command = |idshift: &Idshift| migration(idshift, &host);
    killed_at_any_place(
        &Killed {
            part: "Docker",
            what: "migrate --rootless",
            idshift: &Idshift::new,
            command: &command,
            state: &state,
            made: &made,
            reboot: &|| {},
        },
        "`docker migrate --rootless` of a real data-root is finished or undone to the byte",
    );
}

/// Kills a command after its `n`-th change of an owner; gives how many it came to make.
fn killed_after_chown(command: &Command, n: u64) -> u64 {
    let mut met = 0;
    trace::run(command, |event| match event {
        Event::After(call, ..) if call.name == "fchownat" => {
            met += 1;
            match met == n {
                true => Then::Kill,
                false => Then::GoOn,
            }
        }
        _ => Then::GoOn,
    });
    met
}

const ROLLBACK: [&str; 2] = ["rollback", "latest"];

fn migration(idshift: &Idshift, host: &Host) -> Command {
    let args = docker_args("migrate", host);
    idshift.command([&args[..], &["--rootless", USER]].concat())
}

/// How many owners a whole migration changes; it is undone again.
fn changes_of_owners(host: &Host) -> u64 {
    let learning = Idshift::new();
    let last = killed_after_chown(&migration(&learning, host), 0);
    learning.run(ROLLBACK).exits(0);
    last
}

/// What is given to a user gets its owner by the last such call of the run, and its mode by the next; it is taken away likewise,
/// by the first.
#[test]
fn handing_over_survives_a_kill_between_its_calls() {
    need_root();
    let host = small_host_of_tiny_containers();
    let _user = RootlessUser::beside(&host, "ann:300000:65536\n");
    let state = || snapshot(host.beside());
    let run = |idshift: &Idshift| migration(idshift, &host);
    let start = state();
    let last = changes_of_owners(&host);
    same(&start, &state(), "undone");
    for (what, is_killed, is_resumed, is_rollback_killed) in [
        ("resumed", true, true, false),
        ("undone", true, false, false),
        ("undone twice", true, false, true),
        ("a whole run undone twice", false, false, true),
    ] {
        let idshift = Idshift::new();
        let n = if is_killed { last } else { 0 };
        assert_eq!(killed_after_chown(&run(&idshift), n), last, "{what}");
        if is_resumed {
            idshift.run(["resume", "latest"]).exits(0);
        }
        if is_rollback_killed {
            killed_after_chown(&idshift.command(ROLLBACK), 1);
        }
        idshift.run(ROLLBACK).exits(0);
        same(&start, &state(), what);
    }
}

/// What a user had is root's again only with a word of that in the journal: the undoing of its owners would else count as
/// what the user did.
#[test]
fn what_was_handed_over_is_not_taken_back_without_a_mark() {
    need_root();
    let host = small_host_of_tiny_containers();
    let _user = RootlessUser::beside(&host, "ann:300000:65536\n");
    let state = || snapshot(host.beside());
    let run = |idshift: &Idshift| migration(idshift, &host);
    let start = state();
    let last = changes_of_owners(&host);
    same(&start, &state(), "undone");
    let idshift = Idshift::new();
    let mut owners = 0;
    // The user has it, and the mark of the end cannot be written, nor any other.
    let failed = trace::run(&run(&idshift), |event| match event {
        Event::After(call, ..) if call.name == "fchownat" => {
            owners += 1;
            Then::GoOn
        }
        Event::Before(call) if call.name == "pwrite64" && owners >= last => {
            let is_journal = call
                .inode()
                .is_some_and(|it| it.starts_with(idshift.journals()));
            match is_journal {
                true => Then::Fail(Errno::EIO),
                false => Then::GoOn,
            }
        }
        _ => Then::GoOn,
    });
    assert_eq!(failed.code, Some(5), "{failed}");
    failed.says("idshift rollback");
    idshift.run(ROLLBACK).exits(0);
    same(&start, &state(), "undone when it could be");
}
