//! The question before a command that changes much.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::terminal::OnTerminal;
use crate::support::{Idshift, Kind, MAP, Snapshot, TestFs, assert_same, data_root, tree};

const QUESTION: &str = "Continue? [y/N]";

/// A tree, shifted.
fn shifted(idshift: &Idshift, fs: &TestFs) -> (PathBuf, Snapshot) {
    let top = tree::many(&fs.path().join("tree"), 50);
    let before = Snapshot::of(&top);
    idshift.shift(&top);
    (top, before)
}

fn on_terminal(idshift: &Idshift, args: &[&str], answer: &str) -> OnTerminal {
    OnTerminal::run(&idshift.command(args), 100, answer)
}

fn journal(idshift: &Idshift) -> Vec<u8> {
    fs::read(idshift.the_journal()).unwrap()
}

#[test]
fn a_rollback_is_done_only_after_a_yes() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let (top, before) = shifted(&idshift, &fs);
    let (as_shifted, record) = (Snapshot::of(&top), journal(&idshift));
    // A no, another word, nothing, the end of the input, Ctrl-C.
    for (answer, code) in [
        ("n\n", 4),
        ("what\n", 4),
        ("\n", 4),
        ("\x04", 4),
        ("\x03", 130),
    ] {
        let run = on_terminal(&idshift, &["rollback", "latest"], answer).exits(code);
        let said = run.lines().join("\n");
        assert!(said.contains(QUESTION), "{answer:?}: {said}");
        assert!(said.contains("othing was changed"), "{answer:?}: {said}");
        assert_same(&as_shifted, &Snapshot::of(&top), answer);
        assert_eq!(journal(&idshift), record, "{answer:?}: the journal");
    }
    let run = on_terminal(&idshift, &["rollback", "latest"], "y\n").exits(0);
    let said = run.lines().join("\n");
    let inodes = before.inodes().len();
    assert!(
        said.contains(&format!("capability of {inodes} inodes")),
        "{said}"
    );
    assert_same(&before, &Snapshot::of(&top), "after a yes");
}

#[test]
fn nobody_is_asked_who_said_yes_or_cannot_answer() {
    let fs = TestFs::new(Kind::Ext4);
    for args in [
        &["rollback", "latest", "--yes"][..],
        &["rollback", "latest", "-y"],
        &["rollback", "latest", "--json"],
        &["rollback", "latest", "--dry-run"],
    ] {
        let idshift = Idshift::new();
        let _ = fs::remove_dir_all(fs.path().join("tree"));
        shifted(&idshift, &fs);
        let run = on_terminal(&idshift, args, "").exits(0);
        assert!(!run.drawn.contains(QUESTION), "{args:?}: {}", run.drawn);
    }
    // Not a terminal: as scripts have it.
    let idshift = Idshift::new();
    let _ = fs::remove_dir_all(fs.path().join("tree"));
    shifted(&idshift, &fs);
    let run = idshift.run(["rollback", "latest"]).exits(0);
    assert!(!run.stderr.contains(QUESTION), "{run}");
}

/// The options that every command of `docker` takes here.
fn docker<'a>(command: &'a str, top: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let top = top.to_str().unwrap();
    [&["docker", command, "--data-root", top][..], more].concat()
}

/// The command that undoes the run looks where its journal will be.
fn undo_is_told(idshift: &Idshift, said: &str) {
    let words: Vec<&str> = said.split_whitespace().collect();
    let undo = format!(
        "`idshift rollback --journal-dir {} latest` undoes it",
        idshift.journals().display()
    );
    assert!(words.join(" ").contains(&undo), "{said}");
}

#[test]
fn a_data_root_changes_only_after_a_yes() {
    let fs = TestFs::new(Kind::Ext4);
    let idshift = Idshift::new();
    let top = data_root::filled(&fs.path().join("docker"));
    let rebase = ["--from", MAP, "--to", "b:0:300000:65536"];
    for (command, more, says) in [
        ("migrate", &["--idmapped"][..], "by an idmapped mount"),
        ("migrate", &[][..], "to userns-remap"),
        ("revert", &[][..], "back"),
        ("migrate", &[][..], "Owners change: ids"),
        ("rebase", &rebase[..], "Owners change from"),
    ] {
        let before = Snapshot::of(&top);
        let args = docker(command, &top, more);
        for (answer, code) in [("n\n", 4), ("\x03", 130)] {
            let run = on_terminal(&idshift, &args, answer).exits(code);
            let said = run.lines().join("\n");
            assert!(
                said.contains(says) && said.contains(QUESTION),
                "{args:?}: {said}"
            );
            undo_is_told(&idshift, &said);
            assert_same(
                &before,
                &Snapshot::of(&top),
                &format!("{args:?} {answer:?}"),
            );
        }
        if more != ["--idmapped"] {
            on_terminal(&idshift, &args, "yes\n").exits(0);
        }
    }
    // Who would be refused is not asked.
    let args = docker("migrate", &top, &[]);
    let run = on_terminal(&idshift, &args, "").exits(4);
    assert!(!run.drawn.contains(QUESTION), "{}", run.drawn);
}

#[test]
fn colours_are_only_on_terminals_that_want_them() {
    let fs = TestFs::new(Kind::Tmpfs);
    let idshift = Idshift::new();
    let top = tree::many(&fs.path().join("tree"), 20);
    let top = top.to_str().unwrap();
    let colour = "\x1b[32m";
    let args = ["shift", "--dry-run", "--map", MAP, top];
    for (variable, has_colour) in [
        (None, true),
        (Some(("NO_COLOR", "1")), false),
        (Some(("CLICOLOR", "0")), false),
    ] {
        let mut command = idshift.command(args);
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(variable);
        let run = OnTerminal::run(&command, 100, "").exits(0);
        assert_eq!(
            run.drawn.contains(colour),
            has_colour,
            "{variable:?}: {}",
            run.drawn
        );
    }
    let run = idshift.run(args).exits(0);
    assert!(!run.text().contains('\x1b'), "{run}");
    // What goes to stderr is coloured for stderr: here a file, while stdout is a terminal.
    let file = fs.path().join("stderr");
    std::os::unix::fs::chown(Path::new(top).join("d0"), Some(7_000_000), None).ok();
    fs::write(Path::new(top).join("far"), "").unwrap();
    std::os::unix::fs::chown(Path::new(top).join("far"), Some(7_000_000), None).unwrap();
    let words: Vec<String> = [Idshift::program().to_str().unwrap()]
        .into_iter()
        .chain([
            "shift",
            "--map",
            MAP,
            top,
            "--journal-dir",
            idshift.journals().to_str().unwrap(),
        ])
        .map(String::from)
        .collect();
    let mut shell = std::process::Command::new("/bin/sh");
    shell
        .args(["-c", "exec \"$@\" 2>\"$0\""])
        .arg(&file)
        .args(&words);
    OnTerminal::run(&shell, 100, "").exits(1);
    let said = fs::read_to_string(&file).unwrap();
    assert!(
        said.contains("Failed and undone") && !said.contains('\x1b'),
        "{said}"
    );
}
