//! Mounts that come while a run goes on: nothing is changed through them, and what was done is undone or finished
//! where it was done.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::trace::{self, Event, Then};
use crate::support::{Idshift, Kind, MAP, Mounted, Run, Snapshot, TestFs, assert_same, sh};

fn uid(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().uid()
}

/// Some hundred files, and in `d`, which is entered after they were looked at, an empty directory `z` and `y` with a
/// file in it. On tmpfs, what was made last is met first.
fn tree(fs: &TestFs) -> PathBuf {
    let tree = fs.path().join("t");
    fs::create_dir_all(&tree).unwrap();
    for n in 0..200 {
        fs::write(tree.join(n.to_string()), "").unwrap();
    }
    for dir in ["d/y", "d/z"] {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    fs::write(tree.join("d/y/file"), "").unwrap();
    chown(tree.join("d/y/file"), Some(33), Some(33)).unwrap();
    tree
}

/// A slow shift of it, which has begun.
fn begun(idshift: &Idshift, tree: &Path, more: &[&str]) -> Child {
    let args = ["shift", "--map", MAP, "--rate", "50", "--jobs", "1"];
    let all = args.iter().chain(more).map(AsRef::as_ref);
    let child = idshift.spawn(all.chain([tree.as_os_str()]));
    until(|| uid(&tree.join("d")) == 100_000);
    child
}

#[track_caller]
fn until(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "it never comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_mount_that_comes_during_a_run_is_refused() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    let at = |name: &str| fs.path().join(name);
    for dir in ["other/deep", "upper", "work"] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    fs::write(at("other/deep/file"), "").unwrap();
    // An overlay leaves marks of its own in these.
    let own = |path: &[u8]| path.starts_with(b"work") || path.starts_with(b"upper");
    let look = || Snapshot::of(&fs.path()).without(own);
    let start = look();
    let z = tree.join("d/z");
    let overlay = format!(
        "lowerdir={},upperdir={},workdir={}",
        at("other").display(),
        at("upper").display(),
        at("work").display()
    );
    type Mount<'a> = &'a dyn Fn() -> Mounted;
    let idmapped: Mount<'_> = &|| Mounted::idmapped(&at("other"), &z);
    let bind: Mount<'_> = &|| Mounted::bind(&tree.join("d/y"), &z);
    let tmpfs: Mount<'_> = &|| Mounted::new("tmpfs", "mode=700", &z);
    let over: Mount<'_> = &|| Mounted::new("overlay", &overlay, &z);
    let idshift = Idshift::new();
    for (mount, says) in [
        (
            idmapped,
            "through an idmapped mount that was made during the run",
        ),
        (bind, "on a mount that was made during the run"),
        (tmpfs, "on a mount that was made during the run"),
        (over, "on a mount that was made during the run"),
    ] {
        let run = begun(&idshift, &tree, &["--cross-mounts", "--allow-in-use"]);
        let mounted = mount();
        let run = Run::wait(run).exits(1).says(says);
        run.says(z.to_str().unwrap());
        drop(mounted);
        assert_same(&start, &look(), says);
    }
    // One that was there is crossed, also when it went and came again in its place as it was.
    let mounted = Mounted::bind(&at("other"), &z);
    let run = begun(&idshift, &tree, &["--cross-mounts", "--allow-in-use"]);
    drop(mounted);
    // Its number is another's by then.
    let _number = Mounted::bind(&at("upper"), &at("work"));
    let _mounted = Mounted::bind(&at("other"), &z);
    Run::wait(run).exits(0);
    assert_eq!(uid(&at("other/deep/file")), 100_000);
}

#[test]
fn a_mount_that_takes_the_place_of_another_is_refused() {
    let fs = TestFs::new(Kind::Tmpfs);
    let (tree, other) = (tree(&fs), fs.path().join("other"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "").unwrap();
    let z = tree.join("d/z");
    let idshift = Idshift::new();
    let mounted = Mounted::bind(&other, &z);
    let run = begun(&idshift, &tree, &["--cross-mounts", "--allow-in-use"]);
    drop(mounted);
    let mounted = Mounted::idmapped(&other, &z);
    Run::wait(run)
        .exits(1)
        .says("idmapped mount that was made during");
    drop(mounted);
    assert_eq!((uid(&other), uid(&other.join("file"))), (0, 0));
}

#[test]
fn with_keep_going_only_the_new_mount_is_left() {
    let fs = TestFs::new(Kind::Tmpfs);
    let (tree, other) = (tree(&fs), fs.path().join("other"));
    fs::create_dir(&other).unwrap();
    fs::write(other.join("file"), "").unwrap();
    let idshift = Idshift::new();
    let more = ["--cross-mounts", "--allow-in-use", "--keep-going"];
    let run = begun(&idshift, &tree, &more);
    let mounted = Mounted::idmapped(&other, &tree.join("d/z"));
    let run = Run::wait(run).exits(3);
    assert!(run.text().contains("idmapped mount"), "{run}");
    drop(mounted);
    assert_eq!((uid(&other), uid(&other.join("file"))), (0, 0));
    assert_eq!(uid(&tree.join("d/y/file")), 100_033);
}

/// It shows the very inodes that the walk has met, with other owners.
#[test]
fn a_directory_covered_meanwhile_is_not_entered() {
    for more in [&["--cross-mounts"][..], &[]] {
        let fs = TestFs::new(Kind::Tmpfs);
        let tree = tree(&fs);
        let start = Snapshot::of(&tree);
        let idshift = Idshift::new();
        let run = begun(&idshift, &tree, more);
        let d = tree.join("d");
        let mounted = Mounted::idmapped(&d, &d);
        // The directory itself was changed, and cannot be reached to be put back.
        let run = Run::wait(run)
            .exits(5)
            .says("was mounted over it during the run");
        run.says("is mounted in its path").says(d.to_str().unwrap());
        drop(mounted);
        assert_eq!(uid(&tree.join("d/y/file")), 33);
        idshift.rollback();
        assert_same(&start, &Snapshot::of(&tree), "rolled back");
    }
}

#[test]
fn a_hard_link_covered_meanwhile_is_not_changed() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    let names = ["d/y/one", "d/y/two"].map(|name| tree.join(name));
    fs::write(&names[0], "").unwrap();
    fs::hard_link(&names[0], &names[1]).unwrap();
    // It comes before them, so that they are put off and decided on last.
    let wide = tree.join("d/y/wide");
    fs::create_dir(&wide).unwrap();
    for n in 0..100 {
        fs::write(wide.join(n.to_string()), "").unwrap();
    }
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    let run = begun(&idshift, &tree, &[]);
    until(|| (0..100).any(|n: u32| uid(&wide.join(n.to_string())) == 100_000));
    let mounted = Mounted::idmapped(&names[0], &names[0]);
    Run::wait(run)
        .exits(1)
        .says("was mounted over it during the run");
    drop(mounted);
    assert_same(&start, &Snapshot::of(&tree), "undone");
}

#[test]
fn a_run_is_undone_below_what_covers_the_tree() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    chown(tree.join("d/y"), Some(70_000), Some(0)).unwrap();
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    let run = begun(&idshift, &tree, &[]);
    let mounted = Mounted::idmapped(&tree, &tree);
    Run::wait(run).exits(1).says("70000 is outside the map");
    drop(mounted);
    assert_same(&start, &Snapshot::of(&tree), "undone");
}

/// A run that was killed, and whose tree an idmapped mount shows now: nothing goes on before it is gone.
#[test]
fn a_killed_run_ends_once_the_idmapped_mount_is_gone() {
    for kind in [Kind::Ext4, Kind::Tmpfs] {
        for (command, other) in [("resume", "rollback"), ("rollback", "resume")] {
            let fs = TestFs::new(kind);
            let tree = tree(&fs);
            let start = Snapshot::of(&tree);
            let idshift = Idshift::new();
            let args = ["shift", "--map", MAP, "--rate", "50"];
            let args = args.map(AsRef::as_ref).into_iter();
            let child = idshift.spawn(args.chain([tree.as_os_str()]));
            let is_begun = |n: u32| uid(&tree.join(n.to_string())) == 100_000;
            until(|| (0..200).any(is_begun));
            sh("kill", ["-KILL", &child.id().to_string()]);
            Run::wait(child);
            assert!(!(0..200).all(is_begun), "killed too late");
            let half = Snapshot::of(&tree);
            let mounted = Mounted::idmapped(&tree, &tree);
            for command in [command, other, "verify"] {
                let run = idshift.run([command, "latest"]).exits(4);
                run.says("idmapped mount").says(tree.to_str().unwrap());
            }
            drop(mounted);
            assert_same(&half, &Snapshot::of(&tree), "after the refusals");
            idshift.run([command, "latest"]).exits(0);
            let right = match command {
                "resume" => start.shifted(&[MAP]),
                _ => start,
            };
            assert_same(&right, &Snapshot::of(&tree), command);
        }
    }
}

/// It crosses the mounts that its run would have crossed.
#[test]
fn a_resume_is_refused_where_other_mounts_are_in_the_tree() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    // More than one frame of them: `d` comes after it.
    for n in 200..1500 {
        fs::write(tree.join(n.to_string()), "").unwrap();
    }
    let [y, z, left_out] = ["d/y", "d/z", "d/left-out"].map(|dir| tree.join(dir));
    fs::create_dir(&left_out).unwrap();
    let [known, strange] = ["known", "strange"].map(|dir| fs.path().join(dir));
    for dir in [&known, &strange] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join("file"), "").unwrap();
    }
    let owners = || -> Vec<u32> {
        let files = (0..1500).map(|n| tree.join(n.to_string()));
        let others = [&known, &strange].map(|dir| dir.join("file"));
        files.chain(others).map(|path| uid(&path)).collect()
    };
    let start = owners();
    let mounted = Mounted::bind(&known, &z);
    let idshift = Idshift::new();
    let args = ["shift", "--map", MAP, "--cross-mounts", "--allow-in-use"];
    let more = ["--exclude", "d/left-out", tree.to_str().unwrap()];
    let command = idshift.command(args.iter().chain(&more));
    let killed = trace::run(&command, |event| match event {
        Event::After(call, 0) if call.name == "fchownat" => Then::Kill,
        _ => Then::GoOn,
    });
    assert_eq!(killed.signal, Some(9), "{killed}");
    let half = owners();
    let refused = |at: &Path, says: &str| {
        let run = idshift.run(["resume", "latest"]).exits(4).says(says);
        run.says(&format!("{}: ", at.display()))
            .says("idshift rollback");
        assert_eq!(half, owners(), "{says}");
    };
    let other = Mounted::bind(&strange, &y);
    refused(&y, "was mounted after the run began");
    drop(other);
    drop(mounted);
    refused(&z, "is not mounted now");
    let other = Mounted::bind(&strange, &z);
    refused(&z, "something else is mounted there");
    drop(other);
    // What is left out is of no matter.
    let _known = Mounted::bind(&known, &z);
    let _left_out = Mounted::bind(&strange, &left_out);
    idshift.run(["resume", "latest"]).exits(0);
    assert_eq!(uid(&known.join("file")), 100_000);
    assert_eq!(uid(&strange.join("file")), 0);
    assert_eq!(uid(&y.join("file")), 100_033);
    idshift.rollback();
    assert_eq!(start, owners());
}

#[test]
fn a_rollback_does_not_cross_an_idmapped_mount() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree(&fs);
    let start = Snapshot::of(&tree);
    let idshift = Idshift::new();
    // By one thread: what is deeper is journalled, and rolled back, after the rest.
    let args = ["shift", "--map", MAP, "--cross-mounts", "--jobs", "1"].map(AsRef::as_ref);
    idshift
        .run(args.into_iter().chain([tree.as_os_str()]))
        .exits(0);
    // What it is seen as is what the shift left.
    let (y, file) = (tree.join("d/y"), tree.join("d/y/file"));
    let args = ["rollback", "latest", "--rate", "50", "--jobs", "1"];
    let run = idshift.spawn(args);
    until(|| (0..200).any(|n: u32| uid(&tree.join(n.to_string())) == 0));
    let mounted = Mounted::idmapped(&y, &y);
    let run = Run::wait(run).exits(3);
    assert!(run.text().contains("is mounted in its path"), "{run}");
    drop(mounted);
    assert_eq!((uid(&y), uid(&file)), (100_000, 100_033));
    idshift.rollback();
    assert_same(&start, &Snapshot::of(&tree), "rolled back");
}
