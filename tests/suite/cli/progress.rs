//! What a run draws on a terminal while it lasts.

use std::process::Command;

use crate::support::{Idshift, Kind, MAP, TestFs, script, tree};

/// What a command line drew on a terminal of this width: each line as it was at one time, without colours.
fn drawn(idshift: &Idshift, columns: u16, args: &[&str]) -> Vec<String> {
    let command = idshift.command(args);
    let mut terminal = Command::new("python3");
    terminal
        .arg(script("on_terminal.py"))
        .arg(columns.to_string())
        .arg(command.get_program())
        .args(command.get_args());
    let output = terminal.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let plain = console::strip_ansi_codes(&text);
    let lines = plain.split(['\r', '\n']).map(str::trim_end);
    lines
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect()
}

/// The lines that tell of progress.
fn progress(lines: &[String]) -> Vec<&str> {
    let is_spinner =
        |line: &&str| line.starts_with(|c: char| ('\u{2800}'..='\u{28ff}').contains(&c));
    let lines: Vec<&str> = lines
        .iter()
        .map(String::as_str)
        .filter(is_spinner)
        .collect();
    assert!(!lines.is_empty());
    lines
}

#[test]
fn progress_fits_the_terminal_and_says_what_is_left() {
    let fs = TestFs::new(Kind::Tmpfs);
    let top = tree::many(
        &fs.path()
            .join("a-tree-with-a-long-name/in-a-long-way/to-a-tree"),
        2000,
    );
    let top = top.to_str().unwrap();
    let manifest = fs.path().join("manifest");
    let manifest = manifest.to_str().unwrap();
    let slowly = ["--rate", "3000"];
    for columns in [60, 80, 132] {
        let idshift = Idshift::new();
        let run = |args: &[&str]| {
            let lines = drawn(&idshift, columns, &[args, &slowly].concat());
            for line in progress(&lines) {
                let width = console::measure_text_width(line);
                assert!(width <= usize::from(columns), "{columns}: {line}");
                assert!(!line.contains("0/0"), "{columns}: {line}");
                let rate = line.split(' ').find(|word| word.ends_with("/s"));
                assert!(!rate.is_some_and(|rate| rate.contains('.')), "{line}");
                // A spinner and a label in words.
                let label = line.split(' ').nth(1).unwrap();
                assert!(label.chars().all(|c| c.is_ascii_lowercase()), "{line}");
            }
            lines
        };
        let is_known = |lines: &[String], label: &str| {
            let lines = progress(lines);
            let with_total = |line: &&&str| line.contains(label) && line.contains("/1,9");
            let found = lines.iter().find(with_total);
            let found =
                found.unwrap_or_else(|| panic!("{columns}: no {label} with a total: {lines:#?}"));
            assert!(found.contains(" left"), "{found}");
        };
        let dry = run(&[
            "shift",
            "--dry-run",
            "--map",
            MAP,
            "--manifest",
            manifest,
            top,
        ]);
        assert!(
            progress(&dry)
                .iter()
                .any(|line| line.contains("looking") && line.contains(" inodes "))
        );
        is_known(
            &run(&["shift", "--from-manifest", manifest]),
            "changing owners",
        );
        is_known(&run(&["verify", "latest"]), "comparing");
        is_known(&run(&["rollback", "latest"]), "undoing");
    }
}
