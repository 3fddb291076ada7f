//! Calls that fail, disks that fill up, files that cannot be changed: by default the tree is as it
//! was, with `--keep-going` exactly what was left is reported.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use support::scene::{self, Scene};
use support::trace::{self, Call, Event, Then};
use support::{
    Idshift, Kind, MAP, Numbers, Promise, Run, Snapshot, TestFs, assert_same, long, sh, tree,
};

const FILE: &str = env!("CARGO_CRATE_NAME");
const PART: &str = "Faults";

/// A tree and what it must be at the start and at the end.
struct Place {
    scene: Scene,
    start: Snapshot,
    end: Snapshot,
}

impl Place {
    fn new() -> Place {
        let scene = scene::shift(Kind::Ext4);
        let start = Snapshot::of(&scene.top);
        Place {
            end: start.shifted(&[MAP]),
            start,
            scene,
        }
    }

    fn now(&self) -> Snapshot {
        Snapshot::of(&self.scene.top)
    }

    /// Its inodes, each by one path.
    fn inodes(&self) -> Vec<PathBuf> {
        let mut known = BTreeSet::new();
        let mut paths = Vec::new();
        for (path, line) in self.start.lines() {
            if known.insert(line["ino"].as_u64()) {
                paths.push(at(&self.scene.top, path));
            }
        }
        paths
    }

    /// A run that was not to fail over anything left: what is not shifted is what it reports, or lies
    /// below a directory that it reports.
    #[track_caller]
    fn left_is_reported(&self, run: &Run, when: &str) {
        let now = self.now();
        let left = self.end.differing_inodes(&now);
        let ino = |path: &Path| path.symlink_metadata().unwrap().ino();
        let reported: Vec<PathBuf> = run.problem_paths().iter().map(PathBuf::from).collect();
        assert!(!reported.is_empty(), "{when}: {run}");
        let covered: BTreeSet<u64> = now
            .lines()
            .keys()
            .map(|path| at(&self.scene.top, path))
            .filter(|path| reported.iter().any(|one| path.starts_with(one)))
            .map(|path| ino(&path))
            .collect();
        let silent: Vec<_> = left.difference(&covered).collect();
        assert!(
            silent.is_empty(),
            "{when}: left and not reported: {silent:?}\n{run}"
        );
        // One that was to stay as it is may not have been readable.
        let to_change = self.start.differing_inodes(&self.end);
        let is_left = |ino: u64| left.contains(&ino) || !to_change.contains(&ino);
        let wrong = |path: &&PathBuf| !path.is_dir() && !is_left(ino(path));
        let wrong: Vec<_> = reported.iter().filter(wrong).collect();
        assert!(
            wrong.is_empty(),
            "{when}: reported and not left: {wrong:?}\n{run}"
        );
        // What is left is as it was, and not somewhere between.
        let before = self.start.differing_inodes(&now);
        let between: Vec<_> = left.intersection(&before).collect();
        let stuck = run
            .stdout
            .windows(19)
            .any(|text| text == b"putting it back fai");
        assert!(
            between.is_empty() || stuck,
            "{when}: half done: {between:?}\n{run}"
        );
    }
}

fn at(top: &Path, path: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    match path {
        b"." => top.to_path_buf(),
        path => top.join(std::ffi::OsStr::from_bytes(path)),
    }
}

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
        FILE,
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
                    it.scene.is_at_start(&when)
                }
                // The very call that is to put it back fails as well.
                (Some(1), false) => {
                    assert_eq!(run.json()["ending"], "stuck", "{when}: {run}");
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
        FILE,
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
        assert!(!run.text().contains("putting it back"), "{when}: {run}");
        it.left_is_reported(&run, &when);
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
        FILE,
        PART,
        "Immutable and append-only inodes are found by the dry run; they fail a run, which is undone, are left by \
         `--keep-going`, and cleared, shifted and made so again by `--immutable=clear`",
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

        let manifests = tempfile::tempdir().unwrap();
        let manifest = manifests.path().join("m.jsonl");
        let manifest = manifest.to_str().unwrap();
        let dry = ["--dry-run", "--immutable=clear", "--manifest", manifest];
        idshift.shift_with(&top, &dry).exits(0);
        idshift.run(["shift", "--from-manifest", manifest]).exits(0);
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

/// Calls on the journal, and what can go wrong with each.
const JOURNAL_TROUBLE: &[(&str, &[Errno])] = &[
    (
        "pwrite64",
        &[Errno::ENOSPC, Errno::EDQUOT, Errno::EIO, Errno::EROFS],
    ),
    ("fdatasync", &[Errno::ENOSPC, Errno::EDQUOT, Errno::EIO]),
    ("fsync", &[Errno::EIO, Errno::ENOSPC]),
    ("ftruncate", &[Errno::EIO, Errno::EROFS]),
    // EINVAL: the filesystem cannot do it in one call, and it is done in two.
    (
        "renameat2",
        &[Errno::ENOSPC, Errno::EROFS, Errno::EIO, Errno::EINVAL],
    ),
    ("openat", &[Errno::EMFILE, Errno::ENOSPC, Errno::EROFS]),
    ("syncfs", &[Errno::EIO, Errno::ENOSPC]),
];

#[test]
fn a_journal_that_cannot_be_written() {
    let promise = Promise::new(
        FILE,
        PART,
        "A journal that cannot be written, from any moment on: the tree is as it was",
        "ENOSPC, EDQUOT, EIO, EROFS, EMFILE by ptrace from the n-th call on the journal, or syncfs, on, for good or \
         once, with and without `--keep-going`; then rolled back",
    );
    let scene = scene::shift_in_many_frames(Kind::Ext4);
    let mut numbers = Numbers::seeded(41);
    for &(call, errors) in JOURNAL_TROUBLE {
        let is_it = |one: &Call, idshift: &Idshift| {
            let is_journal = |path: PathBuf| path.starts_with(idshift.journals());
            one.name == call
                && (["syncfs", "renameat2"].contains(&call) || one.inode().is_some_and(is_journal))
        };
        let (idshift, mut made) = (Idshift::new(), 0);
        trace::run_failing(&scene.command(&idshift), |one| {
            made += u64::from(is_it(one, &idshift));
            None
        })
        .exits(0);
        scene.roll_back(&idshift, "nothing failed");
        assert!(made > 0, "{call} is not made");

        let errors = if long() { errors } else { &errors[..1] };
        for &errno in errors {
            let places: Vec<u64> = match long() {
                true => (0..made.min(12)).collect(),
                false => vec![numbers.below(made.min(8))],
            };
            for n in places {
                for (once, more) in [(false, &[][..]), (true, &["--keep-going"])] {
                    let when = format!("{call} gives {errno} from {n} on, once: {once}");
                    let idshift = Idshift::new();
                    let mut at = 0;
                    let run = trace::run_failing(&scene.command_with(&idshift, more), |one| {
                        let is_it = is_it(one, &idshift);
                        at += u64::from(is_it);
                        (is_it && (at == n + 1 || at > n && !once)).then_some(errno)
                    });
                    match run.code {
                        Some(0) => scene.is_at_end(&when),
                        Some(1) if run.json()["ending"] == "stuck" => {
                            // It is undone, but whether that is on the disk is not known.
                            assert_eq!(call, "syncfs", "{when}: {run}");
                            scene.is_at_start(&when);
                        }
                        Some(1 | 4) => scene.is_at_start(&format!("{when}: {run}")),
                        _ => panic!("{when}: {run}"),
                    }
                    scene.roll_back(&idshift, &format!("{when}, rolled back: {run}"));
                    promise.held();
                }
            }
        }
    }
}

/// The kernel tells of a write that failed once: the sync at a run's end is fine again.
#[test]
fn a_write_out_that_fails_once_on_the_way() {
    let promise = Promise::new(
        FILE,
        PART,
        "A write-out that fails once on the way is not forgotten: a run is undone, a rollback says that it is not certain",
        "EIO for the first syncfs of a run large enough to be written out on the way, none for those after; a walk, a \
         manifest, a rollback",
    );
    let failing_once = |command: &Command| {
        let (mut syncs, mut changes_after) = (0, 0);
        let run = trace::run_failing(command, |call| {
            let is_sync = call.name == "syncfs";
            syncs += u64::from(is_sync);
            changes_after += u64::from(syncs > 0 && call.name == "fchownat");
            (is_sync && syncs == 1).then_some(Errno::EIO)
        });
        assert!(changes_after > 0, "no sync on the way: {run}");
        run
    };
    let a_run = |build: scene::Build| {
        let scene = build(Kind::Tmpfs);
        let idshift = Idshift::new();
        let run = failing_once(&scene.command(&idshift));
        assert_eq!(run.code, Some(1), "{run}");
        assert_eq!(run.json()["ending"], "rolled-back", "{run}");
        scene.is_at_start(&format!("a write-out failed: {run}"));
    };
    let a_rollback = || {
        let scene = scene::shift_large(Kind::Tmpfs);
        let idshift = Idshift::new();
        Run::of(&mut scene.command(&idshift)).exits(0);
        let run = failing_once(&scene.rollback(&idshift));
        assert_eq!(run.code, Some(3), "{run}");
        assert!(run.text().contains("may not be on the disk yet"), "{run}");
        scene.is_at_start(&format!("a write-out failed: {run}"));
        // It can be asked for once more.
        scene.roll_back(&idshift, "once more");
    };
    std::thread::scope(|scope| {
        scope.spawn(|| a_run(scene::shift_large));
        scope.spawn(|| a_run(scene::from_manifest_large));
        scope.spawn(a_rollback);
    });
    promise.held_in(3);
}

/// A filesystem on which nothing can be written any more, from some moment of the run on.
#[test]
fn a_filesystem_that_turns_read_only_midway() {
    let promise = Promise::new(
        FILE,
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
            Some(1) => {
                assert_eq!(run.json()["ending"], "stuck", "{when}: {run}");
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

/// Real quotas and full disks under the journal.
#[test]
fn a_journal_without_room() {
    let promise = Promise::new(
        FILE,
        PART,
        "No room for the journal is found out before anything is changed",
        "the journal on a tmpfs of 64 KiB (ENOSPC), and on btrfs beyond a quota (EDQUOT)",
    );
    let it = Place::new();
    let refused = |journals: &Path, words: &str| {
        let idshift = Idshift::with_journals_in(journals);
        let run = Run::of(&mut it.scene.command(&idshift));
        assert_eq!(run.code, Some(4), "{run}");
        assert!(run.stderr.contains(words), "{run}");
        it.scene.is_at_start(words);
        promise.held();
    };
    let full = TestFs::new(Kind::TinyTmpfs);
    refused(&full.path(), "No space left");
    let limited = TestFs::new(Kind::Btrfs);
    let top = limited.path();
    let top = top.to_str().unwrap();
    sh("btrfs", ["-q", "quota", "enable", top]);
    sh(
        "btrfs",
        ["-q", "subvolume", "create", &format!("{top}/small")],
    );
    sh(
        "btrfs",
        ["-q", "qgroup", "limit", "100K", &format!("{top}/small")],
    );
    refused(&limited.path().join("small"), "quota");
}

#[test]
fn few_descriptors() {
    let promise = Promise::new(
        FILE,
        PART,
        "With few descriptors a run works, or changes nothing and says so",
        "`prlimit --nofile=N`, N from 4 to 80: shifted to the end and rolled back, or as it was and told why",
    );
    let it = Place::new();
    let limits: Vec<u64> = match long() {
        true => (4..80).collect(),
        false => vec![5, 9, 13, 16, 20, 40],
    };
    for limit in limits {
        let idshift = Idshift::new();
        let inner = it.scene.command(&idshift);
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--nofile={limit}:{limit}"))
            .arg(inner.get_program());
        let run = Run::of(command.args(inner.get_args()));
        let when = format!("{limit} descriptors: {run}");
        match run.code {
            Some(0) => it.scene.is_at_end(&when),
            // 127: not even its libraries could be opened.
            Some(1 | 4 | 127) => {
                it.scene.is_at_start(&when);
                assert!(limit < 40, "{when}");
            }
            _ => panic!("{when}"),
        }
        it.scene.roll_back(&idshift, &when);
        promise.held();
    }
}

#[test]
fn a_journal_that_is_removed_under_the_run() {
    let promise = Promise::new(
        FILE,
        PART,
        "A journal, or its directory, that is removed under the run: everything is undone",
        "removed at some system call; the run ends with the tree as it was, or had ended before",
    );
    let mut scene = scene::shift_in_many_frames(Kind::Ext4);
    let events = scene.events();
    let mut numbers = Numbers::seeded(43);
    let mut undone = 0;
    let cases = if long() { events } else { 6 };
    for case in 0..cases {
        let n = if long() { case } else { numbers.below(events) };
        let idshift = Idshift::new();
        let (mut at, mut removed) = (0, false);
        let run = trace::run(&scene.command(&idshift), |_| {
            if at == n {
                let files = idshift.journal_files();
                removed = !files.is_empty();
                match case % 2 {
                    0 => std::fs::remove_dir_all(idshift.journals()).unwrap(),
                    _ => files
                        .iter()
                        .for_each(|file| std::fs::remove_file(file).unwrap()),
                }
            }
            at += 1;
            Then::GoOn
        });
        let when = format!("removed at event {n} of {events}: {run}");
        match run.code {
            // So late that it had ended.
            Some(0) if removed => {
                assert!(n + 12 > events, "{when}");
                scene.is_at_end(&when);
                // No journal leads back, and no reverse shift: some of it was shifted before.
                scene = scene::shift_in_many_frames(Kind::Ext4);
            }
            Some(0) => {
                scene.is_at_end(&when);
                scene.roll_back(&idshift, &when);
            }
            Some(1 | 4) => {
                undone += u64::from(removed);
                scene.is_at_start(&when);
            }
            _ => panic!("{when}"),
        }
        std::fs::create_dir_all(idshift.journals()).unwrap();
        promise.held();
    }
    assert!(undone > 1, "only {undone} undone");
}

#[test]
fn inodes_that_vanish_and_appear_during_the_walk() {
    let promise = Promise::new(
        FILE,
        PART,
        "What vanishes or appears during the walk harms nothing else",
        "one inode removed, and others made, at some system call; all the rest is shifted, then rolled back, and the \
         one that is gone is reported",
    );
    let mut numbers = Numbers::seeded(44);
    for _ in 0..if long() { 40 } else { 3 } {
        let fs = TestFs::new(Kind::Tmpfs);
        let top = tree::specimens(&fs.path().join("tree"));
        let (gone, new) = (top.join("dir/below/fifo"), top.join("dir/new"));
        let start = Snapshot::of(&top);
        let idshift = Idshift::new();
        let command = idshift.command([
            "shift",
            "--json",
            "--jobs",
            "1",
            "--map",
            MAP,
            top.to_str().unwrap(),
        ]);
        let (n, mut at) = (numbers.below(60), 0);
        let run = trace::run(&command, |_: Event<'_>| {
            if at == n {
                std::fs::remove_file(&gone).unwrap();
                std::fs::write(&new, "new").unwrap();
            }
            at += 1;
            Then::GoOn
        });
        let when = format!("changed at event {n}");
        let run = run.exits(0);
        // Directories keep their own times.
        let apart = |path: &[u8]| {
            [&b"dir"[..], b"dir/below", b"dir/below/fifo", b"dir/new"].contains(&path)
        };
        let now = Snapshot::of(&top);
        assert_same(
            &start.shifted(&[MAP]).without(apart),
            &now.without(apart),
            &format!("{when}: {run}"),
        );
        let undone = idshift.run(["rollback", "latest", "--json"]);
        let conflicts = undone.problem_paths();
        let only_gone = conflicts.iter().all(|path| Path::new(path) == gone);
        assert!(only_gone, "{when}: {undone}");
        assert_eq!(
            undone.code,
            Some(if conflicts.is_empty() { 0 } else { 3 }),
            "{when}: {undone}"
        );
        assert_same(
            &start.clone().without(apart),
            &Snapshot::of(&top).without(apart),
            &when,
        );
        promise.held();
    }
}

#[test]
fn a_clock_that_jumps() {
    let promise = Promise::new(
        FILE,
        PART,
        "A clock that jumps changes nothing of what is done, and not which journal is the latest",
        "run, resume and rollback under faketime with clocks days and years apart, forwards and backwards, after kills",
    );
    let scene = scene::shift(Kind::Ext4);
    let events = scene.events();
    let mut numbers = Numbers::seeded(45);
    let jump = |command: Command, by: &str| {
        let mut jumped = Command::new("faketime");
        jumped.args(["-f", by]).arg(command.get_program());
        jumped.args(command.get_args());
        jumped
    };
    let clocks = ["+0", "-3d", "+10y", "-20y", "+1s", "-1d"];
    for case in 0..if long() { 60 } else { 2 } {
        let idshift = Idshift::new();
        let mut clock = || clocks[numbers.below(6) as usize];
        let (first, second, third) = (clock(), clock(), clock());
        // One that is over, so that there is an older journal.
        Run::of(&mut jump(scene.command(&idshift), first)).exits(0);
        Run::of(&mut jump(scene.rollback(&idshift), second)).exits(0);
        let n = numbers.below(events);
        trace::kill_at(&jump(scene.command(&idshift), second), n);
        let when = format!("clocks {first}, {second}, {third}, killed at {n}");
        if case % 2 == 0 && scene::is_unfinished(&idshift) {
            let resumed = Run::of(&mut jump(scene.resume(&idshift), third)).exits(0);
            scene.is_at_end(&format!("{when}: {resumed}"));
        }
        scene.roll_back(&idshift, &when);
        promise.held();
    }
}

/// Two runs that begin at the same time on trees that hold one another.
#[test]
fn two_runs_at_once() {
    let promise = Promise::new(
        FILE,
        PART,
        "Of two runs at once on overlapping trees one works and the other is refused, or they come one after the other",
        "started together on a tree and on a directory in it; all is shifted once, and both rolled back",
    );
    let it = Place::new();
    let idshift = Idshift::new();
    let inner = it.scene.top.join("dir");
    let mut refused = 0;
    for round in 0..if long() { 200 } else { 10 } {
        let shift =
            |path: &Path| idshift.spawn(["shift", "--json", "--map", MAP, path.to_str().unwrap()]);
        let children = match round % 2 {
            0 => [shift(&it.scene.top), shift(&inner)],
            _ => [shift(&inner), shift(&it.scene.top)],
        };
        let runs = children.map(Run::wait);
        let codes: Vec<_> = runs.iter().map(|run| run.code).collect();
        let when = format!("round {round}: {}\n{}", runs[0], runs[1]);
        assert!(
            codes.iter().all(|code| [Some(0), Some(4)].contains(code)),
            "{when}"
        );
        assert!(codes.contains(&Some(0)), "{when}");
        refused += codes.iter().filter(|code| **code == Some(4)).count();
        // Newest first, until none is left.
        while idshift.run(["rollback", "latest"]).code == Some(0) {}
        it.scene.is_at_start(&when);
        promise.held();
    }
    assert!(refused > 0, "they never met");
}
