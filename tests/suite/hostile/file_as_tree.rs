//! A file that is named itself as the tree: its hard links count as they do in a directory.

use std::fs;
use std::path::PathBuf;

use crate::support::hostile::{make_canary, outside};
use crate::support::{Idshift, Kind, MAP, Promise, TestFs, assert_same, trace};

/// A file with a link in another directory.
fn linked(fs: &TestFs) -> [PathBuf; 2] {
    let names = ["a/file", "b/other"].map(|name| fs.path().join(name));
    for name in &names {
        fs::create_dir(name.parent().unwrap()).unwrap();
    }
    fs::write(&names[0], "").unwrap();
    fs::hard_link(&names[0], &names[1]).unwrap();
    names
}

#[test]
fn links_count_as_in_a_directory() {
    let fs = TestFs::new(Kind::Ext4);
    let [file, other] = linked(&fs);
    let start = outside(&fs.path());
    let idshift = Idshift::new();
    for tree in [&file, &file.parent().unwrap().to_path_buf()] {
        for (option, code) in [("--jobs=1", 1), ("--dry-run", 3)] {
            let run = idshift.shift_with(tree, &[option]).exits(code);
            assert!(
                run.text().contains("has 1 of its 2 hard links in the tree"),
                "{run}"
            );
        }
    }
    // All of its names are in the trees: one is named, the other is in the one that is named too.
    let both = |more: &[&str]| {
        let map = ["shift", "--json", "--map", MAP];
        let trees = [
            file.to_str().unwrap(),
            other.parent().unwrap().to_str().unwrap(),
        ];
        idshift.run([&map[..], more, &trees].concat()).exits(0)
    };
    assert_same(&start, &outside(&fs.path()), "after the refusals");
    assert_eq!(both(&["--dry-run"]).count("changed"), 2);
    assert_eq!(both(&[]).count("changed"), 2);
    let journal = idshift.journal_files().pop().unwrap();
    assert_eq!(both(&[]).count("changed"), 0);
    // One that is shifted already needs no change, whoever else has it.
    idshift.shift_with(&file, &[]).exits(0);
    idshift
        .run(["rollback".as_ref(), journal.as_os_str()])
        .exits(0);
    assert_same(&start, &outside(&fs.path()), "after the rollback");

    let names = [file.to_str().unwrap(), other.to_str().unwrap()];
    let refused = idshift.run([&["shift", "--map", MAP][..], &names].concat());
    refused
        .exits(2)
        .says("is the same file as")
        .says("Name one of them, and add --allow-outside-links");
    // Where no leave is needed, none is proposed.
    let verified = idshift.run([&["verify", "--map", MAP][..], &names].concat());
    let verified = verified.exits(2).says("Name one of them");
    assert!(
        !verified.stderr.contains("--allow-outside-links"),
        "{verified}"
    );
    idshift
        .shift_with(&file, &["--allow-outside-links"])
        .exits(0);
}

/// Before the number of its names is read, the one that is the tree is gone: it looks like a file of one name.
#[test]
fn a_file_that_has_its_name_only_while_it_is_opened_is_left() {
    let promise = Promise::new(
        "Hostile trees",
        "A file that is a tree itself, and has its name there only while it is opened, is left",
        "linked before each open, unlinked before each statx, by ptrace, without end or some times",
    );
    let fs = TestFs::new(Kind::Ext4);
    let (canary, tree) = (fs.path().join("canary"), fs.path().join("tree"));
    make_canary(&canary);
    fs::create_dir(&tree).unwrap();
    let before = outside(&canary);
    let (theirs, name) = (canary.join("file0"), tree.join("name"));
    for times in [1, 2, 3, 8, 40, u64::MAX] {
        fs::hard_link(&theirs, &name).unwrap();
        let idshift = Idshift::new();
        let args = ["shift", "--json", "--jobs=1", "--keep-going", "--map", MAP];
        let command = idshift.command(args.into_iter().chain(name.to_str()));
        let (mut opened, mut asked, mut journals) = (0, 0, false);
        let run = trace::run_failing(&command, |call| {
            // Not before the checks: what is not there is refused.
            journals |= !idshift.journal_files().is_empty();
            match call.name {
                "openat" | "openat2" if journals && opened < times && !name.exists() => {
                    fs::hard_link(&theirs, &name).unwrap();
                    opened += 1;
                }
                "statx" if journals && name.exists() => {
                    fs::remove_file(&name).unwrap();
                    asked += 1;
                }
                _ => {}
            }
            None
        });
        assert!(asked > 0, "never asked about: {run}");
        assert!(matches!(run.code, Some(0 | 3)), "{run}");
        assert_same(&before, &outside(&canary), "outside");
        let _ = fs::remove_file(&name);
        promise.held();
    }
}
