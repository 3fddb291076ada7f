//! A journal that cannot be written or is removed, full disks, writes that fail later, too few
//! descriptors: nothing is changed, or everything is undone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::place::Place;
use crate::support::trace::{self, Call, Then};
use crate::support::{Idshift, Kind, Numbers, Promise, Run, TestFs, long, scene, sh};
use nix::errno::Errno;

const PART: &str = "Faults";

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
                        Some(5) => {
                            assert_eq!(run.json()["ending"], "rollback-incomplete");
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

/// The kernel tells of a write that failed once.
#[test]
fn a_rollback_whose_sync_fails_says_that_it_is_not_certain() {
    let promise = Promise::new(
        PART,
        "A rollback whose sync fails says that it is not certain, and can be asked for once more",
        "EIO for the first syncfs of a rollback, none for those after",
    );
    let scene = scene::shift(Kind::Tmpfs);
    let idshift = Idshift::new();
    Run::of(&mut scene.command(&idshift)).exits(0);
    let mut syncs = 0;
    let run = trace::run_failing(&scene.rollback(&idshift), |call| {
        let is_sync = call.name == "syncfs";
        syncs += u64::from(is_sync);
        (is_sync && syncs == 1).then_some(Errno::EIO)
    });
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.text().contains("may not be on the disk yet"), "{run}");
    scene.is_at_start(&format!("a sync failed: {run}"));
    scene.roll_back(&idshift, "once more");
    promise.held_in(1);
}

/// Makes a run of which reads of the journal fail, by their number; gives also how many it made.
fn run_failing_reads(
    command: &Command,
    idshift: &Idshift,
    fails: impl Fn(u64) -> bool,
) -> (Run, u64) {
    let mut at = 0;
    let run = trace::run_failing(command, |call| {
        let is_journal = |path: PathBuf| path.starts_with(idshift.journals());
        let is_read = call.name == "pread64" && call.inode().is_some_and(is_journal);
        at += u64::from(is_read);
        (is_read && fails(at)).then_some(Errno::EIO)
    });
    (run, at)
}

/// A run reads its journal again to carry it out, and so does a rollback.
#[test]
fn a_journal_that_cannot_be_read_any_more() {
    let promise = Promise::new(
        PART,
        "A journal that cannot be read, from any moment on: the run is undone, or says that it is not, and a rollback \
         does it later",
        "EIO by ptrace from the n-th read of the journal on, for good or once, in a migration, a preparation, a manifest of \
         several frames, and their rollbacks",
    );
    let mut ended = [0; 6];
    for (build, kind, last) in [
        (scene::migrate as scene::Build, Kind::Ext4, 3),
        (scene::prepare, Kind::Ext4, 3),
        (scene::from_manifest_large, Kind::Tmpfs, 1),
    ] {
        let scene = build(kind);
        let idshift = Idshift::new();
        let run = run_failing_reads(&scene.command(&idshift), &idshift, |_| false);
        let undo = run_failing_reads(&scene.rollback(&idshift), &idshift, |_| false);
        let (made, undoing) = (run.1, undo.1);
        // The last ones come in mid-run.
        let last = if long() { 100 } else { last };
        for (n, once) in (made.saturating_sub(last)..made).flat_map(|n| [(n, false), (n, true)]) {
            let idshift = Idshift::new();
            let fails = |at: u64| at == n + 1 || at > n && !once;
            let (run, _) = run_failing_reads(&scene.command(&idshift), &idshift, fails);
            let when = format!("{}: read {n} of {made}, once: {once}: {run}", scene.name);
            match run.code {
                Some(0) => scene.is_at_end(&when),
                Some(1 | 4) => scene.is_at_start(&when),
                Some(5) => assert!(run.stderr.contains("idshift rollback"), "{when}"),
                _ => panic!("{when}"),
            }
            ended[run.code.unwrap_or(0) as usize] += 1;
            assert!(
                run.code == Some(5) || !scene::is_unfinished(&idshift),
                "{when}"
            );
            scene.roll_back(&idshift, &when);
            promise.held();
        }
        // Those of many inodes take long.
        let last = if kind == Kind::Ext4 || long() {
            last
        } else {
            0
        };
        for n in undoing.saturating_sub(last)..undoing {
            let idshift = Idshift::new();
            Run::of(&mut scene.command(&idshift)).exits(0);
            let (run, _) = run_failing_reads(&scene.rollback(&idshift), &idshift, |at| at > n);
            let when = format!("{}: rollback, read {n} of {undoing}: {run}", scene.name);
            match run.code {
                Some(0) => scene.is_at_start(&when),
                Some(4) => scene.is_at_end(&when),
                Some(5) => {}
                _ => panic!("{when}"),
            }
            scene.roll_back(&idshift, &when);
            promise.held();
        }
    }
    assert!(ended[1] > 0 && ended[5] > 0, "{ended:?}");
}

/// Real quotas and full disks under the journal.
#[test]
fn a_journal_without_space() {
    let promise = Promise::new(
        PART,
        "A lack of space for the journal is found before anything is changed",
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
fn a_journal_that_is_removed_under_the_run() {
    let promise = Promise::new(
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

/// What is cut off cannot be undone any more: the run stops, and does not say that it can.
#[test]
fn a_journal_that_is_cut_off_ends_the_run() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    for n in 0..900 {
        std::fs::write(dir.path().join(format!("file-{n}")), "").unwrap();
    }
    let idshift = Idshift::new();
    let args = ["shift", "--map", "b:0:100000:65536", "--rate", "300"];
    let mut run = idshift
        .command(args)
        .arg(dir.path())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // By their names: whoever has the directory open is a user of it, and the run refused.
    let is_shifted = |n: i32| {
        let file = dir.path().join(format!("file-{n}")).metadata().unwrap();
        std::os::unix::fs::MetadataExt::uid(&file) == 100_000
    };
    let begun = || (0..900).any(is_shifted);
    while !begun() {
        assert!(
            run.try_wait().unwrap().is_none(),
            "over before anything was changed"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let journal = idshift.the_journal();
    std::fs::File::options()
        .write(true)
        .open(journal)
        .unwrap()
        .set_len(0)
        .unwrap();
    Run::wait(run)
        .exits(5)
        .says("truncated it while it was written");
}

/// The signal that a write beyond the limit sends ends a process that does not expect it.
#[test]
fn a_limit_of_file_sizes() {
    let promise = Promise::new(
        PART,
        "With a limit of file sizes (`ulimit -f`) that the journal does not fit into, nothing is changed, and it is said why",
        "`prlimit --fsize=N` of 4 KiB to 200 KiB",
    );
    let it = Place::new();
    for limit in [4_096, 65_536, 200_000] {
        let idshift = Idshift::new();
        let inner = it.scene.command(&idshift);
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--fsize={limit}:{limit}"))
            .arg(inner.get_program());
        let run = Run::of(command.args(inner.get_args()));
        let when = format!("{limit} bytes: {run}");
        assert_eq!(run.code, Some(4), "{when}");
        assert!(run.text().contains("File too large"), "{when}");
        it.scene.is_at_start(&when);
        assert!(idshift.journal_files().is_empty(), "{when}");
        promise.held();
    }
}

#[test]
fn few_descriptors() {
    let promise = Promise::new(
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
            Some(4 | 127) => {
                it.scene.is_at_start(&when);
                assert!(limit < 64, "{when}");
                assert!(idshift.journal_files().is_empty(), "{when}");
            }
            _ => panic!("{when}"),
        }
        it.scene.roll_back(&idshift, &when);
        promise.held();
    }
    // Nor is a rollback begun that could not be ended.
    let idshift = Idshift::new();
    Run::of(&mut it.scene.command(&idshift)).exits(0);
    let there = std::fs::read(idshift.the_journal()).unwrap();
    for limit in [9, 12, 13, 16, 20] {
        let inner = it.scene.rollback(&idshift);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nofile={limit}:{limit}"));
        command.arg(inner.get_program()).args(inner.get_args());
        Run::of(&mut command).exits(4);
        assert!(there == std::fs::read(idshift.the_journal()).unwrap());
        it.scene.is_at_end("refused");
    }
    it.scene.roll_back(&idshift, "with enough of them");
}

/// Undoing needs some room for the journal: where there is none, what is said helps.
#[test]
fn a_rollback_without_room_says_what_to_do() {
    let fs = TestFs::new(Kind::Tmpfs);
    let [tree, dir] = ["tree", "journals"].map(|name| fs.path().join(name));
    std::fs::create_dir(&tree).unwrap();
    std::fs::create_dir(&dir).unwrap();
    let _full = crate::support::Mounted::new("tmpfs", "size=1m,mode=700", &dir);
    let with = |args: &[&str]| {
        let mut command = Command::new(Idshift::program());
        Run::of(command.args(args).arg("--journal-dir").arg(&dir))
    };
    with(&[
        "shift",
        "--map",
        crate::support::MAP,
        tree.to_str().unwrap(),
    ])
    .exits(0);
    let fill = format!("head -c 2M /dev/zero > {}/fill; true", dir.display());
    sh("sh", ["-c", &fill]);
    let refused = with(&["rollback", "latest"]).exits(4);
    let place = tempfile::Builder::new()
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
        .tempdir()
        .unwrap();
    let advice = refused
        .stderr
        .split('`')
        .find(|part| part.starts_with("mv "));
    let advice = advice.unwrap_or_else(|| panic!("{refused}"));
    let elsewhere = place.path().to_str().unwrap();
    sh("sh", ["-c", &advice.replace("/root/", elsewhere)]);
    let moved = std::fs::read_dir(&place)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut rollback = Command::new(Idshift::program());
    Run::of(rollback.arg("rollback").arg(moved)).exits(0);
}
