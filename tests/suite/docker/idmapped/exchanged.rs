//! What is in a data-root and is no container's, or has ids of the range already, is named before a mount shows it with other
//! owners.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::Path;

use serde_json::{Value, json};

use super::{INNER, tiny};
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, need_root, output};

fn made(path: &Path, id: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "").unwrap();
    chown(path, Some(id), Some(id)).unwrap();
}

/// How many inodes find(1) finds.
fn count(top: &Path, test: &[&str]) -> usize {
    let args = [&[top.to_str().unwrap()], test].concat();
    String::from_utf8(output("find", args).stdout)
        .unwrap()
        .lines()
        .count()
}

const IN_RANGE: &[&str] = &["-uid", "+99999", "-uid", "-165536"];

#[test]
fn what_is_seen_with_other_owners_is_named_before() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    let top = &host.data_root;
    // Docker 29's, for signatures of images.
    fs::create_dir_all(top.join("policy/tuf")).unwrap();
    let none = migrate(&idshift, &host, &["--idmapped", "--dry-run", "--json"]).exits(0);
    assert_eq!(none.json()["exchanged"], json!([]), "{none}");

    let all = with_other_owners(top);
    audit_names_them(&host, &all);
    dry_run_names_them(&idshift, &host, &all);

    let run = migrate(&idshift, &host, &["--idmapped", "--json"]).exits(0);
    let found = &run.json()["exchanged"];
    for (n, (path, inodes)) in [("backup", 3), ("volumes/vol", 1)].into_iter().enumerate() {
        assert_eq!(found[n]["path"], path, "{run}");
        assert_eq!(
            (&found[n]["inodes"], &found[n]["more"]),
            (&json!(inodes), &json!(true)),
            "{run}"
        );
    }
    // As the mount shows it.
    let seen = |path: &str| top.join(INNER).join(path).symlink_metadata().unwrap().uid();
    assert_eq!(
        (seen("backup/dump"), seen("volumes/vol/_data/deep/er/x")),
        (101_000, 34)
    );
    assert_eq!(seen("volumes/vol/_data/far"), 300_000);
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(count(top, IN_RANGE), 3);
    assert_eq!(count(&top.join("backup"), &["-uid", "1000"]), 4);
}

/// Of a volume's directory and of the place that another volume leads to. A run that changed the disk says so.
#[test]
fn names_that_are_not_utf8_are_told_as_any_other() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    let volumes = host.data_root.join("volumes");
    made(
        &volumes.join("vol").join(OsStr::from_bytes(b"alt-f\xfcr")),
        1000,
    );
    let elsewhere = host.beside().join(OsStr::from_bytes(b"d\xe4ten"));
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir(volumes.join("far")).unwrap();
    symlink(&elsewhere, volumes.join("far/_data")).unwrap();
    // By base64(1).
    let name = json!({"b64": "dm9sdW1lcy92b2wvYWx0LWb8cg=="});

    let audited = audit_with(&host, &["--json"]);
    assert_eq!(audited.json()["ending"], "done", "{audited}");
    assert_eq!(audited.json()["ways"][1]["exchanged"][0]["path"], name);
    let dir = &audited.json()["volumes_elsewhere"][0]["dir"]["b64"];
    assert_eq!(decoded(dir), elsewhere.as_os_str().as_bytes(), "{audited}");
    fs::remove_dir_all(volumes.join("far")).unwrap();

    let run = migrate(&idshift, &host, &["--idmapped", "--json"]).exits(0);
    assert_eq!(run.json()["ending"], "done", "{run}");
    assert_eq!(run.json()["exchanged"][0]["path"], name, "{run}");
    let shown = host.data_root.join(INNER).join("volumes/vol");
    let shown = shown.join(OsStr::from_bytes(b"alt-f\xfcr"));
    assert_eq!(shown.symlink_metadata().unwrap().uid(), 101_000);
    revert(&idshift, &host, &[]).exits(0);
}

/// What base64(1) makes of it.
fn decoded(text: &Value) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), text.as_str().unwrap_or_default()).unwrap();
    output("base64", [OsStr::new("-d"), file.path().as_os_str()]).stdout
}

/// Makes them. What is to be said of them.
fn with_other_owners(top: &Path) -> Value {
    for file in ["backup/dump", "backup/old/a", "backup/old/b"] {
        made(&top.join(file), 1000);
    }
    chown(top.join("backup"), Some(1000), Some(1000)).unwrap();
    made(&top.join("volumes/vol/_data/top"), 100_033);
    made(&top.join("volumes/vol/_data/deep/er/x"), 100_034);
    made(&top.join("volumes/vol/_data/deep/er/y"), 100_034);
    // No id that the mount shows otherwise.
    made(&top.join("volumes/vol/_data/far"), 300_000);
    let backup = json!({"path": "backup", "kind": "not-of-docker", "inodes": count(&top.join("backup"), &[]),
                        "on_disk": "1000:1000", "seen_as": "101000:101000"});
    let volume = json!({"path": "volumes/vol", "kind": "in-range",
                        "inodes": count(&top.join("volumes"), IN_RANGE),
                        "on_disk": "100034:100034", "seen_as": "34:34"});
    assert_eq!(
        (&backup["inodes"], &volume["inodes"]),
        (&json!(5), &json!(3))
    );
    json!([backup, volume])
}

fn audit_names_them(host: &Host, all: &Value) {
    let audited = audit_with(host, &["--json"]);
    let ways = audited.json()["ways"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let of_way = |n: usize| ways[n].get("exchanged").cloned().unwrap_or(Value::Null);
    assert_eq!(
        (of_way(0), of_way(1)),
        (Value::Null, all.clone()),
        "{audited}"
    );
    let table = audit(host).text();
    for told in [
        "backup",
        "not Docker's",
        "101000:101000",
        "volumes/vol",
        "in the range already",
        "34:34",
    ] {
        assert!(table.contains(told), "{told} {table}");
    }
}

fn dry_run_names_them(idshift: &Idshift, host: &Host, all: &Value) {
    let planned = migrate(idshift, host, &["--idmapped", "--dry-run", "--json"]).exits(0);
    assert_eq!(planned.json()["exchanged"], *all, "{planned}");
    let told = format!(
        "{}",
        migrate(idshift, host, &["--idmapped", "--dry-run"]).exits(0)
    );
    let lines = [
        "backup is no part of Docker (5 inodes)",
        "1000:1000 on disk is seen as 101000:101000",
        "volumes/vol: 3 inodes of it have an id of the range on disk already",
    ];
    for line in lines {
        assert!(told.contains(line), "{line} {told}");
    }
}
