//! A command that is killed before and after system calls that change the disk, and then finished or undone.

use std::process::Command;

use super::docker::same;
use super::{Idshift, Numbers, Promise, Run, long, trace};

const HOW: &str = "kill -9 before and after system calls that change the disk; each time resumed, or rolled back \
                   with one more kill";

/// A command that is killed, and what is to be seen of the disk.
pub struct Killed<'a> {
    /// What part of the program, in the table of promises.
    pub part: &'static str,
    /// What it is called.
    pub what: &'a str,
    /// The program, with journals of its own.
    pub idshift: &'a dyn Fn() -> Idshift,
    pub command: &'a dyn Fn(&Idshift) -> Command,
    /// All that must be as before when it is undone.
    pub state: &'a dyn Fn() -> Vec<String>,
    /// All that must be as it is made without a kill.
    pub made: &'a dyn Fn() -> Vec<String>,
    pub reboot: &'a dyn Fn(),
}

/// Kills it at several places, each time resumed or undone; all is as if it had not been killed, or as before.
pub fn killed_at_any_place(killed: &Killed<'_>, text: &'static str) {
    let Killed {
        part,
        what,
        idshift: new_idshift,
        command,
        state,
        made,
        reboot,
    } = killed;
    let promise = Promise::new(part, text, HOW);
    let learning = new_idshift();
    let start = state();
    let events = trace::count(&command(&learning));
    let there = made();
    learning.run(["rollback", "latest"]).exits(0);
    same(&start, &state(), "the first rollback");

    let mut numbers = Numbers::seeded(13);
    let cases = if long() { 120 } else { 6 };
    let mut kills = 0;
    for case in 0..cases {
        // Steps come last, and are where most kinds of calls are.
        let n = match case % 3 {
            0 => numbers.below(events),
            _ => events - 1 - numbers.below(events.min(160)),
        };
        let idshift = new_idshift();
        let when = format!("{what} killed at event {n} of {events}");
        kills += u64::from(trace::kill_at(&command(&idshift), n));
        if numbers.below(2) == 0 {
            reboot();
        }
        if idshift.journal_files().is_empty() {
            same(&start, &state(), &when);
            continue;
        }
        if case % 2 == 0 {
            let resumed = idshift.run(["resume", "latest"]);
            match resumed.code {
                // Also when it had come to its end.
                Some(0) => same(&there, &made(), &when),
                // Killed before it knew all that is to be done: nothing is done.
                Some(4) => {}
                _ => panic!("{when}: {resumed}"),
            }
        } else {
            let n = numbers.below(100);
            trace::kill_at(&idshift.command(["rollback", "latest"]), n);
            // What it had undone can be done again, unless it had come to the owners.
            if case % 4 == 1 {
                let resumed = idshift.run(["resume", "latest"]);
                match resumed.code {
                    Some(0) => same(&there, &made(), &when),
                    Some(4) => {}
                    _ => panic!("{when}: {resumed}"),
                }
            }
        }
        let undone: Run = idshift.run(["rollback", "latest"]);
        if undone.code != Some(0) {
            // One that was to be killed had come to its end.
            undone.exits(4).says("rolled back already");
        }
        same(&start, &state(), &format!("{when}, undone"));
        promise.held();
    }
    assert!(kills >= cases * 3 / 4, "only {kills} of {cases} were hit");
}
