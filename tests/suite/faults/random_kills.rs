//! Killed at random moments, a run of several threads on a large tree loses nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Idshift, Kind, MAP, Numbers, Promise, Run, TestFs, long, output, scene, tree,
};

const INODES: usize = 50_000;

/// A large tree, and all that its inodes must be.
struct Place {
    _fs: TestFs,
    tree: PathBuf,
    start: String,
    end: String,
    /// How long an uninterrupted run takes.
    takes: Duration,
}

/// What every inode is, told quickly by programs of others. Neither changes the order of names.
fn look(tree: &Path) -> String {
    let format = "%p %i %y %U %G %m %n %s %T@\\n";
    let tree = tree.to_str().unwrap();
    let all = output("find", [tree, "-printf", format]).stdout;
    let extra = format!("{tree}/extra");
    let acls = output("getfacl", ["-RPnp", &extra]).stdout;
    let capabilities = output("getcap", ["-rn", &extra]).stdout;
    String::from_utf8([all, acls, capabilities].concat()).unwrap()
}

#[track_caller]
fn is_same(expected: &str, now: &str, when: &str) {
    if expected != now {
        let mut lines = expected.lines().zip(now.lines());
        let (expected, now) = lines.find(|(a, b)| a != b).unwrap_or(("", ""));
        panic!("{when}: expected\n{expected}\nfound\n{now}");
    }
}

const JOBS: [&str; 2] = ["--jobs", "4"];

impl Place {
    fn new() -> Place {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree::many(&fs.path().join("tree"), INODES);
        std::fs::create_dir(tree.join("extra")).unwrap();
        for n in 0..10 {
            tree::specimens(&tree.join(format!("extra/{n}")));
        }
        let mut it = Place {
            _fs: fs,
            start: look(&tree),
            tree,
            end: String::new(),
            takes: Duration::ZERO,
        };
        let idshift = Idshift::new();
        let start = Instant::now();
        Run::of(&mut it.shift(&idshift)).exits(0);
        it.takes = start.elapsed();
        it.end = look(&it.tree);
        idshift.rollback();
        is_same(&it.start, &look(&it.tree), "after a run and its rollback");
        it
    }

    fn shift(&self, idshift: &Idshift) -> Command {
        let mut command = idshift.command(["shift", "--map", MAP]);
        command.args(JOBS).arg(&self.tree);
        command
    }

    /// Starts a command and kills it after some part of the time that a run takes; whether it came
    /// to that.
    fn kill(&self, mut command: Command, numbers: &mut Numbers) -> bool {
        let nothing = Stdio::null;
        let command = command.stdin(nothing()).stdout(nothing()).stderr(nothing());
        let part = numbers.below(1000) as u32;
        let mut child = command.spawn().unwrap();
        std::thread::sleep(self.takes * part / 1000);
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        std::os::unix::process::ExitStatusExt::signal(&ended) == Some(9)
    }
}

#[test]
fn kills_at_random_moments() {
    let promise = Promise::new(
        "Crash",
        "A run of four threads on 50,000 inodes, killed at any moment, is finished or undone to the byte",
        "kill -9 after a seeded part of the time a run takes; then resumed, rolled back, the rollback killed as \
         well, or the resume killed and rolled back; every inode compared with find, getfacl, getcap. A case is a kill",
    );
    let wanted = if long() { 500 } else { 4 };
    let it = Place::new();
    let mut numbers = Numbers::seeded(50_000);
    for round in 0.. {
        if promise.cases() >= wanted {
            break;
        }
        let idshift = Idshift::new();
        let mut kills = u64::from(it.kill(it.shift(&idshift), &mut numbers));
        let when = format!("round {round}");
        if idshift.journal_files().is_empty() {
            is_same(&it.start, &look(&it.tree), &when);
            promise.held_in(kills);
            continue;
        }
        let open = scene::is_unfinished(&idshift);
        let then = |what| {
            let mut command = idshift.command([what, "latest"]);
            command.args(JOBS);
            command
        };
        match round % 4 {
            0 if open => {
                Run::of(&mut then("resume")).exits(0);
                is_same(&it.end, &look(&it.tree), &format!("{when}, resumed"));
            }
            1 if open => kills += u64::from(it.kill(then("resume"), &mut numbers)),
            2 => kills += u64::from(it.kill(then("rollback"), &mut numbers)),
            _ => {}
        }
        let undone = Run::of(&mut then("rollback"));
        if undone.code != Some(0) {
            undone.exits(4).says("rolled back already");
        }
        is_same(&it.start, &look(&it.tree), &format!("{when}, rolled back"));
        promise.held_in(kills);
    }
}
