//! Trees of extreme shapes: every command gets through them, in bounded memory.

use crate::support::PYTHON;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::journal::{frame, frames, lines};
use crate::support::promise::Promise;
use crate::support::{Idshift, Kind, MAP, Run, TestFs, long, script, tree};
use serde_json::{Value, json};

struct Shape {
    _fs: TestFs,
    tree: PathBuf,
    idshift: Idshift,
}

fn shape(shape: &str, count: usize) -> Shape {
    // In memory: it is gone with its mount, however deep it is.
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = fs.path().join("tree");
    tree::shape(shape, &tree, count);
    Shape {
        _fs: fs,
        tree,
        idshift: Idshift::new(),
    }
}

impl Shape {
    /// Runs a command that must work; the most memory it took, in KiB.
    #[track_caller]
    fn run(&self, args: &[&OsStr]) -> (Run, u64) {
        self.run_to(0, args)
    }

    /// The same, of one that ends in this code.
    #[track_caller]
    fn run_to(&self, code: i32, args: &[&OsStr]) -> (Run, u64) {
        let facts = self.idshift.journals().join("facts.json");
        let command = self.idshift.command(args);
        let mut measured = Command::new(PYTHON);
        measured.arg(script("measure.py")).arg(&facts).arg("580");
        measured.arg(command.get_program()).args(command.get_args());
        let run = Run::of(&mut measured).exits(code);
        let facts: Value = serde_json::from_slice(&fs::read(facts).unwrap()).unwrap();
        println!("{:?}: {facts}", args[0]);
        (run, facts["kib"].as_u64().unwrap())
    }

    #[track_caller]
    fn belongs_to(&self, uid: u32) {
        assert_eq!(tree::strangers(&self.tree, uid), 0, "inodes of others");
    }

    /// There and back, by every way that walks or replays. `whole_paths`: those that write out the
    /// path of each inode too.
    fn goes_through(&self, most_kib: u64, whole_paths: bool, promise: &Promise) {
        let (map, tree) = (["--map", MAP].map(OsStr::new), self.tree.as_os_str());
        let manifest = self.idshift.journals().join("manifest.zst");
        let shift: Vec<&OsStr> = [OsStr::new("shift")]
            .into_iter()
            .chain(map)
            .chain([tree])
            .collect();
        let bounded = |(run, kib): (Run, u64)| {
            assert!(kib < most_kib, "{kib} KiB: {run}");
            promise.held();
            run
        };
        bounded(self.run(&shift));
        self.belongs_to(100_000);
        bounded(self.run(&["verify", "latest"].map(OsStr::new)));
        if whole_paths {
            bounded(self.run(&["journal", "show", "latest"].map(OsStr::new)));
        }
        bounded(self.run(&["rollback", "latest"].map(OsStr::new)));
        self.belongs_to(0);
        let mut prepare: Vec<&OsStr> = vec!["prepare".as_ref()];
        prepare.extend(map.into_iter().chain([tree]));
        bounded(self.run(&prepare));
        self.belongs_to(100_000);
        bounded(self.run(&["rollback", "latest"].map(OsStr::new)));
        if whole_paths {
            let mut dry = shift.clone();
            dry.extend([
                OsStr::new("--dry-run"),
                "--manifest".as_ref(),
                manifest.as_os_str(),
            ]);
            bounded(self.run(&dry));
            bounded(self.run(&[
                "shift".as_ref(),
                "--from-manifest".as_ref(),
                manifest.as_os_str(),
            ]));
            self.belongs_to(100_000);
            let mut reverse = shift.clone();
            reverse.push("--reverse".as_ref());
            bounded(self.run(&reverse));
        }
        self.belongs_to(0);
    }
}

fn size(short: usize, full: usize) -> usize {
    if long() { full } else { short }
}

macro_rules! how {
    () => {
        "shift, verify, rollback, prepare, and journal show, dry run and manifest where paths are not gigabytes"
    };
}

#[test]
fn a_directory_of_very_many_entries() {
    let promise = Promise::new(
        "Hostile trees",
        "A directory of very many entries is gone through in bounded memory",
        concat!("20,000, in the long form 1,000,000: ", how!()),
    );
    shape("wide", size(20_000, 1_000_000)).goes_through(160 << 10, true, &promise);
}

#[test]
fn directories_inside_one_another() {
    let promise = Promise::new(
        "Hostile trees",
        "Directories inside one another, however deep, are gone through in bounded memory",
        concat!("5,000, in the long form 100,000: ", how!()),
    );
    shape("deep", size(5_000, 100_000)).goes_through(300 << 10, false, &promise);
    // A path is as long as the way is deep.
    shape("deep", size(1_000, 10_000)).goes_through(300 << 10, true, &promise);
}

#[test]
fn an_inode_of_very_many_names() {
    let promise = Promise::new(
        "Hostile trees",
        "An inode of very many names is changed once, in bounded memory",
        concat!("20,000, in the long form 2,000,000: ", how!()),
    );
    shape("linked", size(20_000, 2_000_000)).goes_through(400 << 10, true, &promise);
}

/// What cannot be shifted is written into a manifest as the walk goes on, as what can.
#[test]
fn a_manifest_of_what_cannot_be_shifted() {
    let shape = shape("wide", 200_000);
    let manifest = shape.idshift.journals().join("manifest");
    let dry_run = |map: &str, code| {
        let args = ["shift", "--dry-run", "--quiet", "--map", map, "--manifest"].map(OsStr::new);
        let args = [&args[..], &[manifest.as_os_str(), shape.tree.as_os_str()]].concat();
        shape.run_to(code, &args).1
    };
    let (shifted, left) = (dry_run(MAP, 0), dry_run("b:70000:200000:10", 3));
    assert!(left < shifted + (12 << 10), "{left} and {shifted} KiB");
}

/// Two threads' batches alternate in a journal, so that a replay may have to turn from the end of one deep way
/// to that of another for each directory that it is to change.
#[test]
fn directories_at_the_ends_of_two_deep_paths_by_turns() {
    let promise = Promise::new(
        "Hostile trees",
        "A replay that goes back and forth between two deep directories takes bounded memory",
        "800 directories at the ends of two paths of 600 long names, by turns: rollback",
    );
    let shape = shape("forked", 600);
    shape.idshift.shift(&shape.tree);
    let path = shape.idshift.the_journal();
    by_turns(&path);
    let rollback = ["rollback", "latest", "--jobs", "1"].map(OsStr::new);
    let (run, kib) = shape.run(&rollback);
    assert!(kib < 64 << 10, "{kib} KiB: {run}");
    shape.belongs_to(0);
    promise.held();
}

/// Rewrites a journal of a `forked` tree: the last directories of both ways by turns, each in a frame of its own.
fn by_turns(path: &Path) {
    let journal = fs::read(path).unwrap();
    let mut turns: [Vec<String>; 2] = Default::default();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for range in frames(&journal) {
        let (mut owns, mut way) = (BTreeMap::new(), Vec::new());
        for line in lines(&journal[range.clone()]).lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            match line["kind"].as_str().unwrap() {
                "own" => _ = owns.insert(line["n"].as_u64().unwrap(), line),
                "dir" => {
                    way.truncate(line["keep"].as_u64().unwrap() as usize);
                    way.extend(line["path"].as_array().unwrap().iter().cloned());
                    let column = |name: &str| line[name].as_array().cloned().unwrap_or_default();
                    let sums = |name| {
                        let each = column(name).into_iter().map(|step| step.as_i64().unwrap());
                        each.scan(0, |sum, step| {
                            Some({
                                *sum += step;
                                *sum
                            })
                        })
                    };
                    let entries = column("names").into_iter().zip(column("owns"));
                    for (((name, own), ino), born) in entries.zip(sums("inos")).zip(sums("borns")) {
                        let own = &owns[&own.as_u64().unwrap()];
                        let one = json!({"kind": "dir", "root": 0, "keep": 0, "path": way, "names": [name],
                            "inos": [ino], "borns": [born], "owns": [own["n"]]});
                        let lines = format!("{own}\n{one}\n");
                        match way.len() < 600 {
                            true => before.push(lines),
                            false => turns[usize::from(way[0] == "b")].push(lines),
                        }
                    }
                }
                "mark" => after.push(format!("{line}\n")),
                _ => before.push(format!("{line}\n")),
            }
        }
    }
    let [a, b] = turns;
    assert_eq!((a.len(), b.len()), (400, 400));
    let by_turns = a.into_iter().zip(b).flat_map(|(a, b)| [a, b]);
    let all = before.into_iter().chain(by_turns).chain(after);
    let frames = all.zip(0..).flat_map(|(lines, n)| frame(n, &lines));
    fs::write(path, frames.collect::<Vec<u8>>()).unwrap();
}
