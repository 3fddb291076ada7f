//! A dry run changes nothing and says all that a shift would change; a manifest is applied as it
//! was reviewed, or not at all.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::{Path, PathBuf};

use crate::support;
use crate::support::snapshot::path_of;
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, tree};
use serde_json::Value;

pub(super) struct Reviewed {
    pub(super) fs: TestFs,
    pub(super) tree: PathBuf,
    pub(super) idshift: Idshift,
    pub(super) manifest: PathBuf,
    pub(super) start: Snapshot,
}

/// A tree, and the manifest of its dry run in a file of this name.
pub(super) fn reviewed(name: &str) -> Reviewed {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::zoo(&fs.path().join("tree"));
    let manifest = fs.path().join(name);
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    let run = dry_run(&idshift, &tree, &manifest).exits(0);
    assert_same(&start, &Snapshot::of(&tree), "after the dry run");
    assert_eq!(run.count("changed"), start.inodes().len() as u64, "{run}");
    assert!(idshift.journal_files().is_empty());
    Reviewed {
        fs,
        tree,
        idshift,
        manifest,
        start,
    }
}

pub(super) fn dry_run(idshift: &Idshift, tree: &Path, manifest: &Path) -> Run {
    idshift.shift_with(
        tree,
        &["--dry-run", "--manifest", manifest.to_str().unwrap()],
    )
}

impl Reviewed {
    pub(super) fn apply(&self, more: &[&str]) -> Run {
        let mut args = vec![
            "shift",
            "--json",
            "--from-manifest",
            self.manifest.to_str().unwrap(),
        ];
        args.extend(more);
        self.idshift.run(args)
    }

    pub(super) fn now(&self) -> Snapshot {
        Snapshot::of(&self.tree)
    }

    /// As it is now, but shifted, apart from some paths.
    pub(super) fn expected_but_for(&self, now: &Snapshot, left: &[&str]) -> Snapshot {
        self.start
            .shifted(&[MAP])
            .with(now, |path| left.iter().any(|one| one.as_bytes() == path))
    }
}

pub(super) fn lines(text: &[u8]) -> Vec<Value> {
    let lines = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).expect("a line of JSON"))
        .collect()
}

fn kinds(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["kind"].as_str().unwrap())
        .collect()
}

/// The manifest's lines fit the tree before and after it was applied.
pub(super) fn check_lines(lines: &[Value], tree: &Path, start: &Snapshot, end: &Snapshot) {
    let kinds = kinds(lines);
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("header", "summary"));
    let inner = &kinds[1..kinds.len() - 1];
    assert!(inner.iter().all(|kind| *kind == "change"), "{inner:?}");
    assert_eq!(lines[0]["roots"][0]["path"], tree.to_str().unwrap());

    let mut inodes = BTreeSet::new();
    for line in &lines[1..lines.len() - 1] {
        let path = path_of(line);
        let below = path
            .strip_prefix(tree.as_os_str().as_encoded_bytes())
            .expect("in the tree");
        let name = match below.strip_prefix(b"/") {
            Some(name) => name,
            None => b".",
        };
        let (before, after) = (&start.lines()[name], &end.lines()[name]);
        for (side, found) in [("before", before), ("after", after)] {
            for id in ["uid", "gid"] {
                assert_eq!(line[side][id], found[id], "{side} {id} of {line}");
            }
        }
        assert!(
            inodes.insert(before["ino"].as_u64().unwrap()),
            "twice: {line}"
        );
    }
    assert_eq!(inodes, start.differing_inodes(end));
    assert_eq!(lines[lines.len() - 1]["changed"], inodes.len());
}

#[test]
fn it_names_each_inode_that_then_changes_once() {
    let it = reviewed("manifest.jsonl");
    let run = it.apply(&[]).exits(0);
    let end = it.now();
    assert_same(
        &it.start.shifted(&[MAP]),
        &end,
        "after the manifest was applied",
    );
    assert_eq!(
        run.count("changed"),
        it.start.inodes().len() as u64,
        "{run}"
    );
    check_lines(
        &lines(&fs::read(&it.manifest).unwrap()),
        &it.tree,
        &it.start,
        &end,
    );
    it.idshift.rollback();
    assert_same(&it.start, &it.now(), "after the rollback");
}

#[test]
fn a_tree_deeper_than_path_max_is_applied() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = tree::deep_zoo(&fs.path().join("tree"));
    let manifest = fs.path().join("manifest.jsonl");
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    dry_run(&idshift, &tree, &manifest).exits(0);
    idshift
        .run([
            "shift",
            "--json",
            "--from-manifest",
            manifest.to_str().unwrap(),
        ])
        .exits(0);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&tree),
        "after the manifest was applied",
    );
}

#[test]
fn what_cannot_be_shifted_is_a_note() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::plain_zoo(&fs.path().join("tree"));
    let stranger = tree.join("owners/stranger");
    fs::write(&stranger, "").unwrap();
    chown(&stranger, Some(70_000), Some(0)).unwrap();
    let manifest = fs.path().join("manifest.jsonl");
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    let run = dry_run(&idshift, &tree, &manifest);
    assert_eq!(run.count("unmapped"), 1, "{run}");
    let lines = lines(&fs::read(&manifest).unwrap());
    let notes: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "note").collect();
    let [note] = &notes[..] else {
        panic!("one note, not {notes:?}")
    };
    assert_eq!(note["path"], stranger.to_str().unwrap());
    assert_same(&start, &Snapshot::of(&tree), "after the dry run");
}

#[test]
fn it_is_applied_to_what_it_names_and_nothing_else() {
    let it = reviewed("manifest.jsonl");
    let new = it.tree.join("owners/came-later");
    fs::write(&new, "").unwrap();
    chown(&new, Some(1000), Some(1000)).unwrap();
    it.apply(&["--keep-going"]);
    let metadata = fs::metadata(&new).unwrap();
    assert_eq!(
        (metadata.uid(), metadata.gid()),
        (1000, 1000),
        "it was not reviewed"
    );
}

#[test]
fn a_line_that_was_taken_out_is_not_applied() {
    let it = reviewed("manifest.jsonl");
    let text = fs::read_to_string(&it.manifest).unwrap();
    let kept = text
        .lines()
        .filter(|line| !line.contains("\"change\"") || line.contains("/acls/file"));
    fs::write(
        &it.manifest,
        kept.map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let run = it.apply(&[]).exits(0);
    assert_eq!(run.count("changed"), 1, "{run}");
    let expected = it
        .start
        .shifted(&[MAP])
        .with(&it.start, |path| path != b"acls/file");
    assert_same(&expected, &it.now(), "after the manifest was applied");
}

type Drift = fn(&Path);

/// Each is something that happens between the review and the run, to this path.
const DRIFTS: &[(&str, Drift)] = &[
    ("owners/1000-0", |path| {
        lchown(path, Some(0), Some(0)).unwrap();
    }),
    ("owners/1000-1000", |path| {
        let other = path.with_file_name("other");
        fs::copy(path, &other).unwrap();
        chown(&other, Some(1000), Some(1000)).unwrap();
        fs::rename(other, path).unwrap();
    }),
    ("acls/file", |path| {
        support::sh("setfacl", ["-b".as_ref(), path.as_os_str()]);
    }),
    ("capabilities/effective", |path| {
        support::sh("setcap", ["-r".as_ref(), path.as_os_str()]);
    }),
    ("modes/file-0644", |path| {
        support::sh("chmod", ["u+s".as_ref(), path.as_os_str()]);
    }),
    ("kinds/null", |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, "").unwrap();
    }),
];

#[test]
fn drift_means_that_nothing_is_applied() {
    for (path, drift) in DRIFTS {
        let it = reviewed("manifest.jsonl");
        drift(&it.tree.join(path));
        let drifted = it.now();
        it.apply(&[]).exits(1).says(path);
        assert_same(&drifted, &it.now(), path);
    }
}

#[test]
fn with_keep_going_drift_is_left_and_the_rest_applied() {
    for (path, drift) in DRIFTS {
        let it = reviewed("manifest.jsonl");
        drift(&it.tree.join(path));
        let drifted = it.now();
        let run = it.apply(&["--keep-going"]).exits(3);
        assert_eq!(run.count("conflicts"), 1, "{run}");
        assert!(run.problem_paths()[0].ends_with(path), "{run}");
        let expected = it.expected_but_for(&drifted, &[path, parent(path)]);
        // Replacing a file changes its directory's mtime; its owner is shifted all the same.
        let now = it.now();
        assert_eq!(now.at(parent(path))["uid"], 100_000);
        assert_same(
            &expected,
            &now.with(&drifted, |one| one == parent(path).as_bytes()),
            path,
        );
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

#[test]
fn a_removed_file_is_drift_too() {
    let it = reviewed("manifest.jsonl");
    fs::remove_file(it.tree.join("owners/0-0")).unwrap();
    let drifted = it.now();
    it.apply(&[]).exits(1).says("owners/0-0");
    assert_same(&drifted, &it.now(), "after the refusal");
}

#[test]
fn what_is_done_already_is_not_said_to_be_done_again() {
    let it = reviewed("manifest.jsonl");
    it.apply(&[]).exits(0);
    let end = Snapshot::of(&it.tree);
    let journals = it.idshift.journal_files();
    let again = it.apply(&[]).exits(0);
    assert_eq!(again.count("changed"), 0, "{again}");
    assert_eq!(it.idshift.journal_files(), journals);

    // Half of it: undoing the rest would undo this, too.
    it.idshift.rollback();
    assert_same(&it.start, &Snapshot::of(&it.tree), "rolled back");
    let other = Idshift::new();
    let dir = it.tree.join("acls");
    other.shift_with(&dir, &["--allow-outside-links"]).exits(0);
    let half = Snapshot::of(&it.tree);
    it.apply(&[]).exits(4).says("already").says("--dry-run");
    assert_same(&half, &Snapshot::of(&it.tree), "refused");
    other.rollback();
    it.apply(&[]).exits(0);
    assert_same(&end, &Snapshot::of(&it.tree), "applied");
}

#[test]
fn another_tree_in_its_place_is_drift_for_all_of_it() {
    let it = reviewed("manifest.jsonl");
    fs::rename(&it.tree, it.fs.path().join("moved")).unwrap();
    tree::zoo(&it.tree);
    let drifted = it.now();
    let run = it.apply(&[]);
    assert!(matches!(run.code, Some(1 | 4)), "{run}");
    assert_same(&drifted, &it.now(), "after the refusal");
}

#[test]
fn one_that_was_cut_off_is_refused() {
    let it = reviewed("manifest.jsonl");
    let whole = fs::read(&it.manifest).unwrap();
    let summary = whole.len()
        - 1
        - whole[..whole.len() - 1]
            .iter()
            .rev()
            .take_while(|b| **b != b'\n')
            .count();
    for cut in [
        0,
        1,
        100,
        summary / 2,
        summary - 1,
        summary,
        whole.len() - 5,
    ] {
        fs::write(&it.manifest, &whole[..cut]).unwrap();
        it.apply(&[]).exits(4).says("manifest.jsonl");
        assert_same(&it.start, &it.now(), "after the refusal");
    }
}

#[test]
fn a_compressed_one_that_was_cut_off_is_refused() {
    let it = reviewed("manifest.jsonl.zst");
    let whole = fs::read(&it.manifest).unwrap();
    for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&it.manifest, &whole[..cut]).unwrap();
        it.apply(&[]).exits(4).says("manifest.jsonl.zst");
    }
    assert_same(&it.start, &it.now(), "after the refusals");
}

#[test]
fn a_damaged_manifest_is_refused_with_the_line() {
    let it = reviewed("manifest.jsonl");
    let whole = fs::read_to_string(&it.manifest).unwrap();
    let damage: [(&str, &str, &str); 4] = [
        ("line 5", "\"kind\":\"change\"", "\"kind\":\"chaos\""),
        ("line 5", "\"before\":", "\"behind\":"),
        ("line 5", "owners/", "owners/../../"),
        ("line 1", "\"format\":1", "\"format\":999"),
    ];
    for (says, from, to) in damage {
        let at = usize::from(says == "line 5") * 4;
        let mut lines: Vec<String> = whole.lines().map(String::from).collect();
        let line = match from {
            "owners/" => lines
                .iter()
                .position(|line| line.contains("/owners/"))
                .unwrap(),
            _ => at,
        };
        lines[line] = lines[line].replacen(from, to, 1);
        assert_ne!(
            lines[line],
            whole.lines().nth(line).unwrap(),
            "{from} is there"
        );
        fs::write(&it.manifest, lines.join("\n") + "\n").unwrap();
        let run = it.apply(&[]).exits(4);
        run.says(&format!("line {}", line + 1));
        assert_same(&it.start, &it.now(), from);
    }
}
