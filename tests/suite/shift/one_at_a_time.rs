//! A tree that another run or another program works on is left to it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::idshift::shift_args;
use crate::support::journal::frames;
use crate::support::zoo::Zoo;
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, tree};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn has_journalled_changes(idshift: &Idshift) -> bool {
    let files = idshift.journal_files();
    files
        .iter()
        .any(|file| frames(&fs::read(file).unwrap()).len() >= 2)
}

/// A run that is stopped in the middle; it does not outlive a test that fails.
struct Stopped(Option<Child>);

impl Stopped {
    fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn go_on(mut self) -> Run {
        let child = self.0.take().unwrap();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGCONT).unwrap();
        Run::wait(child)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Its journal is there, its end is not.
fn stopped_midway(idshift: &Idshift, tree: &Path) -> Stopped {
    let child = idshift.spawn(shift_args(tree, &[MAP], &["--jobs", "1"]));
    let until = Instant::now() + Duration::from_secs(20);
    while !has_journalled_changes(idshift) {
        assert!(Instant::now() < until, "no journal appeared");
        std::thread::sleep(Duration::from_micros(200));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    Stopped(Some(child))
}

#[test]
fn a_second_run_on_or_in_a_tree_is_told_who_holds_it() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("top/tree"), 60_000);
    let other = tree::plain_zoo(&fs.path().join("other"));
    let (first, second) = (Idshift::new(), Idshift::new());
    let start = Snapshot::of(&tree);
    let holder = stopped_midway(&first, &tree);
    let pid = holder.pid().to_string();

    for place in [&*tree, &tree.join("0003"), &fs.path().join("top")] {
        for more in [&[][..], &["--allow-in-use"]] {
            let run = second.shift_with(place, more).exits(4);
            run.says(place.to_str().unwrap()).says(&pid);
        }
    }
    assert!(second.journal_files().is_empty());
    // What is elsewhere is nobody's business.
    second.shift(&other);
    first.run(["rollback", "latest"]).exits(4).says(&pid);
    first.run(["resume", "latest"]).exits(4).says(&pid);

    holder.go_on().exits(0);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&tree),
        "after the first run",
    );
    second.shift(&tree);
}

/// In containers that share `/run`, two runs may have the same process number.
#[test]
fn a_run_of_the_same_process_number_is_another_run() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), 60_000);
    let other = tree::plain_zoo(&fs.path().join("other"));
    let idshift = [Idshift::new(), Idshift::new(), Idshift::new()];
    // Each is process 1 of a namespace.
    let first = |n: usize, tree: &Path| {
        let command = idshift[n].command(shift_args(tree, &[MAP], &["--rate", "30000"]));
        let mut alone = Command::new("unshare");
        alone.args(["--pid", "--fork", "--mount-proc", "--kill-child=KILL"]);
        alone.arg(command.get_program()).args(command.get_args());
        alone.stdout(Stdio::piped()).stderr(Stdio::piped());
        alone.spawn().unwrap()
    };
    let holder = first(0, &tree);
    let until = Instant::now() + Duration::from_secs(20);
    while !has_journalled_changes(&idshift[0]) {
        assert!(Instant::now() < until, "no journal appeared");
        std::thread::sleep(Duration::from_millis(1));
    }
    // It waits for nobody, and holds what is its own.
    Run::wait(first(1, &other)).exits(0);
    let refused = Run::wait(first(2, &tree)).exits(4);
    refused.says("is working on");
    let mut holder = holder;
    assert!(holder.try_wait().unwrap().is_none(), "it was over before");
    Run::wait(holder).exits(0);
}

#[test]
fn a_tree_in_use_is_refused_unless_allowed() {
    let it = Zoo::new(Kind::Ext4);
    let mut sleeper = Command::new("sleep")
        .arg("60")
        .current_dir(it.tree.join("owners"))
        .spawn()
        .unwrap();
    let pid = sleeper.id().to_string();
    let refused = it.idshift.shift_with(&it.tree, &[]);
    let unchanged = Snapshot::of(&it.tree);
    let allowed = it.idshift.shift_with(&it.tree, &["--allow-in-use"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    refused.exits(4).says(&pid).says("--allow-in-use");
    assert_same(&it.start, &unchanged, "after the refusal");
    allowed.exits(0);
}
