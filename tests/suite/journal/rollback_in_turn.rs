//! Runs on one tree are undone in turn: the last one first.

use std::path::{Path, PathBuf};

use super::rollback::shifted;
use crate::support::scene;
use crate::support::{
    Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, data_root, need_root, output, sh,
};

/// A data-root, and what is run on it.
struct Moved {
    _fs: TestFs,
    top: PathBuf,
    idshift: Idshift,
}

impl Moved {
    fn new() -> Moved {
        need_root();
        let fs = TestFs::new(Kind::Ext4);
        // What is written anew has been read since, or not.
        fs.keep_atimes();
        let top = data_root::filled(&fs.path().join("docker"));
        Moved {
            _fs: fs,
            top,
            idshift: Idshift::new(),
        }
    }

    fn run(&self, what: &str, more: &[&str]) -> Run {
        self.idshift
            .run(scene::docker_args(what, &self.top, more))
            .exits(0)
    }

    fn rollback(&self, journal: &Path, more: &[&str]) -> Run {
        let journal = journal.to_str().unwrap();
        self.idshift.run([&["rollback", journal], more].concat())
    }
}

#[test]
fn what_a_later_run_has_undone_is_not_rolled_back_before_it() {
    let it = Moved::new();
    let start = Snapshot::of(&it.top);
    it.run("migrate", &["--set-userns-host"]);
    it.run("revert", &[]);
    let journals = it.idshift.journal_files();
    let first = format!("`idshift rollback {}`", journals[1].display());
    let reverted = Snapshot::of(&it.top);
    for more in [&[][..], &["--dry-run"], &["--force"]] {
        let run = it.rollback(&journals[0], more).exits(4);
        run.says("`idshift docker revert` was run later")
            .says(&first);
    }
    assert_same(&reverted, &Snapshot::of(&it.top), "after the refusals");
    let listed = it.idshift.run(["journal", "list", "--json"]).exits(0);
    assert_eq!(listed.text().matches("\"finished\"").count(), 2, "{listed}");
    for journal in journals.iter().rev() {
        it.rollback(journal, &[]).exits(0);
    }
    // A symlink that is written anew is another one.
    let now = Snapshot::of(&it.top);
    let start = start.with(&now, |path| path == b"volumes/linked/_data");
    assert_same(&start, &now, "both are undone");
}

/// Nothing but owners is changed by a shift, and each inode is looked at.
#[test]
fn a_shift_that_was_shifted_back_has_nothing_to_undo() {
    let it = shifted();
    let tree = it.tree.to_str().unwrap();
    let args = ["shift", "--reverse", "--map", MAP, tree];
    it.idshift.run(args).exits(0);
    let first = &it.idshift.journal_files()[0];
    let run = it
        .idshift
        .run(["rollback", first.to_str().unwrap(), "--json"])
        .exits(0);
    assert_eq!(run.count("changed"), 0, "{run}");
    assert_same(&it.start, &it.now(), "nothing was left to undo");
}

/// What the operator gave to a directory, as other programs show it.
fn attributes(dir: &Path) -> [String; 2] {
    let text = |program: &str, args: &[&str]| {
        let dir = dir.to_str().unwrap();
        let found = output(program, [args, &[dir]].concat());
        String::from_utf8(found.stdout).unwrap()
    };
    [
        text("getfacl", &["-pn"]),
        text("getfattr", &["-d", "-m", "user"]),
    ]
}

#[test]
fn the_root_of_a_range_keeps_what_it_was_given() {
    let it = Moved::new();
    it.run("migrate", &["--set-userns-host"]);
    let root = it.top.join("100000.100000");
    let give = |script: &str| sh("sh", ["-euc", script, root.to_str().unwrap()]);
    for script in [
        "setfacl -m u:7:rx,d:u:7:rx \"$0\"",
        "setfacl -b \"$0\"; setfattr -n user.mine -v 1 \"$0\"",
    ] {
        give(script);
        let (given, there) = (attributes(&root), Snapshot::of(&it.top));
        it.run("revert", &[])
            .says("kept as idshift-aside-root-100000.100000");
        assert!(!root.exists());
        it.idshift.run(["rollback", "latest"]).exits(0);
        assert_eq!(attributes(&root), given);
        assert_same(&there, &Snapshot::of(&it.top), "the revert is undone");
    }
    // Without any it is removed.
    give("setfattr -x user.mine \"$0\"");
    it.run("revert", &[]);
    assert!(!it.top.join("idshift-aside-root-100000.100000").exists());
}
