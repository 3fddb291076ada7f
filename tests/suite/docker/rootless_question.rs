//! The question before a data-root becomes a user's, and the plain daemon's again.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::rootless_places::user;
use super::volumes::Place;
use crate::support::terminal::OnTerminal;
use crate::support::{Idshift, Snapshot, assert_same};

/// All of it. Reading changes access times.
fn unread(place: &Place) -> Snapshot {
    Snapshot::of(&place.beside("")).edited(|lines| {
        for line in lines.values_mut() {
            line.as_object_mut().unwrap().remove("atime_ns");
        }
    })
}

#[test]
fn a_data_root_becomes_a_users_only_after_a_yes() {
    let place = Place::new();
    user(&place);
    // As in the data-root of a daemon that has run.
    fs::write(place.root.join("volumes/metadata.db"), "").unwrap();
    for dir in ["", "containers", "image", "network", "overlay2", "volumes"] {
        let path = place.root.join(dir);
        fs::set_permissions(path, fs::Permissions::from_mode(0o710)).unwrap();
    }
    let idshift = Idshift::new();
    let data_root = place.root.to_str().unwrap().to_string();
    let run = |command: &[&str], answer: &str| {
        let more = ["--data-root", &data_root, "--daemon-json", "/nonexistent"];
        let args = [&["docker"], command, &more].concat();
        OnTerminal::run(&idshift.command(args), 100, answer)
    };
    let asked = |command: &[&str]| {
        let before = unread(&place);
        for (answer, code) in [("n\n", 4), ("\x03", 130)] {
            let said = run(command, answer).exits(code).lines().join("\n");
            assert!(said.contains("Continue? [y/N]"), "{command:?}: {said}");
            assert!(said.contains("othing was changed"), "{command:?}: {said}");
            let words: Vec<&str> = said.split_whitespace().collect();
            let undo = format!(
                "rollback --journal-dir {} latest",
                idshift.journals().display()
            );
            assert!(words.join(" ").contains(&undo), "{command:?}: {said}");
            assert_same(&before, &unread(&place), &format!("{command:?} {answer:?}"));
        }
    };
    asked(&["migrate", "--rootless", "bea", "--copy"]);
    asked(&["migrate", "--rootless", "bea"]);
    let moved = run(&["migrate", "--rootless", "bea", "--yes"], "").exits(0);
    assert!(!moved.drawn.contains("Continue?"), "{}", moved.drawn);
    asked(&["revert", "--rootless", "bea"]);
    run(&["revert", "--rootless", "bea"], "y\n").exits(0);
    assert!(place.root.join("image").is_dir());
}
