//! Names that change in the tree during a run: programs write a file under another name and rename it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::trace;
use crate::support::{Idshift, Kind, MAP, Run, TestFs};

fn tree(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("tree");
    fs::create_dir_all(tree.join("dir/inner")).unwrap();
    fs::write(tree.join("dir/file"), "").unwrap();
    fs::write(tree.join("dir/inner/file"), "").unwrap();
    tree
}

/// Shifts a tree, and does something before each call that reads or changes anything of the disk.
fn shift(idshift: &Idshift, tree: &Path, more: &[&str], mut before: impl FnMut(u64)) -> Run {
    let mut args = vec!["shift", "--jobs", "1", "--json", "--map", MAP];
    args.extend(more);
    let mut at = 0;
    trace::run_failing(
        &idshift.command(args.into_iter().chain(tree.to_str())),
        |_| {
            before(at);
            at += 1;
            None
        },
    )
}

/// The same of `prepare`, which lists everything before it changes anything.
fn prepare(idshift: &Idshift, tree: &Path, mut before: impl FnMut(u64)) -> Run {
    let args = ["prepare", "--jobs", "1", "--json", "--map", MAP];
    let mut at = 0;
    trace::run_failing(
        &idshift.command(args.into_iter().chain(tree.to_str())),
        |_| {
            before(at);
            at += 1;
            None
        },
    )
}

fn not_shifted(tree: &Path) -> usize {
    let mut all = vec![tree.to_path_buf()];
    let mut count = 0;
    while let Some(path) = all.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        count += usize::from(found.uid() != 100_000);
        if found.is_dir() {
            all.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        }
    }
    count
}

#[test]
fn what_is_renamed_once_during_the_run_is_shifted() {
    let calls = {
        let fs = TestFs::new(Kind::Tmpfs);
        let mut calls = 0;
        shift(&Idshift::new(), &tree(&fs), &[], |at| calls = at).exits(0);
        calls
    };
    let mut again = 0;
    for (from, to) in [("dir/file", "dir/new"), ("dir/inner", "dir/other")] {
        for n in (0..calls).step_by(3) {
            let fs = TestFs::new(Kind::Tmpfs);
            let tree = tree(&fs);
            let idshift = Idshift::new();
            let run = shift(&idshift, &tree, &[], |at| {
                if at == n {
                    fs::rename(tree.join(from), tree.join(to)).unwrap();
                }
            });
            if run.code == Some(1) {
                // A directory that goes while it is read ends the run, which is undone.
                assert_eq!(not_shifted(&tree), 5, "{n}: {run}");
                continue;
            }
            let run = run.exits(0);
            assert_eq!(not_shifted(&tree), 0, "{from} renamed at call {n}: {run}");
            assert_eq!(run.count("seen"), 5, "{n}: {run}");
            assert_eq!(run.count("changed"), 5, "{n}: {run}");
            assert_eq!(run.count("already_shifted"), 0, "{n}: {run}");
            again += run.count("vanished");
            idshift.run(["rollback", "latest"]).exits(0);
            assert_eq!(not_shifted(&tree), 5, "{n}");
        }
    }
    assert!(again > 0, "no name vanished");
}

#[test]
fn names_that_keep_changing_are_told() {
    for (more, help) in [
        (&[][..], "run the same `idshift shift` again"),
        (&["--keep-going"][..], "run the same `idshift shift` again"),
        (
            &["--assume-unshifted"][..],
            "undo the run with `idshift rollback`",
        ),
    ] {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree(&fs);
        let idshift = Idshift::new();
        let name = |n: u64| match n {
            0 => tree.join("dir/file"),
            n => tree.join(format!("dir/{n}")),
        };
        let run = shift(&idshift, &tree, more, |at| {
            fs::rename(name(at), name(at + 1)).unwrap();
        })
        .exits(3);
        let problems = run.json()["problems"].to_string();
        assert!(
            problems.contains("went away while the tree was read"),
            "{run}"
        );
        assert!(problems.contains(help), "{run}");
        assert_eq!(not_shifted(&tree), 1, "{run}");
        if more.is_empty() {
            shift(&idshift, &tree, &[], |_| ()).exits(0);
            assert_eq!(not_shifted(&tree), 0);
        }
    }
}

/// All or nothing.
#[test]
fn what_is_renamed_while_a_plan_is_made_ends_it() {
    let calls = {
        let fs = TestFs::new(Kind::Tmpfs);
        let mut calls = 0;
        prepare(&Idshift::new(), &tree(&fs), |at| calls = at).exits(0);
        calls
    };
    let mut told = 0;
    for n in (0..calls).step_by(3) {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree(&fs);
        let run = prepare(&Idshift::new(), &tree, |at| {
            if at == n {
                fs::rename(tree.join("dir/file"), tree.join("dir/new")).unwrap();
            }
        });
        match run.code {
            Some(0) => assert_eq!(not_shifted(&tree), 0, "{n}: {run}"),
            Some(1) => assert_eq!(not_shifted(&tree), 5, "{n}: {run}"),
            _ => panic!("{n}: {run}"),
        }
        told += u64::from(run.text().contains("run the same command again"));
    }
    assert!(told > 0, "no name vanished");
}
