//! Which run `rollback` and `resume` act on.

use std::fs;
use std::os::unix::fs::lchown;
use std::path::PathBuf;
use std::process::Command;

use super::rollback::{Shifted, shifted};
use crate::support;
use crate::support::{Idshift, MAP, Run, Snapshot, assert_same, tree};

/// Two trees, each with a run of its own, the second one later.
fn two_runs() -> (Shifted, PathBuf, Snapshot) {
    let it = shifted();
    let second = tree::specimens(&it.tree.with_file_name("second"));
    let start = Snapshot::of(&second);
    it.idshift.shift(&second);
    (it, second, start)
}

/// Ids of the journals, oldest first.
pub(super) fn ids(idshift: &Idshift) -> Vec<String> {
    let id = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.strip_suffix(".jsonl.zst").unwrap().to_string()
    };
    idshift.journal_files().iter().map(id).collect()
}

#[test]
fn latest_never_steps_back_past_the_newest_run() {
    let (it, second, start) = two_runs();
    let first_shifted = it.now();
    let ids = ids(&it.idshift);
    it.rollback(&[]).exits(0);
    assert_same(&start, &Snapshot::of(&second), "the newest run is undone");
    for (command, more) in [
        ("rollback", &[][..]),
        ("rollback", &["--force"]),
        ("rollback", &["--dry-run"]),
        ("resume", &[]),
    ] {
        let args = [command, "latest"];
        let run = it.idshift.run(args.iter().chain(more)).exits(4);
        run.says(&ids[1])
            .says(second.to_str().unwrap())
            .says("rolled back")
            .says("journal list");
    }
    assert_same(&first_shifted, &it.now(), "the older run is left alone");
    it.idshift.run(["rollback", &ids[0]]).exits(0);
    assert_same(&it.start, &it.now(), "the older one was named");
}

#[test]
fn latest_is_the_newest_run_even_if_it_was_undone() {
    let it = shifted();
    let there = it.now();
    // What cannot be shifted is met after some frames were written.
    let second = tree::many(&it.tree.with_file_name("second"), 3000);
    fs::create_dir_all(second.join("0000/deep/down")).unwrap();
    fs::write(second.join("0000/deep/down/unmapped"), "").unwrap();
    let unmapped = second.join("0000/deep/down/unmapped");
    lchown(unmapped, Some(4_000_000), Some(4_000_000)).unwrap();
    let start = Snapshot::of(&second);
    // So few descriptors that some frames are carried out before it is met.
    let args = [
        "shift",
        "--map",
        MAP,
        "--jobs",
        "1",
        second.to_str().unwrap(),
    ];
    let command = it.idshift.command(args);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=64:64").arg(command.get_program());
    Run::of(limited.args(command.get_args())).exits(1);
    assert_same(&start, &Snapshot::of(&second), "failed and undone");
    assert_eq!(it.idshift.journal_files().len(), 2, "its journal is kept");
    it.rollback(&[]).exits(4).says(second.to_str().unwrap());
    assert_same(&there, &it.now(), "the older run is left alone");
}

#[test]
fn what_is_acted_on_is_named_before() {
    let (it, second, _) = two_runs();
    let id = &ids(&it.idshift)[1];
    let facts = |run: &Run| {
        let json = run.json();
        assert_eq!(json["journal"], **id, "{run}");
        let named = &json["run"];
        assert_eq!(named["command"], "shift", "{run}");
        assert_eq!(named["direction"], "into", "{run}");
        assert_eq!(named["id"], **id, "{run}");
        assert_eq!(json["roots"][0], second.to_str().unwrap(), "{run}");
        let time = named["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{run}");
    };
    let is_named = |run: &Run| {
        let first = run.stderr.lines().next().unwrap_or_default();
        for part in [&**id, "shift", second.to_str().unwrap(), "UTC"] {
            assert!(first.contains(part), "{part:?} is not in {first:?}\n{run}");
        }
    };
    for more in [&["--dry-run"][..], &[]] {
        let run = it.rollback(more).exits(0);
        facts(&run);
        is_named(&run);
    }
    // Cut short, it is named by resume.
    let journal = &it.idshift.journal_files()[1];
    let bytes = fs::read(journal).unwrap();
    let frames = support::journal::frames(&bytes);
    fs::write(journal, &bytes[..frames[2].start]).unwrap();
    let run = it.idshift.resume();
    facts(&run);
    is_named(&run);
    let quiet = it.idshift.run(["rollback", "--quiet"]).exits(0);
    assert_eq!(quiet.stderr, "");
}

#[test]
fn runs_are_undone_one_after_the_other_newest_first() {
    let it = shifted();
    let there = it.now();
    it.idshift.reverse(&it.tree);
    let ids = ids(&it.idshift);
    assert_same(&it.start, &it.now(), "after the way back");
    it.rollback(&[]).exits(0);
    assert_same(&there, &it.now(), "after the rollback of the way back");
    it.idshift.run(["rollback", &ids[0]]).exits(0);
    assert_same(&it.start, &it.now(), "after the rollback of the shift");
}

#[test]
fn a_journal_is_named_by_its_id_or_its_path() {
    let it = shifted();
    let journal = it.idshift.the_journal();
    let id = journal
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .strip_suffix(".jsonl.zst")
        .unwrap();
    it.idshift.run(["rollback", id]).exits(0);
    assert_same(&it.start, &it.now(), "after the rollback");
    it.idshift
        .run(["rollback", "0815-no-such-journal"])
        .exits(4)
        .says("journal list");
}
