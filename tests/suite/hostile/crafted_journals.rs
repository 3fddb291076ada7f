//! Journals that somebody made to reach out of their tree, and journals that somebody else could
//! have written.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support;
use crate::support::journal::{frame, frames, lines};
use crate::support::promise::Promise;
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, sh};
use serde_json::{Value, json};

/// A tree that was shifted, and beside it what no journal of it may reach.
struct Scene {
    fs: TestFs,
    tree: PathBuf,
    canary: PathBuf,
    header: Value,
    own: Value,
    known: std::cell::RefCell<std::collections::HashMap<PathBuf, (Value, Value)>>,
}

fn scene() -> Scene {
    let fs = TestFs::new(Kind::Ext4);
    let (tree, canary) = (fs.path().join("tree"), fs.path().join("canary"));
    for dir in [
        &tree.join("dir"),
        &tree.join("mounted"),
        &canary.join("dir"),
    ] {
        fs::create_dir_all(dir).unwrap();
    }
    for file in [
        tree.join("file"),
        tree.join("dir/file"),
        canary.join("file"),
        canary.join("dir/file"),
    ] {
        fs::write(&file, "before").unwrap();
        // As a run would have left it: then nothing but its place speaks against changing it.
        chown(&file, Some(100_000), Some(100_000)).unwrap();
    }
    symlink(&canary, tree.join("link")).unwrap();
    symlink(&tree, fs.path().join("way")).unwrap();
    sh(
        "mount",
        [
            "--bind".as_ref(),
            canary.as_os_str(),
            tree.join("mounted").as_os_str(),
        ],
    );
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let bytes = fs::read(idshift.the_journal()).unwrap();
    let header = lines(&bytes[frames(&bytes)[0].clone()]);
    let own = json!({"kind": "own", "n": 0, "type": "file",
        "before": {"uid": 0, "gid": 0, "mode": "0644"},
        "after": {"uid": 100_000, "gid": 100_000, "mode": "0644"}});
    Scene {
        header: serde_json::from_str(&header).unwrap(),
        fs,
        tree,
        canary,
        own,
        known: Default::default(),
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = nix::mount::umount(&self.tree.join("mounted"));
    }
}

impl Scene {
    /// Number and birth as the journal has them: the way the program names it in a dry run.
    fn identity(&self, path: &Path) -> (Value, Value) {
        if let Some(known) = self.known.borrow().get(path) {
            return known.clone();
        }
        let run = Idshift::new().run([
            "shift",
            "--reverse",
            "--map",
            MAP,
            "--dry-run",
            "--manifest",
            "-",
            path.to_str().unwrap(),
        ]);
        let text = run.text();
        let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let root = &line["roots"][0];
        let found = (root["ino"].clone(), root["born"].clone());
        let mut known = self.known.borrow_mut();
        known.insert(path.to_path_buf(), found.clone());
        found
    }

    /// A `dir` line for one inode, which is that of `of`.
    fn dir(&self, root: Value, path: Value, name: Value, of: &Path) -> Value {
        let (ino, born) = self.identity(of);
        json!({"kind": "dir", "root": root, "keep": 0, "path": path, "names": [name],
            "inos": [ino], "borns": [born], "owns": [0]})
    }

    /// A journal of these lines in this state, rolled back and resumed: nothing outside changes, and
    /// each run ends by itself.
    #[track_caller]
    fn reaches_nothing(&self, header: &Value, more: &[Value], case: &str) {
        let before = state(&self.canary);
        let runs: [(&[&str], &[&str]); 5] = [
            (&["finished"], &["rollback"]),
            (&["finished"], &["rollback", "--force"]),
            (&[], &["rollback", "--force"]),
            (&[], &["resume"]),
            (&["listed", "stepping"], &["resume"]),
        ];
        for (marks, command) in runs {
            let idshift = Idshift::new();
            let path = idshift.journals().join("0001-crafted.jsonl.zst");
            let mut header = header.clone();
            header["listed_first"] = json!(marks.len() == 2);
            let mut body: Vec<String> = more.iter().map(Value::to_string).collect();
            body.extend(marks.iter().map(|mark| {
                json!({"kind": "mark", "mark": mark, "time": "2026-01-01T00:00:00Z"}).to_string()
            }));
            let mut bytes = frame(0, &format!("{header}\n"));
            if !body.is_empty() {
                bytes.extend(frame(1, &(body.join("\n") + "\n")));
            }
            fs::write(&path, bytes).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
            let run = idshift.run(command.iter().map(AsRef::as_ref).chain([path.as_os_str()]));
            assert!(matches!(run.code, Some(0 | 1 | 3 | 4 | 5)), "{case}: {run}");
            let what = format!("{case}, {command:?}, {marks:?}: {run}");
            assert_eq!(before, state(&self.canary), "{what}");
        }
    }
}

/// All names of a directory, and what must stay of them.
fn state(dir: &Path) -> Vec<(PathBuf, u64, u32, u32, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        let is = fs::symlink_metadata(&path).unwrap();
        let content = if is.is_file() {
            fs::read(&path).unwrap()
        } else {
            Vec::new()
        };
        all.push((path, is.ino(), is.uid(), is.gid(), is.mode(), content));
    }
    all
}

#[test]
fn a_crafted_journal_reaches_nothing_outside() {
    let promise = Promise::new(
        "Input",
        "A crafted journal makes rollback, resume and verify touch nothing outside of its tree",
        "names with .., slashes and NUL, absolute ones, symlinks and mounts on the way, roots that are \
         symlinks or relative, steps of every kind",
    );
    let it = scene();
    let file = it.canary.join("file");
    let b64 = |text: &str| json!({"b64": text});
    for (path, name) in [
        (json!([]), json!("../canary/file")),
        (json!([".."]), json!("file")),
        (json!(["..", "canary"]), json!("file")),
        (json!(["dir/../../canary"]), json!("file")),
        (json!([]), json!(file)),
        (json!([it.canary]), json!("file")),
        (json!([""]), json!("file")),
        (json!([]), json!("file\0")),
        (json!([]), json!("")),
        (json!([]), b64("Li4=")),
        (json!([b64("Li4v")]), json!("canary")),
        (json!(["dir", "."]), json!("file")),
        (json!(["link"]), json!("file")),
        (json!([]), json!("link")),
        (json!(["mounted"]), json!("file")),
        (json!(["mounted", "dir"]), json!("file")),
    ] {
        let line = it.dir(json!(0), path, name, &file);
        it.reaches_nothing(
            &it.header,
            &[it.own.clone(), line.clone()],
            &line.to_string(),
        );
        promise.held();
    }
    // The mount's top itself, and roots that there are not.
    let top = it.dir(json!(0), json!([]), json!("mounted"), &it.canary);
    let mut own = it.own.clone();
    own["type"] = json!("directory");
    let none = it.dir(json!(1), json!([]), json!("file"), &file);
    let keeps = json!({"kind": "dir", "root": 0, "keep": 3, "path": ["canary"], "names": ["file"],
        "inos": [1], "owns": [0]});
    let unknown = json!({"kind": "dir", "root": 0, "keep": 0, "path": [], "names": ["file"],
        "inos": [1], "owns": [7]});
    for (own, line) in [
        (own, top),
        (it.own.clone(), none),
        (it.own.clone(), keeps),
        (it.own.clone(), unknown),
    ] {
        it.reaches_nothing(&it.header, &[own, line.clone()], &line.to_string());
        promise.held();
    }
    // The tree named otherwise: as its parent, by a symlink, from somewhere, and as the canary with
    // another's number.
    let roots = [
        json!(it.fs.path().join("way")),
        json!(it.fs.path().join("tree/../canary")),
        json!(it.tree.join("link")),
        json!("canary"),
        json!("."),
        json!(""),
        json!("/"),
        json!(it.canary),
        json!(it.fs.path()),
        json!(format!("{}/", it.canary.display())),
        json!(format!("{}\0", it.canary.display())),
    ];
    for root in roots {
        let mut header = it.header.clone();
        header["roots"][0]["path"] = root.clone();
        let line = it.dir(json!(0), json!([]), json!("file"), &file);
        it.reaches_nothing(&header, &[it.own.clone(), line], &root.to_string());
        promise.held();
    }
}

#[test]
fn a_crafted_step_reaches_nothing_outside() {
    let promise = Promise::new(
        "Input",
        "No step of a crafted journal reaches out of its tree",
        "steps of every kind, there and back, at places above, absolute, behind symlinks and mounts",
    );
    let it = scene();
    let (ino, born) = it.identity(&it.canary.join("file"));
    let (dir_ino, dir_born) = it.identity(&it.canary);
    for way in [
        json!(["..", "canary"]),
        json!([it.canary]),
        json!(["dir/../../canary"]),
        json!(["link"]),
        json!(["mounted"]),
    ] {
        let at = |name: &str| {
            let mut path = way.clone();
            path.as_array_mut().unwrap().push(json!(name));
            json!({"root": 0, "path": path})
        };
        let inside = json!({"root": 0, "path": ["dir", "new"]});
        let made = |mut step: Value| {
            step["kind"] = json!("step");
            step["uid"] = json!(7);
            step["gid"] = json!(7);
            step["mode"] = json!("0755");
            step
        };
        let content = |text: &str| json!({"text": text});
        let owns = |uid: u32| json!({"uid": uid, "gid": uid, "mode": "0644"});
        for step in [
            made(json!({"do": "make-dir", "at": at("new")})),
            made(json!({"do": "make-dir", "at": at("dir")})),
            made(json!({"do": "remove-dir", "at": at("new")})),
            made(json!({"do": "remove-dir", "at": at("dir")})),
            json!({"kind": "step", "do": "rename", "from": at("file"), "to": inside, "ino": ino, "born": born}),
            json!({"kind": "step", "do": "rename", "from": inside, "to": at("file"), "ino": ino, "born": born}),
            json!({"kind": "step", "do": "rename", "from": at("file"), "to": at("other"), "ino": ino, "born": born}),
            json!({"kind": "step", "do": "rewrite", "at": at("file"), "before": content("before"), "after": content("after")}),
            json!({"kind": "step", "do": "rewrite", "at": at("file"), "before": content("other"), "after": content("before")}),
            made(json!({"do": "create", "at": at("new"), "content": "x"})),
            made(json!({"do": "create", "at": at("file"), "content": "before"})),
            json!({"kind": "step", "do": "set-ownership", "at": at("file"), "ino": ino, "born": born,
                "before": owns(0), "after": owns(100_000)}),
            json!({"kind": "step", "do": "set-ownership", "at": {"root": 0, "path": way}, "ino": dir_ino, "born": dir_born,
                "before": owns(0), "after": owns(100_000)}),
            json!({"kind": "step", "do": "set-ownership", "at": {"root": 0, "path": []}, "ino": dir_ino, "born": dir_born,
                "before": owns(0), "after": owns(100_000)}),
        ] {
            it.reaches_nothing(&it.header, std::slice::from_ref(&step), &step.to_string());
            promise.held();
        }
    }
}

/// Something is mounted in a tree between a shift and its rollback: another filesystem, and the very
/// files by another way.
#[test]
fn what_was_mounted_since_is_left_alone() {
    let fs = TestFs::new(Kind::Ext4);
    let (tree, other) = (fs.path().join("tree"), fs.path().join("other"));
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), "").unwrap();
    let idshift = Idshift::new();
    idshift.shift(&tree);
    // The same inodes, now only to be reached through a mount.
    fs::rename(tree.join("a"), &other).unwrap();
    fs::create_dir(tree.join("a")).unwrap();
    sh(
        "mount",
        [
            "--bind".as_ref(),
            other.as_os_str(),
            tree.join("a").as_os_str(),
        ],
    );
    let before = Snapshot::of(&other);
    let run = idshift.run(["rollback", "latest", "--force"]);
    nix::mount::umount(&tree.join("a")).unwrap();
    let run = run.exits(3);
    assert!(run.text().contains("is mounted in its path"), "{run}");
    assert_same(&before, &Snapshot::of(&other), "what was mounted");
}

/// One way in which somebody else could have had a hand in a journal.
type Tamper = fn(&Path, &Path);

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

const TAMPERED: &[(&str, Tamper)] = &[
    ("belongs to uid 1000", |file, _| {
        chown(file, Some(1000), None).unwrap();
    }),
    ("can be written by others (mode 0620)", |file, _| {
        mode(file, 0o620);
    }),
    ("can be written by others (mode 0602)", |file, _| {
        mode(file, 0o602);
    }),
    ("it is a symlink", |file, dir| {
        let away = dir.join("../elsewhere");
        fs::rename(file, &away).unwrap();
        symlink(&away, file).unwrap();
    }),
    ("it has 2 names", |file, dir| {
        fs::hard_link(file, dir.join("../second")).unwrap();
    }),
    ("it is not a regular file", |file, _| {
        fs::remove_file(file).unwrap();
        sh("mkfifo", ["-m", "600", file.to_str().unwrap()]);
    }),
    ("its directory", |_, dir| mode(dir, 0o770)),
    ("its directory", |_, dir| mode(dir, 0o1777)),
    ("its directory", |_, dir| {
        chown(dir, Some(1000), None).unwrap();
    }),
    ("above it", |_, dir| mode(dir.parent().unwrap(), 0o777)),
    ("above it", |_, dir| {
        chown(dir.parent().unwrap(), Some(1000), None).unwrap();
    }),
];

#[test]
fn a_journal_another_user_could_write_is_refused() {
    let promise = Promise::new(
        "Input",
        "A journal that others could have written is refused by all that read it",
        "owner, mode, symlink, second name, fifo; its directory and one above it of another or writable",
    );
    for (reason, tamper) in TAMPERED {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("upper/journals");
        let tree = place.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let (dir_arg, tree_arg) = (dir.to_str().unwrap(), tree.to_str().unwrap());
        let idshift = |args: &[&str]| {
            let mut command = std::process::Command::new(Idshift::program());
            support::Run::of(command.args(args).args(["--journal-dir", dir_arg]))
        };
        idshift(&["shift", "--map", MAP, tree_arg]).exits(0);
        let journals: Vec<_> = fs::read_dir(&dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let file = journals[0].clone();
        tamper(&file, &dir);
        let name = file.to_str().unwrap();
        for args in [
            &["rollback", name][..],
            &["rollback", name, "--force"],
            &["resume", name],
            &["verify", name],
            &["journal", "show", name],
            &["journal", "check", name],
        ] {
            let run = idshift(args).exits(4);
            assert!(
                run.stderr.contains(reason) || reason.contains("regular"),
                "{reason}: {run}"
            );
            promise.held();
        }
        // Nor is one written where others can.
        if reason.contains("directory") || reason.contains("above") {
            let more = tree.join("more");
            fs::write(&more, "").unwrap();
            idshift(&["shift", "--map", MAP, tree_arg])
                .exits(4)
                .says("put journals there");
            assert_eq!(fs::metadata(more).unwrap().uid(), 0);
        }
        assert_eq!(fs::metadata(&tree).unwrap().uid(), 100_000, "{reason}");
    }
}

#[test]
fn journals_are_their_owners_alone_whatever_the_umask() {
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let dir = place.path().join("a/b");
    let script = format!(
        "umask 0; exec {} shift --map {MAP} --journal-dir {} {}",
        Idshift::program().display(),
        dir.display(),
        tree.display()
    );
    sh("sh", ["-c", &script]);
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o700);
    for entry in fs::read_dir(&dir).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o7777, 0o600);
    }
    // In a place of others, nothing is made.
    let open = place.path().join("open");
    fs::create_dir(&open).unwrap();
    mode(&open, 0o777);
    let run = support::Run::of(std::process::Command::new(Idshift::program()).args([
        "shift".as_ref(),
        "--map".as_ref(),
        MAP.as_ref(),
        "--journal-dir".as_ref(),
        open.join("new").as_os_str(),
        tree.as_os_str(),
    ]));
    run.exits(4).says("put journals there");
    assert!(!open.join("new").exists());
}

#[test]
fn a_manifest_another_user_could_write_is_refused() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let manifest = fs.path().join("manifest");
    let idshift = Idshift::new();
    let (tree, file) = (tree.to_str().unwrap(), manifest.to_str().unwrap());
    idshift
        .run(["shift", "--map", MAP, "--dry-run", "--manifest", file, tree])
        .exits(0);
    let apply = || idshift.run(["shift", "--from-manifest", file]);
    for (owner, bits) in [(1000, 0o644), (0, 0o664), (0, 0o646)] {
        chown(&manifest, Some(owner), None).unwrap();
        mode(&manifest, bits);
        apply().exits(4).says("somebody else could have written it");
    }
    chown(&manifest, Some(0), None).unwrap();
    mode(&manifest, 0o644);
    apply().exits(0);
}
