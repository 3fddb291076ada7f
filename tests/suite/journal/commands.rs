//! `journal list`, `show` and `check`

use std::fs;
use std::path::Path;

use crate::support::journal::{frames, journalled};
use crate::support::{Idshift, Kind, MAP, TestFs, output, tree};
use serde_json::Value;

#[test]
fn list_show_and_check_tell_of_it() {
    let it = journalled();
    let id = it
        .journal
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .replace(".jsonl.zst", "");
    let inodes = it.start.inodes().len();

    let list = it.idshift.run(["journal", "list", "--json"]).exits(0);
    let facts: Value = list.json()["journals"][0].clone();
    assert_eq!(
        (facts["id"].as_str(), facts["state"].as_str()),
        (Some(&*id), Some("finished"))
    );
    assert_eq!(facts["inodes"], inodes);
    let table = it.idshift.run(["journal", "list"]).exits(0).text();
    assert!(
        table.contains(&id) && table.contains(it.tree.to_str().unwrap()),
        "{table}"
    );

    let show = it.idshift.run(["journal", "show", &id]).exits(0).text();
    let of_the_tree = show
        .lines()
        .filter(|line| line.contains(&format!("{}/", it.tree.display())));
    assert_eq!(
        of_the_tree.count(),
        inodes - 1,
        "one line for each inode, and one for the top"
    );

    let check = it
        .idshift
        .run(["journal", "check", &id, "--json"])
        .exits(0)
        .json();
    assert_eq!(
        (&check["torn"], &check["inodes"]),
        (&false.into(), &inodes.into()),
        "{check}"
    );
}

#[test]
fn show_ends_quietly_when_nobody_reads_on() {
    let it = journalled();
    let command =
        "\"$1\" journal show latest --journal-dir \"$2\" | head -n 3; echo ${PIPESTATUS[0]}";
    let args = [
        "-c",
        command,
        "bash",
        Idshift::program().to_str().unwrap(),
        it.idshift.journals().to_str().unwrap(),
    ];
    let output = output("bash", args);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let said = String::from_utf8_lossy(&output.stdout);
    // `show` cannot know whether what it had left to say was wanted.
    assert_eq!(said.lines().last(), Some("74"), "{said}");
}

#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let it = journalled();
    let mode = fs::metadata(&it.journal).unwrap().permissions().mode() & 0o7777;
    assert_eq!(format!("{mode:04o}"), "0600");
}

#[test]
fn names_of_any_bytes_are_shown_without_harm() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    idshift.shift(&tree);
    let shown = idshift.run(["journal", "show", "latest"]).exits(0).stdout;
    assert!(!shown.contains(&0x1b), "an escape sequence got through");
    let list = idshift
        .run(["shift", "--dry-run", "-v", "--map", MAP, path(&tree)])
        .exits(0);
    assert!(
        !list.stdout.contains(&0x1b) && !list.stderr.contains('\x1b'),
        "{list}"
    );
}

pub(super) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn long_journals_are_listed_without_being_read() {
    let it = journalled();
    for n in 2..40 {
        fs::copy(
            &it.journal,
            it.journal.with_file_name(format!("{n:04}-copy.jsonl.zst")),
        )
        .unwrap();
    }
    // The fastest of some: other tests run beside it.
    let time = |args: &[&str]| {
        let once = |_| {
            let start = std::time::Instant::now();
            it.idshift.run(args).exits(0);
            start.elapsed()
        };
        (0..5).map(once).min().unwrap()
    };
    let nothing = time(&["journal", "list", "--help"]);
    let one = time(&["journal", "check", "1"]).saturating_sub(nothing);
    let all = time(&["journal", "list"]).saturating_sub(nothing);
    assert!(
        all < one * 8,
        "39 are listed in {all:?}, one is read in {one:?}"
    );
}

#[test]
fn a_list_is_right_about_journals_of_every_kind() {
    let it = journalled();
    let inodes = it.start.inodes().len();
    let frames = frames(&it.bytes);
    let last = frames.last().unwrap().clone();
    let changes = frames[frames.len() - 2].clone();
    let listed = |bytes: &[u8]| {
        it.write(bytes);
        let run = it.idshift.run(["journal", "list", "--json"]);
        (run.json()["journals"][0].clone(), run.code)
    };
    let (whole, code) = listed(&it.bytes);
    assert_eq!((&whole["state"], code), (&"finished".into(), Some(0)));
    assert_eq!(
        (&whole["inodes"], &whole["frames"]),
        (&inodes.into(), &frames.len().into())
    );
    // Room behind it, as a killed run leaves.
    let (room, _) = listed(&[&it.bytes[..], &[0; 100_000]].concat());
    assert_eq!(
        (&room["state"], &room["torn"]),
        (&"finished".into(), &false.into())
    );
    // Its last turn was not written whole: it was going on.
    let (torn, code) = listed(&it.bytes[..last.end - 1]);
    assert_eq!(
        (&torn["state"], &torn["torn"]),
        (&"unfinished".into(), &true.into())
    );
    assert_eq!((&torn["inodes"], code), (&inodes.into(), Some(0)));
    // The head of one in the middle, and what stands behind the last.
    for at in [changes.start + 9, last.start + 9] {
        let mut bytes = it.bytes.clone();
        bytes[at] ^= 0xff;
        let (damaged, code) = listed(&bytes);
        assert!(
            damaged["error"].as_str().unwrap().contains("is damaged"),
            "{damaged}"
        );
        assert_eq!(code, Some(3));
    }
    let (damaged, _) = listed(&[&it.bytes[..], &b"x".repeat(5000)].concat());
    assert!(
        damaged["error"].as_str().unwrap().contains("is damaged"),
        "{damaged}"
    );
}
