//! Fewer threads than asked for, and threads that the kernel lets have nothing of their own.

use std::path::PathBuf;
use std::process::Command;

use crate::support::trace::{self, Call};
use crate::support::{
    Idshift, Kind, MAP, Promise, Run, Snapshot, TestFs, assert_same, seccomp, tree,
};
use nix::errno::Errno;
use nix::libc;

const PART: &str = "Faults";

/// Some thousand inodes, hard links among them whose names are in one directory and in several.
struct Tree {
    _fs: TestFs,
    top: PathBuf,
    start: Snapshot,
}

impl Tree {
    fn new(inodes: usize) -> Tree {
        let fs = TestFs::new(Kind::Ext4);
        let top = fs.path().join("tree");
        tree::many(&top, inodes);
        for n in 1..300 {
            std::fs::hard_link(top.join(format!("0000/{n}")), top.join(format!("0001/{n}")))
                .unwrap();
        }
        fs.sync();
        let start = Snapshot::of(&top);
        Tree {
            _fs: fs,
            top,
            start,
        }
    }

    fn shift(&self, idshift: &Idshift, jobs: &str) -> Command {
        let tree = self.top.to_str().unwrap();
        idshift.command(["shift", "--map", MAP, "--jobs", jobs, tree])
    }

    fn is_shifted(&self, when: &str) {
        assert_same(&self.start.shifted(&[MAP]), &Snapshot::of(&self.top), when);
    }

    fn is_at_start(&self, when: &str) {
        assert_same(&self.start, &Snapshot::of(&self.top), when);
    }
}

fn rollback(idshift: &Idshift, jobs: &str) -> Command {
    idshift.command(["rollback", "latest", "--jobs", jobs])
}

#[test]
fn few_threads() {
    let promise = Promise::new(
        PART,
        "With few threads, as in a cgroup with a `pids.max`, a run works, or changes nothing and says so",
        "EAGAIN by ptrace for the n-th thread and those after; a shift and its rollback with `--jobs 6`",
    );
    let tree = Tree::new(1500);
    // Not a process, as `getent` is: those end before the threads begin.
    let starts_a_thread = |call: &Call| call.starts_a_thread();
    for most in 0..9 {
        let when = format!("{most} threads");
        let run = |command: &Command| {
            let mut asked = 0;
            let run = trace::run_failing(command, |call| {
                asked += usize::from(starts_a_thread(call));
                (starts_a_thread(call) && asked > most).then_some(Errno::EAGAIN)
            });
            (run, asked)
        };
        let idshift = Idshift::new();
        let (shift, asked) = run(&tree.shift(&idshift, "6"));
        assert!(asked > most.min(2), "{when}: {asked} asked for");
        match most {
            // One tries whether threads may have descriptors of their own, and the journal has a thread of its own.
            0 | 1 => {
                shift.exits(1).says("no thread for it");
                tree.is_at_start(&when);
                assert!(idshift.journal_files().is_empty(), "{when}");
            }
            _ => {
                shift.exits(0);
                tree.is_shifted(&when);
                run(&rollback(&idshift, "6")).0.exits(0);
                tree.is_at_start(&when);
            }
        }
        promise.held();
    }
}

#[test]
fn one_table_of_descriptors() {
    let promise = Promise::new(
        PART,
        "Where threads may not have descriptors of their own, as under Docker's seccomp profile, they do with what they have together",
        "`unshare(2)` refused, `prlimit --nofile=N`, N from 128 to 1024, 8 and 16 threads; a shift and its rollback",
    );
    let tree = Tree::new(8000);
    for (limit, jobs) in [(128, "8"), (256, "16"), (1024, "8")] {
        let when = format!("{jobs} threads with {limit} descriptors");
        let idshift = Idshift::new();
        for (command, shifted) in [
            (tree.shift(&idshift, jobs), true),
            (rollback(&idshift, jobs), false),
        ] {
            let mut limited = Command::new("prlimit");
            limited
                .arg(format!("--nofile={limit}:{limit}"))
                .arg(command.get_program());
            Run::of(without_unshare(limited.args(command.get_args()))).exits(0);
            match shifted {
                true => tree.is_shifted(&when),
                false => tree.is_at_start(&when),
            }
        }
        promise.held();
    }
}

/// The command, which gets `EPERM` for each `unshare(2)` (`seccomp(2)`, mode filter).
fn without_unshare(command: &mut Command) -> &mut Command {
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    seccomp::filter(
        command,
        [(libc::SYS_unshare, refused)],
        libc::SECCOMP_RET_ALLOW,
    )
}

#[test]
fn too_few_descriptors_are_refused_before_a_change() {
    let tree = Tree::new(1500);
    let idshift = Idshift::new();
    for limit in [12, 64] {
        let limited = |command: Command, shares: bool| {
            let mut limited = Command::new("prlimit");
            limited
                .arg(format!("--nofile={limit}:{limit}"))
                .arg(command.get_program())
                .args(command.get_args());
            if shares {
                without_unshare(&mut limited);
            }
            Run::of(&mut limited)
        };
        let when = format!("{limit} descriptors");
        for shares in [false, true] {
            let run = limited(tree.shift(&idshift, "16"), shares);
            if limit < 64 {
                let run = run.exits(4).says(&format!("may have {limit} files open"));
                run.says("needs 64").says("ulimit -n 1024");
                tree.is_at_start(&when);
                assert!(idshift.journal_files().is_empty());
                continue;
            }
            run.exits(0);
            tree.is_shifted(&when);
            limited(rollback(&idshift, "16"), shares).exits(0);
            tree.is_at_start(&when);
            limited(rollback(&idshift, "16"), shares).exits(4);
        }
        if limit < 64 {
            for args in [
                ["rollback", "latest"],
                ["resume", "latest"],
                ["verify", "latest"],
            ] {
                limited(idshift.command(args), false)
                    .exits(4)
                    .says("needs 64");
            }
        }
    }
}

#[test]
fn more_threads_than_make_sense_are_a_usage_error() {
    let tree = Tree::new(1500);
    let idshift = Idshift::new();
    for jobs in ["0", "257", "100000", "99999999999999999999"] {
        let run = Run::of(&mut tree.shift(&idshift, jobs)).exits(2);
        run.says("--jobs");
    }
    tree.is_at_start("after all were refused");
    Run::of(&mut tree.shift(&idshift, "256")).exits(0);
    tree.is_shifted("with 256 threads");
    Run::of(&mut rollback(&idshift, "256")).exits(0);
    tree.is_at_start("rolled back with 256 threads");
}
