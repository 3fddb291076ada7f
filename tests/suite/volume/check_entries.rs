//! `check --recursive`: entries below that the user cannot use.

use crate::support::PYTHON;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use crate::support::volume::{check, directory, mode, owned, place};
use crate::support::{long, sh};
use serde_json::Value;

#[test]
fn unusable_entries_files_and_mounts_are_found() {
    let place = place();
    let top = directory(&place.path().join("www"), (100_033, 100_033), 0o755);
    directory(&top.join("open"), (0, 0), 0o755);
    directory(&top.join("closed/deep"), (0, 0), 0o755);
    mode(&top.join("closed"), 0o700);
    for (name, bits) in [("page", 0o644), ("secret", 0o600), ("open/below", 0o640)] {
        fs::write(top.join(name), "x").unwrap();
        mode(&top.join(name), bits);
    }
    fs::write(top.join("own"), "").unwrap();
    chown(top.join("own"), Some(100_033), Some(100_033)).unwrap();
    mode(&top.join("own"), 0o400);
    let unusable = |args: &[&str]| -> (Option<i32>, Vec<String>) {
        let run = check(&top, &[&["--as", "33:33", "--json"], args].concat());
        let told: Value = serde_json::from_slice(&run.stdout).unwrap();
        let mut lines: Vec<String> = told["unusable"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| {
                let path = Path::new(entry["path"].as_str().unwrap());
                format!(
                    "{} {}",
                    path.strip_prefix(&top).unwrap().display(),
                    entry["lacks"].as_str().unwrap()
                )
            })
            .collect();
        lines.sort();
        (run.code, lines)
    };
    let words = |lines: &[&str]| {
        lines
            .iter()
            .map(|line| line.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        unusable(&["--recursive", "--read-only"]),
        (Some(3), words(&["closed rx", "open/below r", "secret r"]))
    );
    assert_eq!(
        unusable(&["--recursive"]),
        (
            Some(3),
            words(&[
                "closed rwx",
                "open w",
                "open/below rw",
                "page w",
                "secret rw"
            ])
        )
    );
    assert_eq!(
        unusable(&["--read-only"]),
        (Some(0), words(&["closed rx", "secret r"]))
    );
    let told = check(&top.join("secret"), &["--as", "33"]);
    assert_eq!(told.code, Some(3), "{told}");
    let told = check(&top.join("page"), &["--as", "33", "--read-only"]);
    assert_eq!(told.code, Some(0), "{told}");
    let mtime = |path: &str| fs::metadata(top.join(path)).unwrap().mtime_nsec();
    let before = mtime("own");
    check(&top.join("own"), &["--as", "33"]);
    assert_eq!(mtime("own"), before);
    for bad in [&["--as", "x"][..], &[], &["--as", "70000:0"]] {
        let run = check(&top, bad);
        assert!(matches!(run.code, Some(2 | 4)), "{run}");
    }
}

#[test]
fn every_entry_is_checked_however_deep_or_closed() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_033, 100_033), 0o755);
    let odd = top.join(OsStr::from_bytes(b"x\xff\n"));
    fs::write(&odd, "").unwrap();
    mode(&odd, 0o600);
    // The user's own that it cannot even list: what is below was not seen, so it must be told.
    directory(&top.join("own"), (100_033, 100_033), 0o300);
    // Nobody's are no user's own, though both are called 65534.
    fs::write(top.join("strange"), "").unwrap();
    owned(&top.join("strange"), (65_534, 65_534), 0o644);
    // Deeper than a path can be long.
    let name = "d".repeat(200);
    let script = "import os,sys\n\
        os.chdir(sys.argv[1])\n\
        for _ in range(30):\n os.mkdir(sys.argv[2]); os.chmod(sys.argv[2], 0o755); os.chdir(sys.argv[2])\n\
        open('last','w').close(); os.chmod('last', 0o600)";
    let deep = top.join("deep");
    directory(&deep, (0, 0), 0o755);
    sh(PYTHON, ["-c", script, deep.to_str().unwrap(), &name]);

    let told = check(
        &top,
        &["--as", "33:33", "--recursive", "--read-only", "--json"],
    )
    .exits(3);
    let told = told.json();
    let unusable = told["unusable"].as_array().unwrap();
    assert_eq!(told["unusable_total"], 3, "{unusable:#?}");
    let paths: Vec<&Value> = unusable.iter().map(|entry| &entry["path"]).collect();
    assert!(
        paths.iter().any(|path| path["b64"].is_string()),
        "{paths:?}"
    );
    let last = unusable.iter().find(|entry| {
        let path = entry["path"].as_str().unwrap_or("");
        path.ends_with("/last") && path.len() > 6000
    });
    assert_eq!(last.unwrap()["owner"]["outside"], "0:0");
    let own = unusable.iter().find(|entry| {
        entry["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/own"))
    });
    assert_eq!(own.unwrap()["lacks"], "r");
    assert_eq!(told["looked_at"], 3 + 32);
    // As text, nothing reaches the terminal that is no text.
    let text = check(&top, &["--as", "33:33", "--recursive", "--read-only"]).exits(3);
    assert!(text.text().contains("x\u{fffd}\\n"), "{text}");

    let nobody = check(&top, &["--as", "65534:65534", "--recursive", "--json"]).exits(3);
    let nobody = nobody.json();
    let strange = nobody["unusable"].as_array().unwrap().iter().find(|entry| {
        entry["path"]
            .as_str()
            .is_some_and(|path| path.ends_with("/strange"))
    });
    assert_eq!(strange.unwrap()["lacks"], "w", "{nobody}");
}

#[test]
fn a_directory_of_100000_entries_is_checked_whole() {
    let place = place();
    let top = directory(&place.path().join("top"), (100_033, 100_033), 0o755);
    let n = if long() { 100_000 } else { 20_000 };
    for i in 0..n {
        fs::write(top.join(format!("{i:06}")), "").unwrap();
    }
    mode(&top.join("007777"), 0o600);
    let told = check(
        &top,
        &["--as", "33:33", "--recursive", "--read-only", "--json"],
    )
    .exits(3);
    assert_eq!(told.json()["looked_at"], n);
    assert_eq!(told.json()["unusable_total"], 1);
    // Thousands that cannot be used are counted, and the first are named.
    let told = check(&top, &["--as", "33:33", "--recursive", "--json"]).exits(3);
    assert_eq!(told.json()["unusable_total"], n);
    assert_eq!(told.json()["unusable"].as_array().unwrap().len(), 1000);
}
