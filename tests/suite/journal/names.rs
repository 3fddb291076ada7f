//! Journals in a directory whose name is no text: they are named on a command line, in messages and in JSON.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Idshift, Kind, MAP, Run, TestFs};

#[test]
fn a_journal_whose_path_is_not_utf_8_is_used_as_advised() {
    let fs = TestFs::new(Kind::Tmpfs);
    let place = fs.path().join(OsStr::from_bytes(b"jour nals\xff\x1b"));
    fs::create_dir(&place).unwrap();
    fs::set_permissions(&place, fs::Permissions::from_mode(0o700)).unwrap();
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let run = |words: &[&str], more: &[&OsStr]| {
        let mut command = Command::new(Idshift::program());
        Run::of(command.args(words).args(more))
    };
    let dir = [OsStr::new("--journal-dir"), place.as_os_str()];
    let shift = || {
        let shifted = run(
            &["shift", "--map", MAP],
            &[&dir[..], &[tree.as_os_str()]].concat(),
        );
        assert_eq!(fs::metadata(&tree).unwrap().uid(), 100_000);
        shifted.exits(0)
    };
    let shifted = shift().text();
    let (_, advice) = shifted.split_once("Undo with: ").unwrap();
    let advice = advice.trim().strip_prefix("idshift ").unwrap();
    // As a person pastes it.
    let pasted = format!("{} {advice}", Idshift::program().display());
    let undone = Run::of(Command::new("bash").args(["-c", &pasted])).exits(0);
    assert_eq!(fs::metadata(&tree).unwrap().uid(), 0, "{undone}");

    shift();
    let entries = fs::read_dir(&place)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_journal = |path: &PathBuf| path.extension() == Some(OsStr::new("zst"));
    let journal = entries.filter(is_journal).max().unwrap();
    let named = [journal.as_os_str()];
    for words in [
        &["verify"][..],
        &["journal", "show"],
        &["journal", "check"],
        &["rollback", "--dry-run"],
        &["resume"],
    ] {
        run(words, &named).exits(0);
    }
    let report = [&named[..], &[OsStr::new("-o"), OsStr::new("-")]].concat();
    run(&["report"], &report).exits(0);
    let list = run(&["journal", "list"], &dir).exits(0).text();
    assert!(list.contains("0002-"), "{list}");
    let told = run(&["rollback", "--json"], &named).exits(0).json();
    assert_eq!(told["ending"], "done");
    assert_eq!(fs::metadata(&tree).unwrap().uid(), 0);
    // One that is not there is named as it was given.
    let missing: OsString = place.join(OsStr::from_bytes(b"\xfe")).into_os_string();
    run(&["rollback"], &[missing.as_os_str()])
        .exits(4)
        .says("no journal");
}
