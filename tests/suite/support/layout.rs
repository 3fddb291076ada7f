//! Tests of how the tests lie here: what is forgotten would pass in silence.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::output;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The paths of all tests.
fn tests() -> BTreeSet<String> {
    let program = std::env::current_exe().unwrap();
    let told = output(program.to_str().unwrap(), ["--list", "--format", "terse"]).stdout;
    let told = String::from_utf8(told).unwrap();
    let names = told.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(String::from).collect()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Whether a file, or the one of its folder, says `mod NAME;`.
fn is_declared(path: &Path) -> bool {
    let (dir, stem) = (path.parent().unwrap(), path.file_stem().unwrap());
    let (dir, name) = match stem.to_str().unwrap() {
        "mod" => (dir.parent().unwrap(), dir.file_name().unwrap()),
        _ => (dir, stem),
    };
    let line = format!("mod {};", name.to_str().unwrap());
    let declared_in = [
        dir.join("mod.rs"),
        dir.join("main.rs"),
        dir.with_extension("rs"),
    ];
    declared_in.iter().any(|file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|it| it.trim_start_matches("pub ") == line)
    })
}

#[test]
fn every_file_is_a_module() {
    let suite = home().join("tests/suite");
    let elsewhere = [suite.join("main.rs")];
    let all = sources(&suite);
    assert!(all.len() > 80, "{}", all.len());
    let is_forgotten = |path: &&PathBuf| !elsewhere.contains(path) && !is_declared(path);
    let forgotten: Vec<_> = all.iter().filter(is_forgotten).collect();
    assert!(forgotten.is_empty(), "their tests never run: {forgotten:?}");
}

#[test]
fn the_page_of_promises_is_made_of_its_data() {
    output(
        home().join("tests/reliability").to_str().unwrap(),
        ["--check"],
    );
    let tests = tests();
    let rows = fs::read_to_string(home().join("docs/reliability.jsonl")).unwrap();
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let test = row["test"].as_str().unwrap();
        assert!(
            tests.contains(test),
            "no test {test}; if it has another name now, so must its row"
        );
    }
}

#[test]
fn every_break_has_its_text_and_its_test() {
    let breaks = home().join("tests/breaks");
    output(breaks.to_str().unwrap(), ["--check"]);
    let told = output(breaks.to_str().unwrap(), ["--list"]).stdout;
    let tests = tests();
    for line in String::from_utf8(told).unwrap().lines() {
        let mut words = line.split_whitespace();
        let (name, test) = (words.next().unwrap(), words.next().unwrap());
        // The unit tests are in another program.
        let is_there = test == "lib" || tests.iter().any(|it| it.contains(test));
        assert!(is_there, "break {name}: no test {test}");
    }
}
