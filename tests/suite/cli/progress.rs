//! What a run draws on a terminal while it lasts.

use crate::support::terminal::OnTerminal;
use crate::support::{Idshift, Kind, MAP, TestFs, tree};

/// What a command line drew on a terminal of this width: each line as it was at one time, without colours.
fn drawn(idshift: &Idshift, columns: u16, args: &[&str]) -> Vec<String> {
    let run = OnTerminal::run(&idshift.command(args), columns, "");
    run.exits(0).lines()
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
    let top = fs.path().join("a-tree-with-a-long-name");
    tree::many(&top.join("in-a-long-way/to-a-tree"), 2000);
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
                .any(|line| line.contains("scanning") && line.contains(" inodes "))
        );
        is_known(
            &run(&["shift", "--from-manifest", manifest]),
            "changing owners",
        );
        is_known(&run(&["verify", "latest"]), "comparing");
        // The begin of a path says where, and its end what.
        let is_cut =
            |line: &&str| line.contains('…') && line.rsplit('…').next().unwrap().contains('/');
        assert!(
            columns > 60 || progress(&dry).iter().any(is_cut),
            "{dry:#?}"
        );
        is_known(&run(&["rollback", "latest", "--yes"]), "undoing");
    }
}
