//! Records of each format go on being read: `fixtures/` has a journal and a manifest that were made once, and the
//! filesystem as their run left it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::journal::{frame, frames, lines};
use crate::support::{Idshift, Snapshot, TestFs, assert_same};

/// Where the filesystem was mounted when they were made.
const PLACE: &str = "/mnt";

fn fixture(name: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    home.join("fixtures/format-1").join(name)
}

/// A copy that nobody else could have written, wherever the source lies.
fn copy(name: &str, to: &Path) -> String {
    fs::write(to, fs::read(fixture(name)).unwrap()).unwrap();
    to.to_str().unwrap().into()
}

/// The journal, in the place of those of this program.
fn journal(idshift: &Idshift) -> String {
    let bytes = fs::read(fixture("journal.jsonl.zst")).unwrap();
    let header: Value = serde_json::from_str(&lines(&bytes[frames(&bytes)[0].clone()])).unwrap();
    let name = format!("{}.jsonl.zst", header["id"].as_str().unwrap());
    copy("journal.jsonl.zst", &idshift.journals().join(name))
}

fn json_lines(text: &str) -> Vec<Value> {
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_run_of_format_1_is_undone_and_done_again() {
    let image = zstd::stream::decode_all(&*fs::read(fixture("tree.ext4.zst")).unwrap()).unwrap();
    let fs = TestFs::of_image(&image, Path::new(PLACE));
    let tree = fs.path().join("tree");
    let (before, after) = (
        Snapshot::read(&fixture("before.jsonl")),
        Snapshot::of(&tree),
    );
    let idshift = Idshift::new();

    let journal = journal(&idshift);
    idshift.run(["verify", &journal]).exits(0);
    let run = idshift.run(["rollback", &journal, "--json"]).exits(0);
    assert_same(&before, &Snapshot::of(&tree), "after the rollback");
    let changes = json_lines(&fs::read_to_string(fixture("changes.jsonl")).unwrap());
    assert_eq!(run.count("changed"), changes.len() as u64);

    let manifest = copy("manifest.jsonl", &idshift.journals().join("manifest.jsonl"));
    let args = ["shift", "--from-manifest", &manifest, "--json"];
    let run = idshift.run(args).exits(0);
    assert_same(&after, &Snapshot::of(&tree), "after the manifest");
    assert_eq!(run.count("changed"), changes.len() as u64);
}

#[test]
fn a_journal_of_format_1_is_shown() {
    let idshift = Idshift::new();
    let journal = journal(&idshift);
    let shown = idshift
        .run(["journal", "show", "--json", &journal])
        .exits(0)
        .json();
    let expected = json_lines(&fs::read_to_string(fixture("changes.jsonl")).unwrap());
    assert_eq!(shown["lines"], Value::from(expected));
}

/// What is refused at once leads a fuzzer nowhere.
#[test]
fn the_seeds_of_the_fuzz_targets_are_whole() {
    let idshift = Idshift::new();
    let seed = |name: &str| {
        let home = Path::new(env!("CARGO_MANIFEST_DIR"));
        fs::read(home.join("fuzz/corpus").join(name)).unwrap()
    };
    for name in ["manifest.jsonl", "journal.jsonl.zst"] {
        let (kind, end) = name.split_once(".jsonl").unwrap();
        let of_fixture = fs::read(fixture(name)).unwrap();
        assert_eq!(seed(&format!("{kind}/format-1{end}")), of_fixture, "{name}");
    }
    for name in ["lines", "steps"] {
        let text = String::from_utf8(seed(&format!("journal/{name}"))).unwrap();
        let (header, rest) = text.split_once('\n').unwrap();
        let path = idshift.journals().join("0001-20260102T030405Z.jsonl.zst");
        let frames = [frame(0, &format!("{header}\n")), frame(1, rest)];
        fs::write(&path, frames.concat()).unwrap();
        let path = path.to_str().unwrap();
        idshift.run(["journal", "check", path]).exits(0);
    }
}
