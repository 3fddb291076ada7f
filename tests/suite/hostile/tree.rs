//! A tree that somebody else changes all the time: nothing outside of it changes, nothing hangs,
//! memory stays bounded, terminals are not steered.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::adversary::Adversary;
use crate::support::hostile::{is_harmless, make_canary, outside, run};
use crate::support::{
    Idshift, Kind, MAP, Numbers, Promise, Run, Snapshot, TestFs, assert_same, long, trace,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A tree, and beside it files that are somebody else's.
struct Scene {
    fs: TestFs,
    tree: PathBuf,
    canary: PathBuf,
    before: Snapshot,
}

impl Scene {
    fn new(kind: Kind) -> Scene {
        let fs = TestFs::new(kind);
        fs.keep_atimes();
        // Closed above, so that --fix-parents has something to do.
        let tree = fs.path().join("house/tree");
        let canary = fs.path().join("canary");
        fs::create_dir_all(&tree).unwrap();
        fs::set_permissions(fs.path().join("house"), PermissionsExt::from_mode(0o700)).unwrap();
        make_canary(&canary);
        let before = outside(&canary);
        Scene {
            fs,
            tree,
            canary,
            before,
        }
    }

    /// A journal names inodes that were in the tree, and no other.
    #[track_caller]
    fn is_not_in(&self, idshift: &Idshift) {
        let theirs = self.before.inodes();
        for journal in idshift.journal_files() {
            let shown = idshift.run([
                OsStr::new("journal"),
                "show".as_ref(),
                "--json".as_ref(),
                journal.as_ref(),
            ]);
            for line in shown.json()["lines"].as_array().into_iter().flatten() {
                let ino = line["ino"].as_u64();
                assert!(!ino.is_some_and(|ino| theirs.contains(&ino)), "{line}");
            }
        }
    }
}

/// One after the other, all that a person may do with a tree.
fn commands(scene: &Scene, numbers: &mut Numbers, held: &Promise) {
    for runs in sequences(scene) {
        let idshift = Idshift::new();
        for args in runs {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            match args[0] {
                // It has no journal directory.
                "check" => drop(check(&args)),
                _ => drop(run(&idshift, &args)),
            }
            held.held();
        }
        scene.is_not_in(&idshift);
    }
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        signalled(scene, signal, numbers);
        held.held();
    }
}

/// Words of a command line.
fn words(first: &[&str], more: &[&str]) -> Vec<String> {
    first
        .iter()
        .chain(more)
        .map(|arg| arg.to_string())
        .collect()
}

/// Runs that follow each other, with one journal directory for each sequence.
fn sequences(scene: &Scene) -> Vec<Vec<Vec<String>>> {
    let tree = scene.tree.to_str().unwrap();
    let new = scene.tree.join("new/made");
    let (manifest, new) = (scene.fs.path().join("manifest"), new.to_str().unwrap());
    let manifest = manifest.to_str().unwrap();
    let shift = ["shift", "--map", MAP, "--allow-in-use"];
    let prepare = ["prepare", "--map", MAP, "--allow-in-use", "--keep-going"];
    let rollback = |more: &[&str]| words(&["rollback", "latest"], more);
    vec![
        vec![
            words(&shift, &["--dry-run", "--manifest", manifest, tree]),
            words(
                &["shift", "--allow-in-use"],
                &["--keep-going", "--from-manifest", manifest],
            ),
            words(&["verify", "latest"], &["--json"]),
            rollback(&["--json"]),
        ],
        vec![
            words(&shift, &["--keep-going", tree]),
            words(&["verify", "latest"], &[]),
            words(&["journal", "show", "latest"], &[]),
            rollback(&["--dry-run"]),
            rollback(&["-v"]),
        ],
        vec![
            words(&shift, &[tree]),
            words(&shift, &["--json", tree]),
            rollback(&["--force"]),
        ],
        vec![
            words(&shift, &["--keep-going", "--json", tree]),
            words(&shift, &["--keep-going", "--reverse", tree]),
            words(&["verify"], &["--map", MAP, tree]),
            words(&shift, &["--dry-run", "--manifest", "-", tree]),
        ],
        vec![
            words(
                &prepare,
                &["--owner", "7:7", "--create", "--fix-parents", tree],
            ),
            rollback(&["--force", "--json"]),
            words(&prepare, &["--create", new]),
            words(&prepare, &["--json", tree]),
            words(&prepare, &["--reverse", tree]),
        ],
        vec![
            words(
                &["check"],
                &["--map", MAP, "--as", "7:7", "--recursive", tree],
            ),
            words(&["check"], &["--map", MAP, "--as", "0:0", "--json", tree]),
            words(&["journal", "list"], &[]),
        ],
    ]
}

/// A run that a signal ends; what is left is finished, and undone.
fn signalled(scene: &Scene, signal: Signal, numbers: &mut Numbers) {
    let tree = scene.tree.to_str().unwrap();
    let idshift = Idshift::new();
    let args = [
        "shift",
        "--map",
        MAP,
        "--allow-in-use",
        "--keep-going",
        tree,
    ];
    let mut child = idshift
        .command(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(numbers.below(150)));
    let _ = kill(Pid::from_raw(child.id() as i32), signal);
    child.wait().unwrap();
    if !idshift.journal_files().is_empty() {
        run(&idshift, &["resume", "latest"]);
        run(&idshift, &["rollback", "latest", "--force"]);
    }
    scene.is_not_in(&idshift);
}

fn check(args: &[&str]) -> Run {
    let run = Run::of(Command::new(Idshift::program()).args(args));
    assert!(matches!(run.code, Some(0 | 3 | 4)), "{run}");
    match args.contains(&"--json") {
        true => drop(run.json()),
        false => is_harmless(&run.text(), &run),
    }
    is_harmless(&run.stderr, &run);
    run
}

/// Somebody keeps changing the tree while every command runs over it.
fn while_an_adversary_is_at_work(kind: Kind, seconds: u64, promise: &Promise) -> u64 {
    let scene = Scene::new(kind);
    let mut numbers = Numbers::seeded(5);
    let start = Instant::now();
    let mut done = 0;
    for seed in 0.. {
        let adversary = Adversary::start(&scene.tree, &scene.canary, seed);
        commands(&scene, &mut numbers, promise);
        done += adversary.end();
        assert_same(
            &scene.before,
            &outside(&scene.canary),
            "outside of the tree",
        );
        if start.elapsed() > Duration::from_secs(seconds) {
            break;
        }
    }
    done
}

#[test]
fn nothing_outside_changes_and_nothing_hangs() {
    let promise = Promise::new(
        "Hostile trees",
        "Nothing outside the tree changes, nothing hangs, memory is bounded, no control characters reach the terminal",
        "every command, killed ones too, while a second process swaps names for symlinks, hard links \
         to files outside, fifos, devices and names with control characters",
    );
    let kinds: &[Kind] = match long() {
        true => &[Kind::Ext4, Kind::Xfs, Kind::Btrfs, Kind::Tmpfs],
        false => &[Kind::Ext4],
    };
    for &kind in kinds {
        let done = while_an_adversary_is_at_work(kind, if long() { 300 } else { 10 }, &promise);
        println!("{kind:?}: {done} things were done to the tree");
        assert!(done > 1000, "an adversary that did only {done} things");
    }
}

/// Who cannot write to a file may be able to link it into the tree.
#[test]
fn a_file_with_a_name_outside_is_left() {
    let promise = Promise::new(
        "Hostile trees",
        "A file that has a name outside fails a run, which is undone; with `--keep-going` it is left and reported",
        "second names, in the tree, of files outside; shift and its dry run, a rollback of the rest",
    );
    let scene = Scene::new(Kind::Ext4);
    fs::write(scene.tree.join("own"), "").unwrap();
    for n in 0..5 {
        let name = format!("file{n}");
        fs::hard_link(scene.canary.join(&name), scene.tree.join(&name)).unwrap();
    }
    let start = outside(&scene.tree);
    let idshift = Idshift::new();
    for (more, code) in [(&[][..], 1), (&["--keep-going"], 3), (&["--dry-run"], 3)] {
        let run = idshift.shift_with(&scene.tree, more).exits(code);
        let named = run
            .text()
            .matches("of its 2 hard links in the tree")
            .count();
        // Without --keep-going the first one ends it.
        assert_eq!(named, if code == 1 { 1 } else { 5 }, "{run}");
        assert_same(&scene.before, &outside(&scene.canary), "outside");
        if more == ["--keep-going"] {
            idshift.rollback();
        }
        assert_same(&start, &outside(&scene.tree), "the tree");
        scene.is_not_in(&idshift);
        promise.held();
    }
}

/// Each time that the name is opened it means somebody else's file, and before that is asked how many names
/// it has, the one in the tree is gone: it looks like a file of one name.
#[test]
fn a_file_linked_in_only_while_it_is_opened_is_left() {
    let promise = Promise::new(
        "Hostile trees",
        "A file that has a name in the tree only while it is opened is left",
        "linked before each open, unlinked before each statx, by ptrace, without end or some times",
    );
    let scene = Scene::new(Kind::Ext4);
    let name = scene.tree.join("name");
    let theirs = scene.canary.join("file0");
    for times in [1, 8, 40, u64::MAX] {
        fs::hard_link(&theirs, &name).unwrap();
        let idshift = Idshift::new();
        let args = [
            "shift",
            "--json",
            "--jobs",
            "1",
            "--keep-going",
            "--map",
            MAP,
        ];
        let command = idshift.command(args.into_iter().chain(scene.tree.to_str()));
        let (mut opened, mut asked) = (0, 0);
        let run = trace::run_failing(&command, |call| {
            if call.inode().as_ref() == Some(&name) && opened < times {
                match call.name {
                    "openat" | "openat2" if !name.exists() => {
                        fs::hard_link(&theirs, &name).unwrap();
                        opened += 1;
                    }
                    "statx" if name.exists() => {
                        fs::remove_file(&name).unwrap();
                        asked += 1;
                    }
                    _ => {}
                }
            }
            None
        });
        assert!(asked > 0, "never asked about: {run}");
        assert!(matches!(run.code, Some(0 | 3)), "{run}");
        assert_same(&scene.before, &outside(&scene.canary), "outside");
        scene.is_not_in(&idshift);
        let _ = fs::remove_file(&name);
        promise.held();
    }
}

/// In a directory whose changes are written at once (`chattr +D`) a name that is taken away is found for some
/// time after its inode counts one name less: it looks like a file of one name that keeps it.
#[test]
fn a_file_whose_name_is_being_unlinked_is_left() {
    let promise = Promise::new(
        "Hostile trees",
        "A file whose name in the tree is being taken away, while its inode counts one name less already, is left",
        "linked and unlinked without end in a directory with `chattr +D`, which makes that take long",
    );
    let scene = Scene::new(Kind::Ext4);
    for n in 0..300 {
        fs::write(scene.tree.join(format!("f{n}")), "").unwrap();
    }
    let chattr = Command::new("chattr").arg("+D").arg(&scene.tree).status();
    assert!(chattr.unwrap().success());
    let (theirs, name) = (scene.canary.join("file0"), scene.tree.join("aaa"));
    let runs = if long() { 200 } else { 40 };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                fs::hard_link(&theirs, &name).unwrap();
                std::thread::sleep(Duration::from_micros(200));
                fs::remove_file(&name).unwrap();
            }
        });
        let _over = Over(&over);
        for _ in 0..runs {
            let idshift = Idshift::new();
            let run = idshift.shift_with(&scene.tree, &["--keep-going", "--allow-in-use"]);
            assert!(matches!(run.code, Some(0 | 3)), "{run}");
            assert_same(&scene.before, &outside(&scene.canary), "outside");
            scene.is_not_in(&idshift);
            idshift.run(["rollback", "latest", "--json"]);
            promise.held();
        }
    });
}

/// Ends somebody's loop, also when a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// It has one name in the tree and one outside; whoever counts its names in the tree one after the other counts
/// two.
#[test]
fn a_file_whose_name_is_wherever_one_looks_is_left() {
    let promise = Promise::new(
        "Hostile trees",
        "A file whose name in the tree is moved to wherever it is looked for next is not counted twice, and left",
        "before each system call on one of two names it is moved there, by ptrace",
    );
    let theirs = |scene: &Scene| scene.canary.join("file0");
    for at_first in ["a", "b"] {
        let scene = Scene::new(Kind::Ext4);
        let names = ["a", "b"].map(|name| scene.tree.join(name));
        names.iter().for_each(|name| fs::write(name, "").unwrap());
        let mut here = scene.tree.join(at_first);
        fs::remove_file(&here).unwrap();
        fs::hard_link(theirs(&scene), &here).unwrap();
        // Long enough ago for names to be looked up together.
        std::thread::sleep(Duration::from_millis(50));
        let idshift = Idshift::new();
        let args = [
            "shift",
            "--json",
            "--jobs",
            "1",
            "--keep-going",
            "--map",
            MAP,
        ];
        let command = idshift.command(args.into_iter().chain(scene.tree.to_str()));
        let mut moves = 0;
        let run = trace::run_failing(&command, |call| {
            if let Some(there) = call.inode().filter(|path| names.contains(path))
                && there != here
            {
                fs::rename(&here, &there).unwrap();
                here = there;
                moves += 1;
            }
            None
        });
        assert!(moves > 2, "moved only {moves} times: {run}");
        assert_eq!(run.code, Some(3), "{run}");
        assert_same(&scene.before, &outside(&scene.canary), "outside");
        scene.is_not_in(&idshift);
        promise.held();
    }
}
