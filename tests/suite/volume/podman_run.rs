//! `check` and `prepare` of `podman run` command lines: their ids are those of the user whose Podman it is.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::support::Run;
use crate::support::compose::{By, Project};
use crate::support::docker::same;
use crate::support::volume::{directory, snapshot};
use crate::support::{output, sh};

/// A project on a host with a user `ann`, who has the host ids 200000 to 265535.
fn project() -> Project {
    let project = Project::new();
    for (file, line) in [
        ("passwd", "ann:x:1000:1000::/home/ann:/bin/sh\n"),
        ("group", "ann:x:1000:\n"),
        ("subuid", "ann:200000:65536\n"),
        ("subgid", "ann:200000:65536\n"),
    ] {
        let path = Path::new("/etc").join(file);
        let text = fs::read_to_string(&path).unwrap() + line;
        fs::write(path, text).unwrap();
    }
    project
}

fn run(project: &Project, args: &[&str]) -> Run {
    Run::of(&mut project.command(By::Idshift, args))
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}

#[test]
fn roots_podman_has_the_ids_of_the_host() {
    let project = project();
    let app = directory(&project.at("app"), (33, 33), 0o700);
    let before = snapshot(&app);
    for program in ["podman", "sudo podman", "/usr/bin/podman container"] {
        let line = format!("{program} run -v ./app:/app -u 33:33 img");
        for command in ["check", "prepare"] {
            let refused = run(&project, &[command, "--run", &line]).exits(4);
            for words in ["ids of the host", "--subid USER", "--map"] {
                assert!(refused.stderr.contains(words), "{words}: {refused}");
            }
            let root = [command, "--subid", "root", "--run", &line];
            let refused = run(&project, &root).exits(4);
            assert!(!refused.stderr.contains("--subid USER"), "{refused}");
        }
    }
    same(&before, &snapshot(&app), "after refusals");
    // A map that is named is believed.
    let line = "podman run -v ./app:/app -u 33:33 img";
    let map = ["--map", "b:0:300000:1000"];
    run(&project, &[&["prepare", "--run", line][..], &map].concat()).exits(0);
    assert_eq!(owner(&app), (300_033, 300_033));
}

#[test]
fn container_root_of_rootless_podman_is_the_user() {
    let project = project();
    let (app, own) = (project.at("app"), project.at("own"));
    directory(&app, (0, 0), 0o700);
    directory(&own, (0, 0), 0o700);
    let line = |dir: &str, user: &str| format!("podman run -v {dir}:/app -u {user} img");
    let ann = ["--subid", "ann"];
    let checked = run(
        &project,
        &[&["check", "--run", &line("./app", "33:33")][..], &ann].concat(),
    )
    .exits(3);
    // What is advised names the same ids.
    let advice = "idshift prepare --map b:0:1000:1 --map b:1:200000:65536 --run";
    let told = checked.text();
    let advised = told.lines().find(|line| line.contains(advice)).unwrap();
    let advised = shell_words::split(advised).unwrap();
    let advised: Vec<&str> = advised.iter().skip(1).map(String::as_str).collect();
    // The user's own id is on both sides of such a map, but nothing depends on what is there.
    for _ in ["once", "again"] {
        run(&project, &advised).exits(0);
        run(
            &project,
            &[&["check", "--run", &line("./app", "33:33")][..], &ann].concat(),
        )
        .exits(0);
        assert_eq!(owner(&app), (200_032, 200_032));
    }
    let line = line("./own", "0:0");
    run(&project, &[&["prepare", "--run", &line][..], &ann].concat()).exits(0);
    run(&project, &[&["check", "--run", &line][..], &ann].concat()).exits(0);
    assert_eq!(owner(&own), (1000, 1000));
    // An owner that goes through the map is refused as before.
    let map = ["--map", "b:0:1000:1", "--map", "b:1:200000:65536"];
    let own = own.to_str().unwrap();
    let refused = run(&project, &[&["prepare", own][..], &map].concat()).exits(4);
    assert!(refused.stderr.contains("--assume-unshifted"), "{refused}");
}

/// In an ACL, 1000 is the user, who is root in the container, or the container's 1000.
#[test]
fn an_acl_entry_on_both_sides_of_the_map_is_not_guessed() {
    let project = project();
    let app = directory(&project.at("app"), (0, 0), 0o700);
    let path = app.to_str().unwrap();
    sh("setfacl", ["-m", "u:1000:r-x", path]);
    let before = snapshot(&app);
    let line = "podman run -v ./app:/app -u 33:33 img";
    let prepare = ["prepare", "--subid", "ann", "--run", line];
    for more in [&[][..], &["--dry-run"]] {
        let refused = run(&project, &[&prepare[..], more].concat());
        assert!(matches!(refused.code, Some(1 | 3)), "{refused}");
        let told = refused.text() + &refused.stderr;
        for words in ["ACL user 1000", "--assume-unshifted"] {
            assert!(told.contains(words), "{words}: {refused}");
        }
        same(&before, &snapshot(&app), "after a refusal");
    }
    run(&project, &[&prepare[..], &["--assume-unshifted"]].concat()).exits(0);
    assert_eq!(owner(&app), (200_032, 200_032));
    let acl = String::from_utf8(output("getfacl", ["-n", path]).stdout).unwrap();
    assert!(acl.contains("user:200999:r-x"), "{acl}");
}

/// `sudo` and `--subid` name two different ones; by default a user's Podman has the user namespace of its user.
#[test]
fn whose_podman_it_is_the_command_line_says() {
    let project = project();
    let app = directory(&project.at("app"), (33, 33), 0o700);
    let before = snapshot(&app);
    for command in ["check", "prepare"] {
        let line = "sudo podman run -v ./app:/app -u 33:33 img";
        let refused = run(&project, &[command, "--subid", "ann", "--run", line]).exits(4);
        assert!(refused.stderr.contains("leave out `sudo`"), "{refused}");
        let line = "podman run --userns=host -v ./app:/app -u 33:33 img";
        let map = ["--map", "b:0:300000:1000"];
        let refused = run(&project, &[&[command, "--run", line][..], &map].concat()).exits(4);
        assert!(
            refused.stderr.contains("Podman does not remap"),
            "{refused}"
        );
    }
    same(&before, &snapshot(&app), "after refusals");
    let line = "podman run --userns=host -v ./app:/app -u 33:33 img";
    run(&project, &["prepare", "--subid", "ann", "--run", line]).exits(0);
    assert_eq!(owner(&app), (200_032, 200_032));
}

/// What Docker knows says nothing about Podman's volumes and images; and Podman makes no missing source.
#[test]
fn volumes_and_images_of_docker_are_not_those_of_podman() {
    let project = project();
    let files = directory(&project.at("files"), (0, 0), 0o700);
    let options = format!(
        r#"{{"MountType":"none","MountOpts":"bind","MountDevice":"{}"}}"#,
        files.display()
    );
    project.write("docker/volumes/data/opts.json", &options);
    let root = project.at("docker").display().to_string();
    let told = |command: &str, line: &str| {
        let args = [
            command,
            "--subid",
            "ann",
            "--data-root",
            &root,
            "--run",
            line,
        ];
        run(&project, &args)
    };
    let line = "podman run -v data:/d -u 1:1 img";
    let checked = told("check", line).exits(0);
    assert!(checked.text().contains("volume data"), "{checked}");
    told("prepare", line).exits(4);
    assert_eq!(owner(&files), (0, 0));
    for user in ["", "-u 33", "-u www-data"] {
        let line = format!("podman run -v ./files:/f {user} img");
        let refused = told("prepare", &line).exits(4);
        assert!(refused.stderr.contains("-u UID:GID"), "{refused}");
    }
    let missing = "podman run -v ./missing:/f -u 1:1 img";
    let refused = told("prepare", missing).exits(4);
    let help = format!(
        "create it first, `mkdir -p {}`",
        project.at("missing").display()
    );
    assert!(refused.stderr.contains(&help), "{refused}");
}
