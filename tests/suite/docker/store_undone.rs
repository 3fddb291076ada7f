//! A conversion of a containerd store that is undone, or gone on with, where something is in its way: something mounted in
//! what is to be removed, a full disk, a run that was killed before it had begun to change anything.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::store_kills::{Store, host_with_managed_store, made_anew};
use crate::support::docker::same;
use crate::support::{Idshift, Kind, Run, TestFs, isolation, long, need_root, output, trace};

const RANGE: &str = "100000.100000";

/// What is mounted in a tree that is removed, and must stay.
struct Precious(tempfile::TempDir);

impl Precious {
    fn new() -> Precious {
        let place = tempfile::tempdir_in("/var/tmp").unwrap();
        fs::create_dir(place.path().join("dir")).unwrap();
        fs::write(place.path().join("dir/file"), "precious").unwrap();
        fs::write(place.path().join("file"), "precious").unwrap();
        Precious(place)
    }

    fn mount(&self, what: &str, at: &Path) {
        let source = self.0.path().join(what);
        mount(
            Some(&source),
            at,
            None::<&str>,
            MsFlags::MS_BIND,
            None::<&str>,
        )
        .unwrap();
    }

    fn is_whole(&self) {
        for name in ["dir/file", "file"] {
            let text = fs::read_to_string(self.0.path().join(name)).unwrap();
            assert_eq!(text, "precious", "{name}");
        }
    }
}

fn unmount(at: &Path) {
    umount2(at, MntFlags::empty()).unwrap();
}

/// The first of its layers that has this file.
fn layer_with(root: &Path, below: &str) -> PathBuf {
    let layers = root.join("overlay2").read_dir().unwrap();
    let mut files = layers.map(|entry| entry.unwrap().path().join("diff").join(below));
    files.find(|path| path.exists()).unwrap()
}

#[test]
fn nothing_is_removed_through_a_mount() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    let idshift = Idshift::new();
    let start = store.state();
    let migrate = || Run::of(&mut store.command(&idshift, &["--copy"]));
    let precious = Precious::new();
    let (root, staging) = (
        store.root.join(RANGE),
        store.root.join(format!("idshift-convert-{RANGE}")),
    );
    for (what, below) in [("dir", "odd/dir2"), ("file", "etc/passwd")] {
        migrate().exits(0);
        let at = layer_with(&root, below);
        precious.mount(what, &at);
        // It is not called rolled back before all of it is.
        let run = idshift.run(["rollback", "latest"]).exits(5);
        let name = at.file_name().unwrap().to_str().unwrap();
        run.says(&format!("something is mounted on {name:?} in it"));
        let listed = idshift.run(["journal", "list", "--json"]).exits(0).text();
        assert!(listed.contains("\"rollback unfinished\""), "{listed}");
        precious.is_whole();
        // Neither is a command told that would.
        let (copy, elsewhere) = (
            store.root.join(format!("idshift-copy-{RANGE}")),
            host.path("/var/lib/copy"),
        );
        fs::rename(&copy, &elsewhere).unwrap();
        let at = staging.join(at.strip_prefix(&root).unwrap());
        let run = migrate().exits(4);
        let run = run.says("Finish its rollback with `idshift rollback");
        assert!(!run.stderr.contains("rm -rf"), "{run}");
        unmount(&at);
        fs::rename(&elsewhere, &copy).unwrap();
        idshift.run(["rollback", "latest"]).exits(0);
        same(&start, &store.state(), what);
        precious.is_whole();
    }
    // In the copy that stays.
    migrate().exits(0);
    idshift.run(["rollback", "latest"]).exits(0);
    let copy = store.root.join(format!("idshift-copy-{RANGE}"));
    precious.mount("dir", &copy.join("volumes"));
    let run = migrate().exits(4);
    assert!(run.stderr.contains("something is mounted in it"), "{run}");
    assert!(!run.stderr.contains("rm -rf"), "{run}");
    unmount(&copy.join("volumes"));
    migrate().exits(4).says("may be nowhere else");
    precious.is_whole();
}

/// While it is filled, something is mounted in the directory that a conversion makes, and then the conversion fails.
#[test]
fn what_a_failed_conversion_made_is_not_removed_through_a_mount() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    let precious = Precious::new();
    let blobs = store
        .root
        .join("containerd/daemon/io.containerd.content.v1.content/blobs/sha256");
    let overlay = store.root.join(format!("idshift-convert-{RANGE}/overlay2"));
    let mut mounted = None;
    let idshift = Idshift::new();
    let run = trace::run(&store.command(&idshift, &["--copy"]), |_| {
        if mounted.is_none() && overlay.is_dir() {
            let layers = overlay.read_dir().unwrap().flatten();
            let mut dirs = layers.map(|entry| entry.path().join("diff/bin"));
            if let Some(dir) = dirs.find(|dir| dir.is_dir()) {
                precious.mount("dir", &dir);
                mounted = Some(dir);
                for blob in blobs.read_dir().unwrap() {
                    let blob = blob.unwrap().path();
                    let bytes = fs::read(&blob).unwrap();
                    fs::write(&blob, [&bytes[..], b"!"].concat()).unwrap();
                }
            }
        }
        trace::Then::GoOn
    });
    assert_ne!(run.code, Some(0), "{run}");
    let at = mounted.expect("it was mounted");
    assert!(at.join("file").exists(), "{run}");
    precious.is_whole();
    unmount(&at);
}

/// A disk with just so much room.
fn fill(disk: &TestFs, filler: &Path, room: u64) {
    disk.sync();
    let found = nix::sys::statvfs::statvfs(&disk.path()).unwrap();
    let free = found.blocks_free() as u64 * found.fragment_size() as u64;
    let most = (free - (32 << 20)).to_string();
    output(
        "fallocate",
        ["-l".as_ref(), most.as_ref(), filler.as_os_str()],
    );
    let mut file = fs::File::options().append(true).open(filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 65536]).is_ok() {}
    let _ = file.sync_all();
    let length = file.metadata().unwrap().len();
    file.set_len(length - room).unwrap();
    disk.sync();
}

/// A store on a small disk.
struct SmallDisk {
    disk: TestFs,
    store: Store,
    start: Vec<String>,
}

impl SmallDisk {
    fn of(store: &Store) -> SmallDisk {
        let disk = TestFs::new(Kind::Ext4);
        // Without what is kept for root, which nobody else can use.
        let path = disk.path();
        let device = output(
            "findmnt",
            ["-no".as_ref(), "SOURCE".as_ref(), path.as_os_str()],
        );
        let device = String::from_utf8(device.stdout).unwrap();
        output("tune2fs", ["-m", "0", device.trim()]);
        let root = path.join("docker");
        output(
            "cp",
            ["-a".as_ref(), store.root.as_os_str(), root.as_os_str()],
        );
        let store = Store { root };
        let start = store.state();
        SmallDisk { disk, store, start }
    }

    /// Converts with so much room, undoes that, and sees that all is as it was. Says whether there was enough room, or
    /// else whether the disk was full, and not only found to be too small.
    fn convert(&self, more: &[&str], room: u64) -> Result<(), bool> {
        let filler = self.disk.path().join("filler");
        fill(&self.disk, &filler, room);
        let idshift = Idshift::new();
        let run = Run::of(&mut self.store.command(&idshift, more));
        fs::remove_file(&filler).unwrap();
        let when = format!("{more:?} with {room} bytes free");
        if run.code == Some(0) {
            idshift.run(["rollback", "latest"]).exits(0);
            same(&self.start, &self.store.state(), &when);
            return Ok(());
        }
        same(&self.start, &self.store.state(), &when);
        for name in ["convert", "copy", "moving"] {
            let left = self.store.root.join(format!("idshift-{name}-{RANGE}"));
            assert!(!left.exists(), "{when}: {}", left.display());
        }
        assert!(matches!(run.code, Some(1 | 4)), "{when}: {run}");
        let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        let is_full = told.contains("No space left");
        assert!(is_full || told.contains("are free"), "{when}: {run}");
        Err(is_full)
    }
}

/// With less room than a conversion needs: nothing is left of it, however far it came.
#[test]
fn a_full_disk_in_mid_conversion_leaves_nothing() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let small = SmallDisk::of(&Store::of(&host));
    for more in [&[][..], &["--copy"]] {
        let (mut full, mut cases) = (0, 0);
        let mut convert = |room: u64| {
            let done = small.convert(more, room);
            full += u32::from(done == Err(true));
            cases += 1;
            done.is_ok()
        };
        let (mut too_small, mut enough) = (0, 256 << 10);
        while !convert(enough) {
            (too_small, enough) = (enough, 2 * enough);
            assert!(enough < 64 << 20);
        }
        // The disk is full where the check before it found it large enough.
        while enough - too_small > 32 << 10 {
            let room = too_small.midpoint(enough);
            match convert(room) {
                true => enough = room,
                false => too_small = room,
            }
        }
        let rooms = (0..enough).step_by(if long() { 64 << 10 } else { 2 << 20 });
        for room in rooms {
            convert(room);
        }
        println!(
            "{more:?}: {cases} times, of which the disk was full {full} times; {enough} bytes are enough"
        );
        assert!(full > 0, "{more:?}");
    }
}

/// From the moment that its journal is there until it has renamed the first snapshots.
#[test]
fn a_conversion_that_had_not_begun_is_resumed_or_told_to_be_rolled_back() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    let start = store.state();
    let killed = |n: u64| {
        let idshift = Idshift::new();
        let command = store.command(&idshift, &[]);
        trace::kill_at(&command, n).then_some(idshift)
    };
    let staging = store.root.join(format!("idshift-convert-{RANGE}"));
    let told_to_remove = std::cell::Cell::new(0);
    let put_back = |idshift: &Idshift, when: &str| {
        let run = idshift.run(["rollback", "latest"]).exits(0);
        // Before its journal knows of what was made, that is left to the operator.
        if staging.exists() {
            let told = format!("`rm -rf {}` removes it", staging.display());
            assert!(run.stderr.contains(&told), "{when}: {run}");
            fs::remove_dir_all(&staging).unwrap();
            told_to_remove.set(told_to_remove.get() + 1);
        }
        same(&start, &store.state(), when);
    };
    let learning = Idshift::new();
    let events = trace::count(&store.command(&learning, &[]));
    let there = made_anew(&store.state());
    put_back(&learning, "the first");
    // The last event at which there is no journal yet.
    let (mut none, mut some) = (0, events);
    while some - none > 1 {
        let n = none.midpoint(some);
        let idshift = killed(n).expect("killed");
        if idshift.journal_files().is_empty() {
            let _ = fs::remove_dir_all(&staging);
            none = n;
        } else {
            put_back(&idshift, "looked for");
            some = n;
        }
    }
    let (mut resumed, mut closed) = (0, 0);
    let step = if long() { 1 } else { 12 };
    for n in (some..events.min(some + 60)).step_by(step) {
        let when = format!("killed at event {n} of {events}, the journal's first is {some}");
        let Some(idshift) = killed(n) else { break };
        if idshift.journal_files().is_empty() {
            // Runs differ by some events: this one was not there yet.
            let _ = fs::remove_dir_all(&staging);
            continue;
        }
        let mark = ["-n", "trusted.idshift.unfinished"].map(OsStr::new);
        let marked = Command::new("getfattr").args(mark).arg(&staging).output();
        let is_marked = marked.unwrap().status.success();
        let run = idshift.run(["resume", "latest"]);
        match run.code {
            Some(0) => {
                assert!(
                    !is_marked,
                    "{when}: what may be precious is called unfinished"
                );
                resumed += 1;
                same(&there, &made_anew(&store.state()), &when);
            }
            _ => {
                closed += 1;
                let run = run.exits(4);
                assert!(run.stderr.contains("idshift rollback"), "{when}: {run}");
            }
        }
        put_back(&idshift, &when);
        idshift.run(["resume", "latest"]).exits(4);
    }
    let removed = told_to_remove.get();
    println!(
        "resumed {resumed} times, told to be closed {closed} times, to remove {removed} times"
    );
    assert!(resumed > 0 && closed > 0 && removed > 0);
}
