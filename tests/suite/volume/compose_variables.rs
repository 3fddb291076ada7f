//! Variables of Compose files: those that `sudo` replaces, and those that are not set.

use std::fs;
use std::path::Path;

use crate::support::Run;
use crate::support::compose::{By, Project};
use crate::support::volume::directory;

fn service(volume: &str) -> String {
    format!("services: {{web: {{image: w, user: '1:1', volumes: ['{volume}']}}}}\n")
}

/// As `sudo` starts it for leo, who has the uid 1000.
fn by_sudo(project: &Project, by: By, args: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = project.command(by, args);
    command.args(["--map", "b:0:100000:65536"]);
    command.envs([("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")]);
    command.envs([("SUDO_UID", "1000"), ("SUDO_USER", "leo")]);
    Run::of(command.envs(variables.iter().copied()))
}

#[test]
fn the_home_of_root_is_not_that_of_who_called_sudo() {
    let project = Project::new();
    let home = directory(&project.at("home/leo"), (1000, 1000), 0o755);
    let line = format!("leo:x:1000:1000::{}:/bin/sh\n", home.display());
    let text = fs::read_to_string("/etc/passwd").unwrap() + &line;
    fs::write("/etc/passwd", text).unwrap();
    let home = home.to_str().unwrap();
    let check = ["check", "--json", "--compose", "compose.yaml"];
    let sources = |run: &Run| run.json()["services"][0]["binds"][0]["source"].clone();
    for (volume, variable, theirs, of_leo, of_root) in [
        (
            "~/data:/d",
            "HOME",
            home,
            format!("{home}/data"),
            "/root/data",
        ),
        (
            "${HOME}/data:/d",
            "HOME",
            home,
            format!("{home}/data"),
            "/root/data",
        ),
        (
            "${HOME:-/x}/data:/d",
            "HOME",
            home,
            format!("{home}/data"),
            "/root/data",
        ),
        (
            "/srv/$USER/data:/d",
            "USER",
            "leo",
            "/srv/leo/data".into(),
            "/srv/root/data",
        ),
        (
            "/srv/${LOGNAME}:/d",
            "LOGNAME",
            "leo",
            "/srv/leo".into(),
            "/srv/root",
        ),
    ] {
        project.write("compose.yaml", &service(volume));
        for by in [By::Docker, By::Idshift] {
            for command in [
                &check[..],
                &["prepare", "--create", "--compose", "compose.yaml"],
            ] {
                let refused = by_sudo(&project, by, command, &[]).exits(4);
                let told = refused.text() + &refused.stderr;
                for words in [
                    format!("`sudo env {variable}={theirs} idshift …`"),
                    "`sudo env -u SUDO_UID idshift …`".into(),
                ] {
                    assert!(told.contains(&words), "{by:?} {volume} {words}: {refused}");
                }
            }
            let given = by_sudo(&project, by, &check, &[(variable, theirs)]);
            assert_eq!(sources(&given), of_leo.as_str(), "{by:?} {volume}: {given}");
            let meant = by_sudo(&project, by, &check, &[("SUDO_UID", "0")]);
            assert_eq!(sources(&meant), of_root, "{by:?} {volume}: {meant}");
        }
    }
    assert!(!Path::new("/root/data").exists());
    // Elsewhere in the file it does not matter.
    let text =
        "services: {web: {image: w, user: '1:1', environment: {H: $HOME}, volumes: ['./d:/d']}}";
    project.write("compose.yaml", text);
    for by in [By::Docker, By::Idshift] {
        by_sudo(&project, by, &check, &[]).exits(3);
    }
}

#[test]
fn a_variable_that_is_no_part_of_a_bind_needs_no_value() {
    let project = Project::new();
    directory(&project.at("d"), (100_001, 100_001), 0o755);
    let text = |ports: &str, volume: &str| {
        format!(
            "services:\n  web:\n    image: w\n    user: '1:1'\n    ports: ['{ports}']\n    volumes: ['{volume}']\n"
        )
    };
    let check = ["check", "--compose", "compose.yaml"];
    for ports in ["${BIND_IP}:8080:80", "${PORT}:80", "${BIND_IP}:${PORT}:80"] {
        project.write("compose.yaml", &text(ports, "./d:/d"));
        // Docker Compose takes it.
        project.real(&["--compose", "compose.yaml"]);
        for by in [By::Docker, By::Idshift] {
            project.run(by, &check).exits(0);
        }
        for volume in ["./d${NOT_SET}:/d", "${PORT}/d:/d"] {
            project.write("compose.yaml", &text(ports, volume));
            for by in [By::Docker, By::Idshift] {
                let refused = project.run(by, &check).exits(4);
                assert!(
                    refused.stderr.contains("is not set"),
                    "{by:?} {volume}: {refused}"
                );
            }
        }
    }
}

/// A network, a namespace or a device decides at most whether the service starts.
#[test]
fn a_variable_of_a_network_or_a_device_needs_no_value() {
    let project = Project::new();
    directory(&project.at("d"), (100_001, 100_001), 0o755);
    let check = ["check", "--compose", "compose.yaml"];
    for more in [
        "network_mode: '${NET}'",
        "pid: '${PID_MODE}'",
        "devices: ['/dev/null:/dev/null:${ACCESS}r']",
        "network_mode: '$USER'",
    ] {
        let service =
            format!("services: {{web: {{image: w, user: '1:1', volumes: ['./d:/d'], {more}}}}}");
        project.write("compose.yaml", &service);
        for by in [By::Docker, By::Idshift] {
            by_sudo(&project, by, &check, &[]).exits(0);
        }
    }
    // What is refused where it is set, is refused.
    let text =
        "services: {web: {image: w, user: '1:1', volumes: ['./d:/d'], network_mode: '${NET}'}}";
    project.write("compose.yaml", text);
    for by in [By::Docker, By::Idshift] {
        by_sudo(&project, by, &check, &[("NET", "host")]).exits(4);
    }
}
