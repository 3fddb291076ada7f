//! Directories above a volume: which are closed, how they are opened by one ACL entry, and that nobody
//! makes that entry go elsewhere.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::support::docker::same;
use crate::support::volume::{acl, check, directory, mode, place, prepare, set_acl, snapshot};
use crate::support::{Idshift, Kind, MAP, Run, TestFs, long};
use serde_json::Value;

/// Whether a process with the container's root's ids and no other rights can get to a path, as a
/// runtime that looks it up inside the user namespace must.
fn root_of_the_container_gets_to(path: &Path) -> bool {
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid=100000",
        "--regid=100000",
        "--clear-groups",
        "--inh-caps=-all",
        "stat",
    ]);
    Run::of(command.arg(path)).code == Some(0)
}

#[test]
fn closed_parents_at_any_depth_take_one_acl_entry() {
    let place = place();
    let idshift = Idshift::new();
    for closed in [vec![0], vec![1], vec![2], vec![0, 2], vec![0, 1, 2], vec![]] {
        let name: String = closed
            .iter()
            .map(std::string::ToString::to_string)
            .collect();
        let top = directory(&place.path().join(format!("t{name}")), (0, 0), 0o755);
        let mut path = top.clone();
        for depth in 0..3 {
            let bits = if closed.contains(&depth) {
                0o750
            } else {
                0o755
            };
            path = directory(&path.join(depth.to_string()), (0, 0), bits);
        }
        let data = directory(&path.join("data"), (100_999, 100_999), 0o755);
        let before = snapshot(&top);
        assert_eq!(root_of_the_container_gets_to(&data), closed.is_empty());

        let told: Value =
            serde_json::from_slice(&check(&data, &["--as", "999:999", "--json"]).exits(0).stdout)
                .unwrap();
        let found: Vec<&str> = told["closed_parents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| p["path"].as_str().unwrap())
            .collect();
        assert_eq!(found.len(), closed.len(), "{told}");
        let old = check(&data, &["--as", "999:999", "--old-runtime"]);
        assert_eq!(old.code == Some(0), closed.is_empty(), "{old}");
        if closed.is_empty() {
            continue;
        }
        assert!(old.text().contains("--fix-parents"), "{old}");
        let refused = prepare(&idshift, &data, &["--old-runtime"]);
        assert_eq!(refused.code, Some(4), "{refused}");
        assert!(refused.stderr.contains(found[0]), "{refused}");
        same(&before, &snapshot(&top), "after a refusal");

        let noted = prepare(&idshift, &data, &["--dry-run"]).exits(0);
        assert!(
            noted.stderr.contains("--fix-parents adds the permission"),
            "{noted}"
        );
        prepare(&idshift, &data, &["--fix-parents", "--dry-run"]).exits(0);
        same(&before, &snapshot(&top), "after a dry run");
        prepare(&idshift, &data, &["--fix-parents"]).exits(0);
        assert!(root_of_the_container_gets_to(&data));
        check(&data, &["--as", "999:999", "--old-runtime"]).exits(0);
        for path in &found {
            let entries = acl(Path::new(path));
            assert!(
                entries.contains("user:100000:--x") && entries.contains("group::r-x"),
                "{entries}"
            );
            assert!(entries.contains("other::---"), "{entries}");
        }
        let files = idshift.journal_files().len();
        prepare(&idshift, &data, &["--fix-parents"]).exits(0);
        assert_eq!(
            idshift.journal_files().len(),
            files,
            "the second time there is nothing to do"
        );
        idshift.run(["verify", "latest"]).exits(0);
        idshift.run(["rollback", "latest"]).exits(0);
        same(&before, &snapshot(&top), "after a rollback");
        assert!(!root_of_the_container_gets_to(&data));
    }
}

#[test]
fn an_existing_acl_gets_just_one_entry_more() {
    let place = place();
    let idshift = Idshift::new();
    let may_search = |dir: &Path, uid: u32, gid: u32| {
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={uid}"), format!("--regid={gid}")]);
        command.args(["--clear-groups", "--inh-caps=-all", "stat"]);
        Run::of(command.arg(dir.join("data"))).code == Some(0)
    };
    for (name, bits, entries) in [
        ("masked", 0o700, "u:5:rwx,g:6:rwx,m::---"),
        ("read only mask", 0o750, "u:5:rwx,g:6:r-x,m::r--"),
        ("denied", 0o755, "u:100000:---,m::r-x"),
        ("others may read", 0o704, "u:5:r-x,m::r-x"),
    ] {
        let dir = directory(&place.path().join(name), (0, 7), bits);
        directory(&dir.join("data"), (100_000, 100_000), 0o755);
        set_acl(&dir, entries);
        let before = snapshot(&dir);
        let who = [(5, 1), (1, 6), (1, 7), (1, 1), (100_001, 100_000)];
        let could = who.map(|(uid, gid)| may_search(&dir, uid, gid));
        assert!(!root_of_the_container_gets_to(&dir.join("data")), "{name}");
        prepare(&idshift, &dir.join("data"), &["--fix-parents"]).exits(0);
        assert!(
            root_of_the_container_gets_to(&dir.join("data")),
            "{name}: {}",
            acl(&dir)
        );
        let can = who.map(|(uid, gid)| may_search(&dir, uid, gid));
        assert_eq!(could, can, "{name}: {}", acl(&dir));
        idshift.run(["rollback", "latest"]).exits(0);
        same(&before, &snapshot(&dir), name);
    }
}

#[test]
fn rollback_leaves_and_tells_a_changed_parent() {
    let place = place();
    let idshift = Idshift::new();
    let closed = directory(&place.path().join("closed"), (0, 0), 0o700);
    let data = directory(&closed.join("data"), (5, 5), 0o700);
    prepare(&idshift, &data, &["--fix-parents"]).exits(0);
    set_acl(&closed, "u:7:r-x");
    let changed = acl(&closed);
    let told = idshift.run(["rollback", "latest"]).exits(4);
    for words in ["was changed since", "--force", closed.to_str().unwrap()] {
        assert!(told.stderr.contains(words), "{words:?} in {told}");
    }
    check(&data, &["--as", "5:5"]).exits(0);
    idshift.run(["rollback", "latest", "--force"]).exits(3);
    assert_eq!(acl(&closed), changed);
    // The volume itself is undone.
    check(&data, &["--as", "5:5"]).exits(3);
}

#[test]
fn parents_no_acl_entry_opens_are_refused() {
    let place = place();
    let idshift = Idshift::new();
    // The owner's own bits decide, where the group is none of the container's.
    let own = directory(&place.path().join("own"), (100_000, 0), 0o600);
    let data = directory(&own.join("data"), (0, 0), 0o755);
    let before = snapshot(place.path());
    let refused = prepare(&idshift, &data, &["--fix-parents"]).exits(4);
    assert!(refused.stderr.contains("chmod u+x"), "{refused}");
    same(&before, &snapshot(place.path()), "after a refusal");

    // A filesystem without ACLs; it fails before anything is changed.
    let ramfs = TestFs::new(Kind::Ramfs);
    let closed = directory(&ramfs.path().join("closed"), (0, 0), 0o700);
    let data = directory(&closed.join("data"), (0, 0), 0o755);
    let before = snapshot(&closed);
    for more in [&[][..], &["--dry-run"]] {
        let refused = prepare(&idshift, &data, &[&["--fix-parents"], more].concat()).exits(4);
        assert!(
            refused.stderr.contains("a filesystem without ACLs"),
            "{refused}"
        );
    }
    same(&before, &snapshot(&closed), "after a refusal");
    prepare(&idshift, &data, &[])
        .exits(0)
        .says("cannot be searched by the container's root");

    // One that is read-only, with the volume mounted below it.
    let ext4 = TestFs::new(Kind::Ext4);
    let closed = directory(&ext4.path().join("closed"), (0, 0), 0o700);
    let data = directory(&closed.join("data"), (0, 0), 0o755);
    let inner = TestFs::mount_inside(Kind::Tmpfs, &data);
    ext4.make_read_only();
    let refused = prepare(&idshift, &data, &["--fix-parents"]).exits(4);
    assert!(refused.stderr.contains("mounted read-only"), "{refused}");
    let refused = prepare(&idshift, &closed.join("new"), &["--create"]).exits(4);
    assert!(refused.stderr.contains("mounted read-only"), "{refused}");
    prepare(&idshift, &data, &[]).exits(0);
    drop(inner);
    assert_eq!(idshift.journal_files().len(), 2);
}

/// A user's directory with a way to a volume, and a place of root's that the user would like opened.
struct Trap {
    place: tempfile::TempDir,
    home: PathBuf,
    data: PathBuf,
    secret: PathBuf,
}

const USER: (u32, u32) = (4242, 4242);

impl Trap {
    fn new() -> Trap {
        let place = place();
        let home = directory(&place.path().join("home"), USER, 0o755);
        directory(&home.join("way"), USER, 0o700);
        let data = directory(&home.join("way/data"), USER, 0o755);
        let secret = directory(&place.path().join("secret"), (0, 0), 0o700);
        directory(&secret.join("data"), (0, 0), 0o700);
        fs::write(secret.join("data/key"), "k").unwrap();
        mode(&secret.join("data/key"), 0o600);
        Trap {
            place,
            home,
            data,
            secret,
        }
    }

    /// Prepares the volume, with the user acting at a moment.
    fn run(&self, idshift: &Idshift, when: When, act: impl FnOnce()) -> Run {
        let mut strace = Command::new("strace");
        // The first asks whether the kernel has this call, the second opens the volume when it is looked at, the
        // third when it is changed.
        let delay = format!("inject=openat2:delay_enter=1500000:when={}", when as u8);
        strace
            .args([
                "-f",
                "-qq",
                "-o",
                "/dev/null",
                "-e",
                "trace=openat2",
                "-e",
                &delay,
            ])
            .args([Idshift::program(), Path::new("prepare"), &self.data])
            .args(["--map", MAP, "--fix-parents", "--create", "--owner", "5:5"])
            .arg("--journal-dir")
            .arg(idshift.journals())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let strace = strace.spawn().unwrap();
        wait_until_held(strace.id());
        act();
        Run::wait(strace)
    }

    /// As its user would.
    fn lead_to(&self, target: &Path) {
        fs::rename(self.home.join("way"), self.home.join("old")).unwrap();
        symlink(target, self.home.join("way")).unwrap();
        lchown(self.home.join("way"), Some(USER.0), Some(USER.1)).unwrap();
    }
}

#[derive(Clone, Copy)]
enum When {
    Looking = 2,
    Doing = 3,
}

/// Waits until strace holds its child back in a system call.
fn wait_until_held(strace: u32) {
    let begun = Instant::now();
    let mut held = 0;
    while held < 5 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it goes on");
        std::thread::sleep(Duration::from_millis(20));
        let children = fs::read_to_string(format!("/proc/{strace}/task/{strace}/children"));
        let children = children.unwrap_or_default();
        let child = children.split_whitespace().next().unwrap_or("0");
        let call = fs::read_to_string(format!("/proc/{child}/syscall")).unwrap_or_default();
        // `syscall(2)`: openat2 has this number everywhere.
        held = if call.starts_with("437 ") {
            held + 1
        } else {
            0
        };
    }
}

#[test]
fn the_owner_of_a_parent_cannot_redirect_prepare() {
    // The way becomes a symlink, the user's or one of root's that was moved there.
    for when in [When::Looking, When::Doing] {
        for owner in [USER.0, 0] {
            let trap = Trap::new();
            let idshift = Idshift::new();
            let before = snapshot(&trap.secret);
            let run = trap.run(&idshift, when, || {
                trap.lead_to(&trap.secret);
                lchown(trap.home.join("way"), Some(owner), None).unwrap();
            });
            assert_eq!(run.code, Some(4), "{run}");
            same(&before, &snapshot(&trap.secret), "led by a symlink");
            assert_eq!(idshift.journal_files().len(), 0, "{run}");
        }
    }

    // The way becomes another directory, with another volume in it.
    let trap = Trap::new();
    let idshift = Idshift::new();
    let run = trap.run(&idshift, When::Doing, || {
        fs::rename(trap.home.join("way"), trap.home.join("old")).unwrap();
        let other = directory(&trap.home.join("way"), USER, 0o700);
        directory(&other.join("data"), USER, 0o755);
    });
    assert_eq!(run.code, Some(4), "{run}");
    assert!(
        run.stderr.contains("another inode is in its place now"),
        "{run}"
    );
    for name in ["way", "way/data", "old", "old/data"] {
        let path = trap.home.join(name);
        assert!(!acl(&path).contains("100000"), "{}", acl(&path));
        assert_eq!(fs::metadata(&path).unwrap().uid(), USER.0);
    }

    // It is one from the start.
    let trap = Trap::new();
    let before = snapshot(trap.place.path());
    trap.lead_to(&trap.secret);
    let refused = prepare(&idshift, &trap.data, &["--fix-parents", "--owner", "5:5"]).exits(4);
    assert!(refused.stderr.contains("belongs to uid 4242"), "{refused}");
    fs::remove_file(trap.home.join("way")).unwrap();
    fs::rename(trap.home.join("old"), trap.home.join("way")).unwrap();
    same(&before, &snapshot(trap.place.path()), "led from the start");

    // A directory of somebody else's takes the name of one that is to be made.
    let trap = Trap::new();
    let idshift = Idshift::new();
    fs::remove_dir(&trap.data).unwrap();
    directory(&trap.home.join("lent"), (0, 0), 0o700);
    fs::write(trap.home.join("lent/key"), "k").unwrap();
    let lent = snapshot(&trap.home.join("lent"));
    trap.run(&idshift, When::Doing, || {
        fs::rename(trap.home.join("lent"), &trap.data).unwrap();
    });
    same(&lent, &snapshot(&trap.data), "lent");
}

#[test]
fn who_swaps_directories_all_the_time_wins_nothing() {
    let trap = Trap::new();
    let secret = snapshot(&trap.secret);
    let decoy = trap.home.join("decoy");
    symlink(&trap.secret, &decoy).unwrap();
    lchown(&decoy, Some(USER.0), Some(USER.1)).unwrap();
    let stop = AtomicBool::new(false);
    let (mut done, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let dir = fs::File::open(&trap.home).unwrap();
            let flags = rustix::fs::RenameFlags::EXCHANGE;
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(&dir, "way", &dir, "decoy", flags).unwrap();
                std::thread::sleep(std::time::Duration::from_micros(300));
            }
        });
        let runs = if long() { 1000 } else { 40 };
        for _ in 0..runs {
            let idshift = Idshift::new();
            let run = prepare(&idshift, &trap.data, &["--fix-parents", "--owner", "5:5"]);
            match run.code {
                Some(0) => done += 1,
                Some(1 | 3 | 4 | 5) => refused += 1,
                _ => panic!("{run}"),
            }
            let now = snapshot(&trap.secret);
            if now != secret {
                stop.store(true, Ordering::Relaxed);
                same(&secret, &now, &format!("{run}"));
            }
            idshift.run(["rollback", "latest"]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(refused > 10, "{done} done, {refused} refused");
    same(&secret, &snapshot(&trap.secret), "at the end");
}

/// The dry run knows what the run would find: nothing can be given to such a directory.
#[test]
fn an_immutable_parent_refuses_dry_run_and_run() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let parent = directory(&fs.path().join("parent"), (0, 0), 0o700);
    let data = directory(&parent.join("data"), (0, 0), 0o755);
    let parent = parent.to_str().unwrap();
    let before = snapshot(&fs.path());
    crate::support::sh("chattr", ["+i", parent]);
    let run = |more: &[&str]| {
        let args = ["prepare", "--map", MAP, "--owner", "33:33", "--fix-parents"];
        idshift.run([&args[..], more, &[data.to_str().unwrap()]].concat())
    };
    let help = format!("`chattr -i {parent}`");
    for more in [&["--dry-run"][..], &[]] {
        run(more).exits(4).says(&help);
    }
    crate::support::sh("chattr", ["-i", parent]);
    same(&before, &snapshot(&fs.path()), "refused");
    run(&[]).exits(0);
}
