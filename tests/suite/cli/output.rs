//! Outputs that are closed, full or broken, and the object that `--json` prints in every case.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support;
use crate::support::{Idshift, MAP, Run};
use serde_json::Value;
use tempfile::TempDir;

/// Output that is lost (`EX_IOERR`).
const OUTPUT_LOST: i32 = 74;

/// A small tree that was shifted once, and its journal.
struct Place {
    dir: TempDir,
    idshift: Idshift,
}

impl Place {
    fn new() -> Place {
        support::need_root();
        let dir = tempfile::tempdir().unwrap();
        let place = Place {
            dir,
            idshift: Idshift::new(),
        };
        fs::create_dir(place.tree()).unwrap();
        fs::write(place.tree().join("file"), "x").unwrap();
        place.idshift.shift(&place.tree());
        place
    }

    fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_string_lossy().into_owned()
    }

    /// Command lines that end in 0 and print something.
    fn that_print(&self) -> Vec<Vec<String>> {
        let tree = self.path("tree");
        let lines = [
            &["--help"][..],
            &["--version"],
            &["--version", "--json"],
            &["shift", "--help"],
            &["shift", "--map", MAP, "--dry-run", &tree],
            &["shift", "--map", MAP, "--dry-run", "--json", &tree],
            &["shift", "--map", MAP, &tree],
            &["verify", "latest"],
            &["verify", "latest", "--json"],
            &["rollback", "--dry-run", "latest"],
            &["rollback", "--dry-run", "--json", "latest"],
            &["journal", "list"],
            &["journal", "list", "--json"],
            &["journal", "show", "latest"],
            &["journal", "show", "--json", "latest"],
            &["journal", "check", "latest"],
            &["journal", "check", "latest", "--json"],
            &["journal", "prune", "--dry-run"],
            &["check", "--as", "0:0", "--map", MAP, &tree],
            &["check", "--as", "0:0", "--map", MAP, &tree, "--json"],
        ];
        let owned = |line: &&[&str]| line.iter().map(std::string::ToString::to_string).collect();
        lines.iter().map(owned).collect()
    }

    fn command(&self, line: &[String]) -> Command {
        let mut command = Command::new(Idshift::program());
        command.args(line).stdin(Stdio::null());
        let takes_journals = ["shift", "verify", "rollback", "journal"].contains(&line[0].as_str());
        if takes_journals && !line.iter().any(|word| word == "--journal-dir") {
            command.arg("--journal-dir").arg(self.idshift.journals());
        }
        command
    }
}

fn full() -> Stdio {
    File::options()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

/// A pipe that nobody reads.
fn broken() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[test]
fn output_to_a_full_disk_is_an_error() {
    let place = Place::new();
    for line in place.that_print() {
        let mut command = place.command(&line);
        let output = command.stdout(full()).output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(OUTPUT_LOST), "{line:?}: {told}");
        assert!(
            told.contains("standard output: No space left"),
            "{line:?}: {told}"
        );
    }
}

#[test]
fn a_closed_output_pipe_is_an_error_and_no_panic() {
    let place = Place::new();
    for line in place.that_print() {
        let mut command = place.command(&line);
        let output = command.stdout(broken()).output().unwrap();
        assert_eq!(output.status.code(), Some(OUTPUT_LOST), "{line:?}");
        // As `head` ends what it has seen enough of: without a word.
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            !told.contains("idshift:") && !told.contains("panic"),
            "{line:?}: {told}"
        );
    }
}

#[test]
fn output_to_a_closed_descriptor_is_an_error() {
    let place = Place::new();
    for line in place.that_print() {
        let words = place.command(&line);
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]);
        shell.arg(words.get_program()).args(words.get_args());
        let run = Run::of(&mut shell).exits(OUTPUT_LOST);
        run.says("standard output: Bad file descriptor");
    }
}

#[test]
fn a_command_whose_stderr_is_gone_ends_as_it_would() {
    let place = Place::new();
    let (tree, nothing) = (place.path("tree"), place.path("nothing"));
    let journals = place.idshift.journals().to_str().unwrap();
    let refused = [
        &["shift", "--map", MAP, "/etc"][..],
        &["shift", "--map", MAP, &nothing],
        &["prepare", "--map", MAP, &nothing],
        &["check", "--as", "0:0", "--map", MAP, &nothing],
        &["docker", "audit", "--data-root", &nothing],
        &["docker", "migrate", "--data-root", &nothing],
        &["docker", "revert", "--data-root", &nothing],
        &["rollback", "7", "--journal-dir", journals],
        &["resume", "7", "--journal-dir", journals],
        &["verify", "7", "--journal-dir", journals],
        &["journal", "show", "7", "--journal-dir", journals],
        &["shift", "--from-manifest", &nothing],
    ];
    for line in refused {
        for stderr in [full(), broken()] {
            let mut command = Command::new(Idshift::program());
            let status = command.args(line).stderr(stderr).status().unwrap();
            assert_eq!(status.code(), Some(4), "{line:?}");
        }
    }
    for line in [
        &["shift"][..],
        &["nonsense"],
        &["shift", "--map", "x", &tree],
    ] {
        let mut command = Command::new(Idshift::program());
        let status = command.args(line).stderr(broken()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{line:?}");
    }
}

#[test]
fn a_run_whose_output_is_lost_is_whole_and_on_record() {
    let place = Place::new();
    let idshift = &place.idshift;
    idshift.reverse(&place.tree());
    for outputs in [full, broken] {
        let mut shift = idshift.command(["shift", "--map", MAP, &place.path("tree")]);
        let status = shift.stdout(outputs()).stderr(outputs()).status().unwrap();
        assert_eq!(status.code(), Some(OUTPUT_LOST));
        idshift.run(["verify", "latest", "--json"]).exits(0);
        let state = idshift.run(["journal", "check", "latest", "--json"]).json();
        assert_eq!(state["state"], "finished");
        // What was made, and is told on stderr.
        let made = place.path("made");
        let mut prepare = idshift.command(["prepare", "--map", MAP, "--create", &made]);
        let status = prepare
            .stderr(outputs())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(OUTPUT_LOST));
        assert!(Path::new(&made).is_dir());
        idshift.run(["rollback", "latest"]).exits(0);
        let newest = idshift.run(["journal", "list", "--json"]).json();
        let shifted = newest["journals"].as_array().unwrap().iter().rev();
        let shifted = shifted
            .map(|one| one["id"].as_str().unwrap())
            .nth(1)
            .unwrap();
        idshift.run(["rollback", shifted]).exits(0);
    }
}

/// One object, with the members that every one has.
#[track_caller]
fn object(run: &Run, command: &str, ending: &str) -> Value {
    let object = run.json();
    assert_eq!(object["format"], 1, "{run}");
    assert_eq!(object["command"], command, "{run}");
    assert_eq!(object["ending"], ending, "{run}");
    assert!(object["roots"].is_array(), "{run}");
    assert!(object["dry_run"].is_boolean(), "{run}");
    if ["refused", "usage"].contains(&ending) {
        assert!(!object["error"].as_str().unwrap().is_empty(), "{run}");
    }
    object
}

fn idshift(line: &[&str]) -> Run {
    Run::of(Command::new(Idshift::program()).args(line))
}

#[test]
fn json_is_one_object_when_a_command_is_done() {
    let place = Place::new();
    let tree = place.path("tree");
    let run = |line: &[&str]| place.idshift.run(line).exits(0);
    let dry = run(&["shift", "--json", "--dry-run", "--map", MAP, &tree]);
    let dry = object(&dry, "shift", "done");
    assert_eq!(
        (&dry["dry_run"], &dry["roots"][0]),
        (&true.into(), &tree.as_str().into())
    );
    let verified = run(&["verify", "--json", "latest"]);
    assert_eq!(object(&verified, "verify", "done")["roots"][0], tree);
    object(
        &run(&["rollback", "--json", "--dry-run"]),
        "rollback",
        "done",
    );
    object(&run(&["resume", "--json", "1"]), "resume", "nothing");
    object(
        &run(&["prepare", "--json", "--map", MAP, &tree]),
        "prepare",
        "done",
    );
    let checked = ["check", "--json", "--map", MAP, "--as", "0:0", &tree];
    object(&idshift(&checked), "check", "done");
    let listed = object(&run(&["journal", "list", "--json"]), "journal list", "done");
    assert_eq!(listed["journals"][0]["command"], "shift");
    let shown = object(
        &run(&["journal", "show", "--json", "1"]),
        "journal show",
        "done",
    );
    assert_eq!(shown["lines"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&shown["roots"][0], &shown["journal_command"]),
        (&tree.as_str().into(), &"shift".into())
    );
    object(
        &run(&["journal", "check", "--json", "1"]),
        "journal check",
        "done",
    );
    let pruned = run(&["journal", "prune", "--json", "--dry-run"]);
    assert_eq!(object(&pruned, "journal prune", "done")["dry_run"], true);
    let none = place.path("none");
    let empty = idshift(&["journal", "list", "--json", "--journal-dir", &none]);
    assert!(
        empty.json()["journals"]
            .as_array()
            .is_none_or(Vec::is_empty)
    );
}

#[test]
fn json_is_one_object_when_a_command_is_refused() {
    let place = Place::new();
    let nothing = place.path("nothing");
    let journals = place.idshift.journals().to_str().unwrap();
    let lines = [
        ("shift", &["--map", MAP, &nothing][..]),
        ("shift", &["--map", MAP, "/etc"]),
        ("shift", &["--from-manifest", &nothing]),
        ("shift", &["--subid", "nosuchuser", &nothing]),
        ("prepare", &["--map", MAP, &nothing]),
        ("check", &["--as", "0:0", "--map", MAP, &nothing]),
        ("rollback", &["7", "--journal-dir", journals]),
        ("resume", &["7", "--journal-dir", journals]),
        ("verify", &["7", "--journal-dir", journals]),
        ("journal show", &["7", "--journal-dir", journals]),
        ("journal check", &["7", "--journal-dir", journals]),
        ("docker audit", &["--data-root", &nothing]),
        ("docker migrate", &["--data-root", &nothing]),
        ("docker revert", &["--data-root", &nothing]),
    ];
    for (command, more) in lines {
        let words = command.split(' ').chain(more.iter().copied());
        let words: Vec<&str> = words.chain(["--json"]).collect();
        let run = idshift(&words).exits(4);
        let object = object(&run, command, "refused");
        if more.contains(&nothing.as_str()) && !more.contains(&"--from-manifest") {
            assert_eq!(object["roots"][0], nothing, "{run}");
        }
    }
}

#[test]
fn json_is_one_object_when_the_command_line_is_wrong() {
    let place = Place::new();
    let tree = place.path("tree");
    let lines = [
        ("", &["--json"][..]),
        ("", &["nonsense", "--json"]),
        ("shift", &["shift", "--json"]),
        ("shift", &["shift", "--json", "--map", "x", &tree]),
        (
            "shift",
            &["shift", "--json", "--map", MAP, "--exclude", "[", &tree],
        ),
        (
            "shift",
            &[
                "shift",
                "--json",
                "--dry-run",
                "--map",
                MAP,
                "--manifest",
                "-",
                &tree,
            ],
        ),
        ("verify", &["verify", "--json", &tree]),
        (
            "journal prune",
            &["journal", "prune", "--json", "--older-than", "x"],
        ),
        (
            "docker audit",
            &["docker", "audit", "--json", "--jobs", "x"],
        ),
        // An option of `docker migrate` only.
        (
            "docker revert",
            &["docker", "revert", "--json", "--set-userns-host"],
        ),
    ];
    for (command, line) in lines {
        object(&idshift(line).exits(2), command, "usage");
    }
}
