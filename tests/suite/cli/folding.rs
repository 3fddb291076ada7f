//! Long lines of a summary: on a terminal they fit it, and a path is never cut.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use crate::support::terminal::OnTerminal;
use crate::support::{Idshift, Kind, MAP, TestFs};

const COLUMNS: u16 = 80;

/// Files that cannot be shifted: of the name that fills half a line, and that is longer than one.
fn files(tree: &Path) -> [PathBuf; 2] {
    let far = tree.join("a name with spaces").join("long-".repeat(20));
    fs::create_dir_all(&far).unwrap();
    let files = [tree.join("a name with some spaces"), far.join("file")];
    for file in &files {
        fs::write(file, "").unwrap();
        chown(file, Some(70_000), Some(0)).unwrap();
    }
    files
}

#[test]
fn problems_fit_the_terminal_and_paths_are_whole() {
    let fs = TestFs::new(Kind::Tmpfs);
    let idshift = Idshift::new();
    let tree = fs.path().join("tree");
    let [near, far] = files(&tree).map(|path| format!("  {}:", path.display()));
    let tree = tree.to_str().unwrap();
    for (args, code, title) in [
        (
            &["shift", "--dry-run", "--map", MAP, tree][..],
            3,
            "What cannot be shifted:",
        ),
        // To stderr: what was met first.
        (&["shift", "--map", MAP, tree], 1, "Why it failed:"),
        (
            &["shift", "--keep-going", "--map", MAP, tree],
            3,
            "Left as they were:",
        ),
    ] {
        let lines = OnTerminal::run(&idshift.command(args), COLUMNS, "").exits(code);
        let lines = lines.lines();
        let below = lines.iter().skip_while(|line| *line != title);
        let is_problem = |line: &&String| !line.starts_with("  Journal:");
        let lines: Vec<&String> = below.take_while(is_problem).collect();
        // What is longer than a line is alone on its line.
        let is_wide = |line: &&&String| console::measure_text_width(line) > COLUMNS.into();
        let wide: Vec<&&String> = lines.iter().filter(is_wide).collect();
        let near_and_far = [&near, &far].map(|path| {
            let starts = |line: &&&String| line.starts_with(path);
            lines.iter().filter(starts).count()
        });
        let all = if code == 1 { 1 } else { 2 };
        assert_eq!(near_and_far.iter().sum::<usize>(), all, "{lines:#?}");
        assert_eq!(wide, vec![&&far; near_and_far[1]], "{lines:#?}");
        // The reasons, deeper than the paths are.
        let more = lines.iter().filter(|line| line.starts_with("    "));
        assert_eq!(more.count(), all, "{lines:#?}");
    }
    // What reads it from a pipe gets one line for each.
    let run = idshift
        .run(["shift", "--dry-run", "--map", MAP, tree])
        .exits(3);
    for path in [near, far] {
        let said = run.text().lines().any(|line| {
            let reason = line.strip_prefix(&path);
            reason.is_some_and(|reason| reason.ends_with("outside the map"))
        });
        assert!(said, "{run}");
    }
}
