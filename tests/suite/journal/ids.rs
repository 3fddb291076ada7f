//! What journals are called, and which one is meant.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::commands::path;
use crate::support::journal::journalled;
use crate::support::{Idshift, Kind, MAP, Run, TestFs, tree};

/// The number that the newest journal's id begins with.
fn newest_number(idshift: &Idshift) -> u64 {
    let newest = idshift.journal_files().pop().unwrap();
    let name = newest.file_name().unwrap().to_str().unwrap();
    name.split('-').next().unwrap().parse().unwrap()
}

#[test]
fn an_id_is_never_used_again() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::specimens(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let run = |reverse: bool| {
        if reverse {
            idshift.reverse(&tree)
        } else {
            idshift.shift(&tree)
        };
        newest_number(&idshift)
    };
    let prune = || {
        idshift
            .run(["journal", "prune", "--older-than", "0"])
            .exits(0)
    };
    assert_eq!([run(false), run(true)], [1, 2]);
    prune();
    assert!(idshift.journal_files().is_empty());
    assert_eq!(run(false), 3, "after all were pruned");
    // Somebody removed them by hand.
    fs::remove_file(idshift.the_journal()).unwrap();
    assert_eq!(run(true), 4, "after one was removed");
    // One of another host was put there, and is over.
    let here = idshift.the_journal();
    let copied = here.with_file_name("0041-20200102T030405Z.jsonl.zst");
    fs::copy(&here, &copied).unwrap();
    fs::set_permissions(&copied, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    prune();
    assert!(idshift.journal_files().is_empty());
    assert_eq!(run(false), 42, "after a copied one was pruned");
}

#[test]
fn runs_that_begin_at_once_have_a_number_each() {
    let fs = TestFs::new(Kind::Tmpfs);
    let trees: Vec<PathBuf> = (0..12)
        .map(|n| tree::specimens(&fs.path().join(format!("tree-{n}"))))
        .collect();
    let idshift = Idshift::new();
    let start = |tree: &PathBuf| idshift.spawn(["shift", "--map", MAP, path(tree)]);
    let children: Vec<_> = trees.iter().map(start).collect();
    for child in children {
        Run::wait(child).exits(0);
    }
    let numbers = idshift.journal_files().into_iter().map(|file| {
        let name = file.file_name().unwrap().to_str().unwrap().to_string();
        name.split('-').next().unwrap().parse::<u64>().unwrap()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
}

#[test]
fn a_number_that_two_journals_have_names_neither() {
    let it = journalled();
    let name = it.journal.file_name().unwrap().to_str().unwrap();
    let (number, _) = name.split_once('-').unwrap();
    let other = it
        .journal
        .with_file_name(format!("{number}-20200102T030405Z.jsonl.zst"));
    fs::copy(&it.journal, &other).unwrap();
    let run = it.idshift.run(["rollback", "1"]).exits(4);
    run.says(name.strip_suffix(".jsonl.zst").unwrap())
        .says(&format!("{number}-20200102T030405Z"));
}

#[test]
fn a_missing_journal_directory_is_told() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("no-such");
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [&missing, &file] {
        for command in [
            &["journal", "list"][..],
            &["journal", "prune"],
            &["journal", "show", "latest"],
            &["journal", "check", "1"],
            &["rollback"],
            &["resume"],
            &["verify", "latest"],
        ] {
            let mut run = Command::new(Idshift::program());
            run.args(command).arg("--journal-dir").arg(dir);
            let run = Run::of(&mut run).exits(4);
            assert!(run.stdout.is_empty(), "{run}");
            run.says(path(dir)).says("--journal-dir");
        }
    }
    assert!(!missing.exists(), "nor was it made");
    // One that is there and empty.
    let list = Idshift::new().run(["journal", "list"]).exits(0);
    assert!(list.text().contains("No journals"), "{list}");
}
