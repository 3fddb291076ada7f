//! Calls on inodes that fail, inodes that cannot be changed, filesystems that turn read-only: by default
//! the tree is as it was, with `--keep-going` exactly what was left is reported.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::support;
use crate::support::place::{Place, at};
use crate::support::trace::{self, Call, Then};
use crate::support::{
    Idshift, Kind, MAP, Numbers, Promise, Run, Snapshot, TestFs, assert_same, long, scene, sh, tree,
};
use nix::errno::Errno;

const PART: &str = "Faults";

/// What can go wrong with a call on an inode.
const TROUBLE: &[(&str, &[Errno])] = &[
    (
        "fchownat",
        &[
            Errno::EIO,
            Errno::EPERM,
            Errno::EACCES,
            Errno::EROFS,
            Errno::ESTALE,
            Errno::EDQUOT,
        ],
    ),
    (
        "fchmodat",
        &[Errno::EIO, Errno::EPERM, Errno::EACCES, Errno::ESTALE],
    ),
    (
        "setxattr",
        &[
            Errno::EIO,
            Errno::EOPNOTSUPP,
            Errno::ENOSPC,
            Errno::EDQUOT,
            Errno::EACCES,
        ],
    ),
    (
        "statx",
        &[Errno::EIO, Errno::ESTALE, Errno::EACCES, Errno::ENOMEM],
    ),
    (
        "openat",
        &[
            Errno::EIO,
            Errno::EACCES,
            Errno::ESTALE,
            Errno::EMFILE,
            Errno::ENFILE,
        ],
    ),
    ("getdents64", &[Errno::EIO, Errno::ESTALE]),
    ("listxattr", &[Errno::EIO, Errno::EACCES, Errno::ESTALE]),
    ("llistxattr", &[Errno::EIO, Errno::EACCES]),
    ("getxattr", &[Errno::EIO, Errno::EACCES, Errno::ESTALE]),
];

#[test]
fn an_inode_on_which_a_call_fails() {
    let promise = Promise::new(
        PART,
        "An inode on which any call fails: the tree is as it was, and with `--keep-going` all the rest is \
         shifted and just that one reported",
        "each of fchownat, fchmodat, setxattr, statx, openat, getdents64, listxattr, getxattr x EIO, EPERM, EACCES, \
         EROFS, ESTALE, ENOSPC, EDQUOT, ENOTSUP, EMFILE, ENFILE, ENOMEM x each inode, by ptrace; then rolled back",
    );
    let it = Place::new();
    let inodes = it.inodes();
    let all: Vec<(&str, Errno, &PathBuf)> = TROUBLE
        .iter()
        .flat_map(|&(call, errors)| errors.iter().map(move |&errno| (call, errno)))
        .flat_map(|(call, errno)| inodes.iter().map(move |inode| (call, errno, inode)))
        .collect();
    let each = if long() { 1 } else { 53 };
    let mut failed = 0;
    for (n, (call, errno, inode)) in all.into_iter().enumerate() {
        // Through the top a run also has its filesystem written out.
        let is_both = call == "openat" && errno == Errno::EIO && inode == &it.scene.top;
        if n % each > 0 && !is_both {
            continue;
        }
        let ways = match long() || is_both {
            true => vec![false, true],
            false => vec![n % 2 == 1],
        };
        for keep_going in ways {
            let when = format!(
                "{call} gives {errno} on {}, keep going: {keep_going}",
                inode.display()
            );
            let idshift = Idshift::new();
            let more: &[&str] = if keep_going { &["--keep-going"] } else { &[] };
            let mut hits = 0;
            let begun = || !idshift.journal_files().is_empty();
            let run = trace::run_failing(&it.scene.command_with(&idshift, more), |one: &Call| {
                // What goes wrong before the run begins is refused elsewhere.
                let is_it = one.name == call && begun() && one.inode().as_ref() == Some(inode);
                hits += u64::from(is_it);
                is_it.then_some(errno)
            });
            failed += u64::from(hits > 0);
            match (run.code, keep_going) {
                (Some(0), _) => it.scene.is_at_end(&when),
                (Some(3), true) => it.left_is_reported(&run, &when),
                (Some(1), false) if run.json()["ending"] == "rolled-back" => {
                    it.scene.is_at_start(&when);
                }
                // The very call that is to put it back fails as well.
                (Some(5), false) => {
                    assert_eq!(run.json()["ending"], "rollback-incomplete", "{when}: {run}");
                    let now = it.now();
                    let left: Vec<u64> = it.start.differing_inodes(&now).into_iter().collect();
                    let ino = inode.symlink_metadata().unwrap().ino();
                    assert!(
                        left.iter().all(|left| *left == ino),
                        "{when}: {left:?} {run}"
                    );
                    assert!(!run.problem_paths().is_empty(), "{when}: {run}");
                }
                _ => panic!("{when}: {run}"),
            }
            assert!(hits > 0 || run.code == Some(0), "{when}: {run}");
            it.scene
                .roll_back(&idshift, &format!("{when}, rolled back"));
            promise.held();
        }
    }
    assert!(failed * 3 > promise.cases(), "only {failed} hit");
}

/// One whose owner was changed already when another of its calls fails: it is put back at once.
#[test]
fn an_inode_whose_change_fails_half_way() {
    let promise = Promise::new(
        PART,
        "An inode whose change fails half way is put back before the run goes on",
        "each call after the first on each inode that takes several fails once, with `--keep-going`; then rolled back",
    );
    let it = Place::new();
    for (call, name) in [
        ("setxattr", "acl"),
        ("fchmodat", "setuid"),
        ("setxattr", "capability"),
        ("setxattr", "all"),
        ("fchmodat", "all"),
        ("setxattr", "dir"),
    ] {
        let inode = it.scene.top.join(name);
        let when = format!("{call} gives EIO once on {name}");
        let idshift = Idshift::new();
        let mut hits = 0;
        let run = trace::run_failing(&it.scene.command_with(&idshift, &["--keep-going"]), |one| {
            let is_it = hits == 0 && one.name == call && one.inode().as_ref() == Some(&inode);
            hits += u64::from(is_it);
            is_it.then_some(Errno::EIO)
        });
        assert_eq!((run.code, hits), (Some(3), 1), "{when}: {run}");
        assert!(!run.text().contains("undoing the change"), "{when}: {run}");
        it.left_is_reported(&run, &when);
        it.scene.roll_back(&idshift, &when);
        promise.held();
    }
}

#[test]
fn a_tree_that_takes_no_more_changes() {
    let promise = Promise::new(
        PART,
        "A tree that takes no more changes, nor their undoing: what is left is reported, and nothing else",
        "each changing call from the n-th on gives EROFS, with `--keep-going`; what the run reports is compared with \
         the disk; then rolled back",
    );
    let it = Place::new();
    let changes = |call: &Call| {
        let is_change = ["fchownat", "fchmodat", "setxattr", "removexattr"].contains(&call.name);
        is_change
            && call
                .inode()
                .is_some_and(|path| path.starts_with(&it.scene.top))
    };
    let run_until = |idshift: &Idshift, n: u64| {
        let mut at = 0;
        let command = it.scene.command_with(idshift, &["--keep-going"]);
        let run = trace::run_failing(&command, |call| {
            at += u64::from(changes(call));
            (at > n && changes(call)).then_some(Errno::EROFS)
        });
        (run, at)
    };
    let whole = Idshift::new();
    let calls = run_until(&whole, u64::MAX).1;
    it.scene.roll_back(&whole, "nothing failed");
    assert!(calls > 20, "{calls}");
    for n in 0..calls {
        let when = format!("EROFS from change {n} of {calls} on");
        let idshift = Idshift::new();
        let (run, _) = run_until(&idshift, n);
        match run.code {
            Some(3) => it.left_is_reported(&run, &when),
            // The rest of the last change was nothing.
            Some(0) => it.scene.is_at_end(&when),
            _ => panic!("{when}: {run}"),
        }
        it.scene.roll_back(&idshift, &when);
        promise.held();
    }
}

/// The flags that a path has, as `lsattr` prints them.
fn flags(path: &Path) -> String {
    let told = support::output("lsattr", ["-d", path.to_str().unwrap()]).stdout;
    String::from_utf8_lossy(&told)
        .split(' ')
        .next()
        .unwrap()
        .to_string()
}

#[test]
fn immutable_and_append_only_inodes() {
    let promise = Promise::new(
        PART,
        "Immutable and append-only inodes are found by the dry run; they fail a run, which is undone, are left by \
         `--keep-going`, and get their flag back after a shift by `--immutable=clear`",
        "chattr +i and +a on files and directories of ext4, xfs and btrfs; also from a manifest, with kills in the crash \
         tests, and a rollback after somebody cleared a flag on purpose",
    );
    for kind in [Kind::Ext4, Kind::Xfs, Kind::Btrfs] {
        let fs = TestFs::new(kind);
        let top = tree::specimens(&fs.path().join("tree"));
        let start = Snapshot::of(&top);
        let end = start.shifted(&[MAP]);
        // Already shifted: nothing has to be cleared.
        let held = || {
            scene::IMMUTABLE
                .into_iter()
                .filter(|(_, name)| *name != "shifted")
        };
        let paths: BTreeSet<PathBuf> = held().map(|(_, name)| top.join(name)).collect();
        for (flag, name) in scene::IMMUTABLE {
            sh("chattr", [flag, top.join(name).to_str().unwrap()]);
        }
        let before: Vec<String> = paths.iter().map(|path| flags(path)).collect();
        let are_held = |when: &str| {
            let now: Vec<String> = paths.iter().map(|path| flags(path)).collect();
            assert_eq!(now, before, "{when}");
        };
        let idshift = Idshift::new();
        let reported = |run: &Run| -> BTreeSet<PathBuf> {
            run.problem_paths().into_iter().map(PathBuf::from).collect()
        };

        let dry = idshift.shift_with(&top, &["--dry-run"]);
        assert_eq!(reported(&dry), paths, "{dry}");
        let failed = idshift.shift_with(&top, &[]).exits(1);
        assert_eq!(failed.json()["ending"], "rolled-back");
        assert_same(&start, &Snapshot::of(&top), "it failed and was undone");
        promise.held_in(2);

        let left = idshift.shift_with(&top, &["--keep-going"]).exits(3);
        assert_eq!(reported(&left), paths, "{left}");
        let is_left = |path: &[u8]| paths.contains(&at(&top, path));
        assert_same(
            &end.clone().with(&start, is_left),
            &Snapshot::of(&top),
            "it went on",
        );
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&top), "rolled back");
        promise.held_in(2);

        idshift.shift_with(&top, &["--immutable=clear"]).exits(0);
        assert_same(&end, &Snapshot::of(&top), "cleared, shifted");
        are_held("after the shift");
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&top), "rolled back");
        are_held("after the rollback");
        promise.held_in(2);

        shifted_from_a_manifest(&idshift, &top);
        assert_same(&end, &Snapshot::of(&top), "from a manifest");
        are_held("from a manifest");
        // Cleared on purpose since: it stays so.
        let file = top.join("all");
        sh("chattr", ["-i", file.to_str().unwrap()]);
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&top), "rolled back");
        assert!(!flags(&file).contains('i'), "{}", flags(&file));
        promise.held_in(2);
        for (flag, name) in scene::IMMUTABLE {
            let flag = flag.replace('+', "-");
            sh("chattr", [&flag, top.join(name).to_str().unwrap()]);
        }
    }
}

fn shifted_from_a_manifest(idshift: &Idshift, top: &Path) {
    let manifests = tempfile::tempdir().unwrap();
    let manifest = manifests.path().join("m.jsonl");
    let manifest = manifest.to_str().unwrap();
    let dry = ["--dry-run", "--immutable=clear", "--manifest", manifest];
    idshift.shift_with(top, &dry).exits(0);
    idshift.run(["shift", "--from-manifest", manifest]).exits(0);
}

/// A filesystem on which nothing can be written any more, from some moment of the run on.
#[test]
fn a_filesystem_that_turns_read_only_midway() {
    let promise = Promise::new(
        PART,
        "A filesystem that turns read-only midway: what could not be undone is named, and undone once it can be",
        "remounted read-only at some system call; what the run says of its end is compared with the disk; remounted \
         read-write and rolled back",
    );
    let it = Place::new();
    let events = it.scene.events();
    let mut numbers = Numbers::seeded(42);
    let (cases, mut failed) = (if long() { 60 } else { 4 }, 0);
    for case in 0..cases {
        let n = numbers.below(events);
        let keep_going = case % 2 == 1;
        let more: &[&str] = if keep_going { &["--keep-going"] } else { &[] };
        let idshift = Idshift::new();
        let mut at = 0;
        let run = trace::run(&it.scene.command_with(&idshift, more), |_| {
            if at == n {
                it.scene.fs.make_read_only();
            }
            at += 1;
            Then::GoOn
        });
        let when = format!("read-only from event {n} of {events} on, keep going: {keep_going}");
        match run.code {
            Some(0) => it.scene.is_at_end(&when),
            Some(4) => it.scene.is_at_start(&when),
            Some(3) => it.left_is_reported(&run, &when),
            Some(1) if run.json()["ending"] == "rolled-back" => it.scene.is_at_start(&when),
            Some(5) => {
                assert_eq!(run.json()["ending"], "rollback-incomplete", "{when}: {run}");
                let left = it.start.differing_inodes(&it.now());
                let reported = run.problem_paths();
                let named = |ino: &u64| {
                    reported.iter().any(|path| {
                        Path::new(path)
                            .symlink_metadata()
                            .is_ok_and(|found| found.ino() == *ino)
                    })
                };
                assert!(left.iter().all(named), "{when}: {left:?} {run}");
            }
            _ => panic!("{when}: {run}"),
        }
        failed += u64::from(run.code != Some(0));
        it.scene.fs.make_writable();
        it.scene
            .roll_back(&idshift, &format!("{when}, rolled back"));
        promise.held();
    }
    assert!(failed * 2 > cases, "only {failed} of {cases} failed");
}
