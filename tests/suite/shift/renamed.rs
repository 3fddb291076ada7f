//! Names that change in the tree during a run: programs write a file under another name and rename it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support::trace::{self, Call, Event, Then};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, sh};

/// Five inodes.
fn tree(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("tree");
    fs::create_dir_all(tree.join("dir/inner")).unwrap();
    fs::write(tree.join("dir/file"), "").unwrap();
    fs::write(tree.join("dir/inner/file"), "").unwrap();
    tree
}

/// Runs a command on a tree, and does something before each call that reads or changes anything of the disk.
fn run(idshift: &Idshift, command: &[&str], tree: &Path, mut before: impl FnMut(&Call)) -> Run {
    let more = ["--jobs", "1", "--json", "--map", MAP];
    let args = command.iter().copied().chain(more);
    let command = idshift.command(args.chain(tree.to_str()));
    trace::run_failing(&command, |call| {
        before(call);
        None
    })
}

/// Renames an entry of a tree once: when its name was read, and before it is looked up.
fn rename_when_read<'t>(tree: &'t Path, from: &str, to: &str) -> impl FnMut(&Call) + 't {
    let (from, to) = (tree.join(from), tree.join(to));
    move |call| {
        if from.exists() && call.inode().as_deref() == Some(&from) {
            fs::rename(&from, &to).unwrap();
        }
    }
}

fn not_shifted(tree: &Path) -> usize {
    let mut all = vec![tree.to_path_buf()];
    let mut count = 0;
    while let Some(path) = all.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        count += usize::from(found.uid() != 100_000);
        if found.is_dir() {
            let entries = fs::read_dir(&path).unwrap();
            all.extend(entries.map(|entry| entry.unwrap().path()));
        }
    }
    count
}

#[test]
fn what_is_renamed_during_the_run_is_shifted() {
    for (from, to) in [("dir/file", "dir/new"), ("dir/inner", "dir/other")] {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree(&fs);
        let idshift = Idshift::new();
        let rename = rename_when_read(&tree, from, to);
        let told = run(&idshift, &["shift"], &tree, rename).exits(0);
        assert!(tree.join(to).exists(), "{from} was not looked up: {told}");
        assert_eq!(not_shifted(&tree), 0, "{told}");
        for (what, count) in [("seen", 5), ("changed", 5), ("already_shifted", 0)] {
            assert_eq!(told.count(what), count, "{what}: {told}");
        }
        // A directory may be looked at before the walk is there.
        if from == "dir/file" {
            assert_eq!(told.count("vanished"), 1, "{told}");
        }
        idshift.run(["rollback", "latest"]).exits(0);
        assert_eq!(not_shifted(&tree), 5);
    }
}

/// What lists everything before it changes anything changes nothing then.
#[test]
fn what_is_renamed_while_a_plan_is_made_ends_it() {
    for command in [&["prepare"][..], &["shift", "--assume-unshifted"]] {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree(&fs);
        let idshift = Idshift::new();
        let rename = rename_when_read(&tree, "dir/file", "dir/new");
        let told = run(&idshift, command, &tree, rename).exits(1);
        assert!(told.text().contains("run the same command again"), "{told}");
        assert_eq!(not_shifted(&tree), 5, "{told}");
        run(&idshift, command, &tree, |_| ()).exits(0);
        assert_eq!(not_shifted(&tree), 0);
    }
}

/// Its new owner is one that the map shifts further.
#[test]
fn what_is_renamed_after_its_change_is_not_shifted_twice() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = fs.path().join("tree");
    let dirs = ["a", "z"].map(|name| tree.join(name));
    for dir in &dirs {
        fs::create_dir_all(dir).unwrap();
        for n in 0..1500 {
            fs::write(dir.join(n.to_string()), "").unwrap();
        }
    }
    sh("chown", ["-R", "100000:100000", tree.to_str().unwrap()]);
    let idshift = Idshift::new();
    let maps = ["--from", MAP, "--to", "b:0:100001:65536"];
    let more = ["--assume-unshifted", "--jobs", "1", tree.to_str().unwrap()];
    let args = ["shift"].into_iter().chain(maps).chain(more);
    let mut moved = None;
    let told = trace::run(&idshift.command(args), |event| {
        // To the directory that is read later.
        if let Event::After(call, 0) = event
            && call.name == "fchownat"
            && moved.is_none()
            && let Some(file) = call.inode().filter(|file| file.is_file())
        {
            let other = dirs.iter().find(|dir| !file.starts_with(dir)).unwrap();
            let to = other.join("moved");
            fs::rename(file, &to).unwrap();
            moved = Some(to);
        }
        Then::GoOn
    })
    .exits(0);
    let uid = fs::metadata(moved.unwrap()).unwrap().uid();
    assert_eq!(uid, 100_001, "{told}");
}

#[test]
fn names_that_keep_changing_are_told() {
    for (more, help) in [
        (&["shift"][..], "run the same `idshift shift` again"),
        (
            &["shift", "--keep-going"],
            "run the same `idshift shift` again",
        ),
        (
            &["shift", "--keep-going", "--assume-unshifted"],
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
        let mut at = 0;
        let told = run(&idshift, more, &tree, |_| {
            fs::rename(name(at), name(at + 1)).unwrap();
            at += 1;
        })
        .exits(3);
        let problems = told.json()["problems"].to_string();
        assert!(
            problems.contains("went away while the tree was read"),
            "{told}"
        );
        assert!(problems.contains(help), "{told}");
        assert_eq!(not_shifted(&tree), 1, "{told}");
        if more.len() == 1 {
            run(&idshift, more, &tree, |_| ()).exits(0);
            assert_eq!(not_shifted(&tree), 0);
        }
    }
}
