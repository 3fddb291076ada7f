//! A conversion that was killed while it made layers, before there was a journal: what it left is told apart from what
//! containers wrote, and the next run replaces it.

use std::fs;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::store_kills::{Store, host_with_managed_store, made_anew};
use crate::support::docker::same;
use crate::support::{Idshift, Run, isolation, long, need_root, trace};

const STAGING: &str = "idshift-convert-100000.100000";
const CUT_SHORT: &str = "cut short before it changed anything";

#[test]
fn what_an_early_kill_left_is_named_and_replaced() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    let start = store.state();
    let staging = store.root.join(STAGING);
    let learning = Idshift::new();
    let events = trace::count(&store.command(&learning, &[]));
    let there = made_anew(&store.state());
    learning.run(["rollback", "latest"]).exits(0);
    let left_at = |n: u64| left_by_a_kill(&store, &staging, n);
    let (mut early, mut late) = (0, events);
    while late - early > 1 {
        let n = early.midpoint(late);
        match left_at(n).0 {
            true => early = n,
            false => late = n,
        }
    }
    let mut replaced = 0;
    let step = if long() { 1 } else { early / 12 };
    for n in (0..=early).rev().step_by(step.max(1) as usize) {
        let when =
            format!("killed at event {n} of {events}, the last without a journal is {early}");
        // Runs differ by some events: this one may have had a journal.
        let (true, is_left) = left_at(n) else {
            continue;
        };
        it_is_replaced(&store, is_left, (&start, &there), &when);
        replaced += u64::from(is_left);
    }
    println!("{replaced} times something was left, and replaced");
    assert!(replaced > 5);

    each_rollback_tells_what_is_left(&store, &staging, late);

    let mut places = (0..=early).rev().step_by(5);
    assert!(places.any(|n| left_at(n) == (true, true)));
    what_is_of_others_stays(&store, &staging);
    Run::of(&mut store.command(&Idshift::new(), &[])).exits(0);
    same(&there, &made_anew(&store.state()), "after the mount");
}

/// Kills a run at an event. Whether there is no journal then, and whether anything is left.
fn left_by_a_kill(store: &Store, staging: &Path, n: u64) -> (bool, bool) {
    let _ = fs::remove_dir_all(staging);
    let idshift = Idshift::new();
    trace::kill_at(&store.command(&idshift, &[]), n);
    let is_early = idshift.journal_files().is_empty();
    if !is_early {
        idshift.run(["rollback", "latest"]).exits(0);
    }
    (is_early, staging.exists())
}

/// The dry run and the audit tell what is left, a run replaces it.
fn it_is_replaced(
    store: &Store,
    is_left: bool,
    (start, there): (&[String], &[String]),
    when: &str,
) {
    let root = store.root.to_str().unwrap();
    let idshift = Idshift::new();
    let run = |more: &[&str]| Run::of(&mut store.command(&idshift, more));
    let told = run(&["--dry-run"]).exits(0);
    let audit = idshift.run(["docker", "audit", "--quick", "--data-root", root]);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    for text in [&told.stderr, &text] {
        assert_eq!(text.contains(CUT_SHORT), is_left, "{when}: {told} {audit}");
        assert!(!text.contains("containers wrote"), "{when}: {told} {audit}");
    }
    run(&[]).exits(0);
    let now = store.state();
    assert!(!now.iter().any(|line| line.contains("trusted.idshift")));
    same(there, &made_anew(&store.state()), when);
    idshift.run(["rollback", "latest"]).exits(0);
    same(start, &store.state(), when);
}

/// Where there is a journal that does not know yet what is to be done, each rollback tells it. `late` is the first event with
/// a journal.
fn each_rollback_tells_what_is_left(store: &Store, staging: &Path, late: u64) {
    let mut first_with_journal = late..late + 30;
    let told = first_with_journal.any(|n| {
        let _ = fs::remove_dir_all(staging);
        let idshift = Idshift::new();
        trace::kill_at(&store.command(&idshift, &[]), n);
        let remove = format!("`rm -rf {}` removes it", staging.display());
        let rollback = || idshift.run(["rollback", "latest"]);
        let is_it = !idshift.journal_files().is_empty() && staging.exists();
        is_it && {
            let first = rollback().exits(0);
            let is_told = first.stderr.contains(&remove);
            assert_eq!(is_told, staging.exists(), "{first}");
            is_told && {
                rollback()
                    .exits(4)
                    .says(&remove)
                    .says("rolled back already");
                true
            }
        }
    });
    assert!(told);
}

/// Neither what somebody put there is removed, nor what is mounted there.
fn what_is_of_others_stays(store: &Store, staging: &Path) {
    let migrate = || Run::of(&mut store.command(&Idshift::new(), &[]));
    let mine = staging.join("mine");
    fs::write(&mine, "precious").unwrap();
    migrate().exits(4).says("Look at them");
    assert_eq!(fs::read_to_string(&mine).unwrap(), "precious");
    fs::remove_file(&mine).unwrap();
    let precious = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(precious.path().join("file"), "precious").unwrap();
    let at = staging.join("overlay2/l");
    let none = None::<&str>;
    mount(Some(precious.path()), &at, none, MsFlags::MS_BIND, none).unwrap();
    migrate().exits(4).says("umount");
    let text = fs::read_to_string(precious.path().join("file")).unwrap();
    assert_eq!(text, "precious");
    umount2(&at, MntFlags::empty()).unwrap();
}
