//! Records of earlier versions go on being read.

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/format-1")
        .join(name)
}

/// A copy that belongs to whoever runs the test: a journal that others could write is refused.
fn copy(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join(name);
    fs::write(&copy, fs::read(fixture(name)).unwrap()).unwrap();
    (dir, copy)
}

fn stdout(args: &[&str], path: &Path) -> String {
    let mut command = Command::cargo_bin("idshift").unwrap();
    let output = command.args(args).arg(path).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_journal_of_format_1_is_read() {
    let (_dir, journal) = copy("journal.jsonl.zst");
    let shown = stdout(&["journal", "show", "--json"], &journal);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let expected = fs::read_to_string(fixture("journal.changes.jsonl")).unwrap();
    let expected: Result<Vec<serde_json::Value>, _> =
        expected.lines().map(serde_json::from_str).collect();
    assert_eq!(shown["lines"], serde_json::Value::from(expected.unwrap()));
    let checked = stdout(&["journal", "check"], &journal);
    assert!(
        checked.contains("no damage; rolled back, 8 inodes"),
        "{checked}"
    );
}

#[test]
fn a_manifest_of_format_1_is_read() {
    let manifest = idshift::formats::Manifest::open(&fixture("manifest.jsonl")).unwrap();
    assert_eq!(manifest.changes, 8);
    // The journal was made by the same shift: what it changed is what was announced.
    let announced: Vec<_> = manifest
        .changes()
        .unwrap()
        .map(|c| c.unwrap().change)
        .collect();
    for line in fs::read_to_string(fixture("journal.changes.jsonl"))
        .unwrap()
        .lines()
    {
        let done: idshift::formats::ChangeLine = serde_json::from_str(line).unwrap();
        assert!(announced.contains(&done), "{line}");
    }
}
