//! The map where a command line names none: of the user to whom Docker on this host remaps.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::volume::{directory, place};
use crate::support::{Idshift, Run};

fn add(file: &str, line: &str) {
    let path = Path::new("/etc").join(file);
    let text = fs::read_to_string(&path).unwrap() + line;
    fs::write(path, text).unwrap();
}

/// Ranges of `dockremap` and of `app`, and a daemon that remaps to this value.
fn host(userns_remap: &str) {
    add("passwd", "app:x:900:900::/nonexistent:/bin/false\n");
    add("group", "app:x:900:\n");
    add("subuid", "app:200000:65536\n");
    add("subgid", "app:200000:65536\n");
    daemon(userns_remap);
}

fn daemon(userns_remap: &str) {
    fs::create_dir_all("/etc/docker").unwrap();
    let text = format!(r#"{{"userns-remap": "{userns_remap}"}}"#);
    fs::write("/etc/docker/daemon.json", text).unwrap();
}

fn uid(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

fn run(idshift: &Idshift, words: &str, path: &Path) -> Run {
    let mut words: Vec<&str> = words.split(' ').collect();
    words.push(path.to_str().unwrap());
    match words[0] {
        "check" => Run::of(Command::new(Idshift::program()).args(words)),
        _ => Run::of(&mut idshift.command(words)),
    }
}

/// A directory of this user of the host.
fn of(place: &Path, name: &str, uid: u32) -> PathBuf {
    directory(&place.join(name), (uid, uid), 0o755)
}

#[test]
fn every_command_takes_the_user_of_the_daemon() {
    let place = place();
    let idshift = Idshift::new();
    for (n, value) in ["app", "app:app", "900"].into_iter().enumerate() {
        match n {
            0 => host(value),
            _ => daemon(value),
        }
        let map = Run::of(Command::new(Idshift::program()).arg("map")).exits(0);
        assert!(map.text().contains("b:0:200000:65536"), "{value}: {map}");
        let dir = of(place.path(), &format!("prepared-{n}"), 0);
        run(&idshift, "prepare --owner 33:33", &dir).exits(0);
        assert_eq!(uid(&dir), 200_033, "{value}");
        run(&idshift, "check --as 33:33", &dir).exits(0);
        let dir = of(place.path(), &format!("shifted-{n}"), 7);
        run(&idshift, "shift", &dir).exits(0);
        assert_eq!(uid(&dir), 200_007, "{value}");
        // What a check advises names the same user.
        let dir = of(place.path(), &format!("checked-{n}"), 0);
        let checked = run(&idshift, "check --as 33:33", &dir).exits(3);
        assert!(
            checked.text().contains("idshift prepare --subid app"),
            "{checked}"
        );
        let view = of(place.path(), &format!("view-{n}"), 0);
        let mount = [
            "mount",
            "--dry-run",
            dir.to_str().unwrap(),
            view.to_str().unwrap(),
        ];
        let mount = idshift.run(mount).exits(0);
        let told = mount.text() + &mount.stderr;
        assert!(told.contains("200000"), "{mount}");
        assert!(!told.contains("100000"), "{mount}");
    }
}

#[test]
fn without_such_a_daemon_it_is_dockremap() {
    let place = place();
    let idshift = Idshift::new();
    host("");
    for value in ["", "default", "dockremap"] {
        daemon(value);
        let dir = of(place.path(), &format!("of-{value}"), 0);
        run(&idshift, "prepare --owner 33:33", &dir).exits(0);
        assert_eq!(uid(&dir), 100_033, "{value:?}");
        run(&idshift, "check --as 33:33", &dir).exits(0);
        run(&idshift, "prepare --reverse", &dir).exits(0);
        assert_eq!(uid(&dir), 33, "{value:?}");
    }
}

/// Which range files are in, the daemon does not say: they may be older than its settings.
#[test]
fn back_from_one_of_two_ranges_needs_its_name() {
    let place = place();
    let idshift = Idshift::new();
    host("app");
    let dir = of(place.path(), "dir", 100_033);
    for command in ["prepare --reverse", "shift --reverse"] {
        let refused = run(&idshift, command, &dir).exits(4);
        for words in ["--subid app", "--subid dockremap"] {
            assert!(refused.stderr.contains(words), "{words}: {refused}");
        }
        for (user, first) in [("dockremap", 100_000), ("app", 200_000)] {
            chown(&dir, Some(first + 33), Some(first + 33)).unwrap();
            run(&idshift, &format!("{command} --subid {user}"), &dir).exits(0);
            assert_eq!(uid(&dir), 33, "{command} {user}");
        }
    }
    // With one range there is no doubt.
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "app:200000:65536\n").unwrap();
    }
    chown(&dir, Some(200_033), Some(200_033)).unwrap();
    run(&idshift, "prepare --reverse", &dir).exits(0);
    assert_eq!(uid(&dir), 33);
}

/// `--userns-remap` is an option of `check` alone.
#[test]
fn what_a_check_for_another_daemon_advises_names_its_user() {
    let place = place();
    let idshift = Idshift::new();
    host("app");
    let dir = of(place.path(), "dir", 0);
    let check = "check --as 33:33 --userns-remap default";
    let checked = run(&idshift, check, &dir).exits(3);
    let advice = "idshift prepare --subid dockremap";
    assert!(checked.text().contains(advice), "{checked}");
}

/// A host for LXC or Podman has no use for the settings of a Docker that was there once.
#[test]
fn settings_that_do_not_tell_name_options_that_exist() {
    let place = place();
    let idshift = Idshift::new();
    host("gone");
    let refused_everywhere = |words: &[&str]| {
        for command in ["shift", "prepare", "shift --reverse", "map"] {
            let dir = of(place.path(), "dir", 0);
            let refused = match command {
                "map" => Run::of(Command::new(Idshift::program()).arg("map")),
                _ => run(&idshift, command, &dir),
            };
            let refused = refused.exits(4);
            let told = refused.stderr.split_whitespace();
            let told = told.collect::<Vec<_>>().join(" ");
            for words in [words, &["--subid USER, or --map b:0:HOST:SIZE"]].concat() {
                assert!(told.contains(words), "{command} {words}: {refused}");
            }
            assert!(!told.contains("--userns-remap"), "{command}: {refused}");
            assert_eq!(uid(&dir), 0, "{command}");
        }
    };
    refused_everywhere(&["\"gone\"", "no user gone in /etc/passwd"]);
    daemon("app:gone");
    refused_everywhere(&["\"app:gone\"", "no group gone in /etc/group"]);
    fs::write("/etc/docker/daemon.json", "{").unwrap();
    refused_everywhere(&["/etc/docker/daemon.json", "dockerd would not start with it"]);
    // What is proposed helps.
    for (more, first) in [("--subid app", 200_000), ("--map b:0:300000:1000", 300_000)] {
        let dir = of(place.path(), &format!("of-{first}"), 0);
        run(&idshift, &format!("shift {more}"), &dir).exits(0);
        assert_eq!(uid(&dir), first);
    }
}
