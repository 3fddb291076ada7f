//! A tree that somebody else changes all the time: nothing outside of it changes, nothing hangs,
//! memory stays bounded, terminals are not steered.

mod support;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use support::adversary::Adversary;
use support::promise::Promise;
use support::{Idshift, Kind, MAP, Numbers, Run, Snapshot, TestFs, assert_same, long, script, sh};

const FILE: &str = env!("CARGO_CRATE_NAME");

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
        fs::create_dir_all(canary.join("directory")).unwrap();
        fs::set_permissions(fs.path().join("house"), PermissionsExt::from_mode(0o700)).unwrap();
        for (n, mode) in [0o600, 0o644, 0o4755, 0o2755, 0o640]
            .into_iter()
            .enumerate()
        {
            let file = canary.join(format!("file{n}"));
            fs::write(&file, "somebody else's").unwrap();
            chown(&file, Some(n as u32 % 2 * 1000), Some(0)).unwrap();
            fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        }
        let path = |name: &str| canary.join(name).into_os_string();
        sh(
            "setfacl",
            [OsString::from("-m"), "u:33:rw".into(), path("file4")],
        );
        sh("setcap", [OsString::from("cap_net_raw+ep"), path("file1")]);
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
            for line in json_lines(&shown) {
                let ino = line["ino"].as_u64();
                assert!(!ino.is_some_and(|ino| theirs.contains(&ino)), "{line}");
            }
        }
    }
}

/// What must stay of what is outside: everything but how many names a file has.
fn outside(canary: &Path) -> Snapshot {
    Snapshot::of(canary).edited(|lines| {
        for line in lines.values_mut() {
            line.as_object_mut().unwrap().remove("nlink");
        }
    })
}

#[track_caller]
fn json_lines(run: &Run) -> Vec<Value> {
    let text = std::str::from_utf8(&run.stdout).expect("UTF-8");
    let parse =
        |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text.lines().map(parse).collect()
}

/// Most memory that a run may take, KiB. A debug build of it takes some 30 MiB.
const MOST_KIB: u64 = 160 << 10;
/// Longest that a run may take, seconds.
const LONGEST: &str = "120";

/// Runs the program; it ends, by itself, with one of its own exit codes, within bounds.
#[track_caller]
fn run(idshift: &Idshift, args: &[&str]) -> Run {
    let facts = idshift.journals().join("facts.json");
    let command = idshift.command(args);
    let run = Run::of(
        Command::new("python3")
            .arg(script("measure.py"))
            .arg(&facts)
            .arg(LONGEST)
            .arg(command.get_program())
            .args(command.get_args()),
    );
    let facts: Value = serde_json::from_slice(&fs::read(facts).unwrap()).unwrap();
    assert_eq!(facts["hung"], false, "{run}");
    assert!(facts["kib"].as_u64().unwrap() < MOST_KIB, "{facts}: {run}");
    assert!(matches!(run.code, Some(0 | 1 | 3 | 4)), "{run}");
    assert!(!run.stderr.contains("panicked"), "{run}");
    is_harmless(&run.stderr, &run);
    if args.contains(&"--json") {
        json_lines(&run);
    } else if !args.contains(&"-") {
        is_harmless(&run.text(), &run);
    }
    run
}

/// Nothing steers the terminal, and each line is the program's own.
#[track_caller]
fn is_harmless(text: &str, run: &Run) {
    let harmful = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
    assert!(!text.contains(harmful), "{text:?}\n{run}");
    assert!(
        !text.lines().any(|line| line.starts_with("idshift: done")),
        "{run}"
    );
}

/// One after the other, all that a person may do with a tree.
fn commands(scene: &Scene, numbers: &mut Numbers, held: &Promise) {
    let tree = scene.tree.to_str().unwrap();
    let new = scene.tree.join("new/made");
    let (manifest, new) = (scene.fs.path().join("manifest"), new.to_str().unwrap());
    let manifest = manifest.to_str().unwrap();
    let shift = ["shift", "--map", MAP, "--allow-in-use"];
    let prepare = ["prepare", "--map", MAP, "--allow-in-use", "--keep-going"];
    let with = |first: &[&'static str], more: &[&str]| -> Vec<String> {
        first
            .iter()
            .chain(more)
            .map(|arg| arg.to_string())
            .collect()
    };
    let rollback = |more: &[&str]| with(&["rollback", "latest"], more);
    let runs: Vec<Vec<Vec<String>>> = vec![
        vec![
            with(&shift, &["--dry-run", "--manifest", manifest, tree]),
            with(
                &["shift", "--allow-in-use"],
                &["--keep-going", "--from-manifest", manifest],
            ),
            with(&["verify", "latest"], &["--json"]),
            rollback(&["--json"]),
        ],
        vec![
            with(&shift, &["--keep-going", tree]),
            with(&["verify", "latest"], &[]),
            with(&["journal", "show", "latest"], &[]),
            rollback(&["--dry-run"]),
            rollback(&["-v"]),
        ],
        vec![
            with(&shift, &[tree]),
            with(&shift, &["--json", tree]),
            rollback(&["--force"]),
        ],
        vec![
            with(&shift, &["--keep-going", "--json", tree]),
            with(&shift, &["--keep-going", "--reverse", tree]),
            with(&["verify"], &["--map", MAP, tree]),
            with(&shift, &["--dry-run", "--manifest", "-", tree]),
        ],
        vec![
            with(
                &prepare,
                &["--owner", "7:7", "--create", "--fix-parents", tree],
            ),
            rollback(&["--force", "--json"]),
            with(&prepare, &["--create", new]),
            with(&prepare, &["--json", tree]),
            with(&prepare, &["--reverse", tree]),
        ],
        vec![
            with(
                &["check"],
                &["--map", MAP, "--as", "7:7", "--recursive", tree],
            ),
            with(&["check"], &["--map", MAP, "--as", "0:0", "--json", tree]),
            with(&["journal", "list"], &[]),
        ],
    ];
    for runs in runs {
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
        let idshift = Idshift::new();
        let args = with(&shift, &["--keep-going", tree]);
        let mut child = idshift
            .command(&args)
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
        held.held();
        scene.is_not_in(&idshift);
    }
}

fn check(args: &[&str]) -> Run {
    let run = Run::of(Command::new(Idshift::program()).args(args));
    assert!(matches!(run.code, Some(0 | 3 | 4)), "{run}");
    match args.contains(&"--json") {
        true => drop(json_lines(&run)),
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
fn nothing_outside_a_hostile_tree_changes_and_nothing_hangs() {
    let promise = Promise::new(
        FILE,
        "Hostile trees",
        "Nothing outside the tree changes, nothing hangs, memory is bounded, no terminal is steered",
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
