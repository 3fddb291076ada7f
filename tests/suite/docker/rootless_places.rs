//! Where the data of a user's rootless daemon goes: where that daemon looks, or the message says what to set there.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::volumes::Place;
use crate::support::{Idshift, Run, sh};
use serde_json::json;

pub(super) const UID: u32 = 2100;

/// A user with ranges and a home, in this test's own `/etc`.
pub(super) fn user(place: &Place) -> PathBuf {
    let home = place.beside("home/bea");
    fs::create_dir_all(home.join(".config/docker")).unwrap();
    for dir in ["home/bea", "home/bea/.config", "home/bea/.config/docker"] {
        chown(place.beside(dir), Some(UID), Some(UID)).unwrap();
    }
    for (file, line) in [
        (
            "passwd",
            format!("bea:x:{UID}:{UID}::{}:/bin/sh\n", home.display()),
        ),
        ("group", format!("bea:x:{UID}:\n")),
        ("subuid", "bea:400000:65536\n".into()),
        ("subgid", "bea:400000:65536\n".into()),
    ] {
        let path = Path::new("/etc").join(file);
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, before + &line).unwrap();
    }
    home
}

pub(super) fn to_rootless(place: &Place, idshift: &Idshift, more: &[&str]) -> Run {
    place.run(idshift, "migrate", &[&["--rootless", "bea"], more].concat())
}

#[test]
fn the_data_goes_where_the_users_daemon_looks() {
    let place = Place::new();
    let home = user(&place);
    let idshift = Idshift::new();
    let set = json!({"data-root": place.beside("bea-docker"), "storage-driver": "vfs"});
    let config = home.join(".config/docker/daemon.json");
    fs::write(&config, set.to_string()).unwrap();
    to_rootless(&place, &idshift, &["--dry-run"])
        .exits(0)
        .says(&format!(
            "would go to {}",
            place.beside("bea-docker").display()
        ))
        .says("sets the storage driver vfs, which does not show the images");
    let elsewhere = place.beside("elsewhere");
    let first = format!(
        "First set \"data-root\": {elsewhere:?} in {}",
        config.display()
    );
    to_rootless(&place, &idshift, &["--to", elsewhere.to_str().unwrap()])
        .exits(0)
        .says(&first);
    idshift.rollback();
    fs::remove_file(&config).unwrap();
    let usual = to_rootless(&place, &idshift, &[]).exits(0);
    assert!(!usual.stderr.contains("First set"), "{usual}");
    assert!(home.join(".local/share/docker/image").is_dir());
    idshift.rollback();
    // The user leads root to a file of somebody else.
    std::os::unix::fs::symlink("/etc/shadow", &config).unwrap();
    let unread = to_rootless(&place, &idshift, &["--dry-run"]).exits(0);
    assert!(unread.stderr.contains("was not read"), "{unread}");
    fs::remove_file(&config).unwrap();
    fs::write(&config, "[1]").unwrap();
    to_rootless(&place, &idshift, &["--dry-run"])
        .exits(4)
        .says("would not start with it either");
}

#[test]
fn a_place_that_the_user_cannot_reach_is_refused() {
    let place = Place::new();
    user(&place);
    let idshift = Idshift::new();
    let closed = place.beside("closed");
    fs::create_dir(&closed).unwrap();
    let mode = |bits: u32| fs::set_permissions(&closed, PermissionsExt::from_mode(bits)).unwrap();
    let there = closed.join("docker");
    let args = ["--dry-run", "--to", there.to_str().unwrap()];
    mode(0o700);
    to_rootless(&place, &idshift, &args)
        .exits(4)
        .says(&format!("`chmod o+x {}`", closed.display()));
    mode(0o701);
    to_rootless(&place, &idshift, &args).exits(0);
    mode(0o700);
    chown(&closed, Some(UID), Some(UID)).unwrap();
    to_rootless(&place, &idshift, &args).exits(0);
}

#[test]
fn no_command_shifts_a_bind_that_is_a_part_of_the_system() {
    let place = Place::new();
    user(&place);
    let data = place.data(&place.beside("data"));
    let binds = [("/etc", "/e"), ("/", "/r"), (data.to_str().unwrap(), "/d")];
    place.container("web", &binds, json!({}));
    let told = to_rootless(&place, &Idshift::new(), &["--dry-run"]).exits(0);
    let lines: Vec<&str> = told
        .stderr
        .lines()
        .filter(|line| line.contains("Bind mount"))
        .collect();
    assert_eq!(lines.len(), 3, "{told}");
    for line in lines {
        let is_data = line.contains(data.to_str().unwrap());
        assert_eq!(line.contains("idshift shift"), is_data, "{line}");
    }
}

/// `docker revert --rootless` has neither `--immutable=clear` nor `--allow-outside-links`.
#[test]
fn what_a_revert_cannot_shift_is_told_with_what_helps_there() {
    let place = Place::new();
    fs::set_permissions(&place.root, PermissionsExt::from_mode(0o710)).unwrap();
    place.data(&place.volume("v").join("_data"));
    // As a daemon that has run leaves it.
    for dir in ["image", "network/files"] {
        fs::create_dir_all(place.root.join(dir)).unwrap();
    }
    fs::write(place.root.join("volumes/metadata.db"), "").unwrap();
    for entry in fs::read_dir(&place.root).unwrap() {
        fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o710)).unwrap();
    }
    let home = user(&place);
    let idshift = Idshift::new();
    to_rootless(&place, &idshift, &[]).exits(0);
    let file = home.join(".local/share/docker/volumes/v/_data/file");
    let told = || {
        let run = place.run(&idshift, "revert", &["--rootless", "bea", "--dry-run"]);
        run.text() + &run.stderr
    };
    sh("chattr", ["+i".as_ref(), file.as_os_str()]);
    let immutable = told();
    sh("chattr", ["-i".as_ref(), file.as_os_str()]);
    let help = format!("clear the flag as root: `chattr -i {}`", file.display());
    assert!(immutable.contains(&help), "{immutable}");
    assert!(!immutable.contains("--immutable"), "{immutable}");

    fs::hard_link(&file, home.join("other")).unwrap();
    let linked = told();
    let help = format!(
        "Remove the other links: `find DIR -xdev -samefile {}`",
        file.display()
    );
    assert!(linked.contains(&help), "{linked}");
    assert!(!linked.contains("--allow-outside-links"), "{linked}");
}
