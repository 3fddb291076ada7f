//! What a shell is told when it completes a command line, and the manual pages.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::isolation::{cover, isolate};
use crate::support::{Run, data_root, need_root, script, tree};

/// What Bash has to choose from for the last word of a line.
fn bash_completes(line: &[&str]) -> Vec<String> {
    bash_completes_in(Path::new("/"), line)
}

/// The same, in a directory.
fn bash_completes_in(dir: &Path, line: &[&str]) -> Vec<String> {
    let script = r#"
        source <("$IDSHIFT" completions bash)
        idshift() { "$IDSHIFT" "$@"; }
        PATH=$(dirname "$IDSHIFT"):$PATH
        COMP_WORDS=(idshift "$@")
        COMP_CWORD=$#
        COMP_TYPE=9
        _clap_complete_idshift idshift "${!#}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).args(line);
    bash.env("IDSHIFT", env!("CARGO_BIN_EXE_idshift"))
        .current_dir(dir);
    let run = Run::of(&mut bash).exits(0);
    run.text().lines().map(String::from).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    assert_eq!(bash_completes(&["docker", "mig"]), ["migrate"]);
    assert_eq!(bash_completes(&["shift", "--dry"]), ["--dry-run"]);
    let all = bash_completes(&[""]);
    assert!(all.contains(&"rollback".to_string()), "{all:?}");
    for hidden in ["probe", "man"] {
        assert!(!all.contains(&hidden.to_string()), "{all:?}");
    }
}

#[test]
fn bash_completes_what_the_host_has() {
    need_root();
    isolate();
    // The default place of journals.
    cover("/var/lib");
    let place = tempfile::tempdir().unwrap();
    let top = data_root::filled(&place.path().join("docker"));
    fs::create_dir_all("/etc/docker").unwrap();
    let settings = format!("{{\"data-root\": \"{}\"}}", top.display());
    fs::write("/etc/docker/daemon.json", settings).unwrap();
    let tree = tree::specimens(&place.path().join("tree"));
    let shift = ["shift", "--subid", "dockremap", tree.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_idshift"));
    Run::of(command.args(shift)).exits(0);

    let journals = bash_completes(&["rollback", ""]);
    assert_eq!(journals[0], "latest");
    assert!(journals[1].starts_with("0001-"), "{journals:?}");
    assert_eq!(bash_completes(&["journal", "show", "00"]), journals[1..2]);
    assert_eq!(bash_completes(&["shift", "--subid", "dock"]), ["dockremap"]);
    let remap = ["docker", "audit", "--userns-remap", "d"];
    assert_eq!(bash_completes(&remap), ["default", "dockremap"]);
    for command in ["check", "prepare"] {
        let line = [command, "/srv", "--container", "we"];
        assert_eq!(bash_completes(&line), ["web"], "{command}");
    }
    let volume = format!("{}/volumes/linked/_data", top.display());
    let typed = format!("{}/volumes/li", top.display());
    let found = bash_completes(&["check", &typed]);
    assert!(found.contains(&volume), "{found:?}");
    for option in [
        ["podman", "migrate", "--to-user"],
        ["podman", "revert", "--from-user"],
        ["docker", "migrate", "--rootless"],
    ] {
        let line = [&option[..], &["dock"]].concat();
        assert_eq!(bash_completes(&line), ["dockremap"], "{option:?}");
    }
    assert_eq!(bash_completes(&["verify", "00"]), journals[1..2]);
    let units = "/etc/systemd/system";
    fs::create_dir_all(units).unwrap();
    let unit = format!("{units}/idshift-mount-srv-app.service");
    fs::write(unit, "# Made by `idshift mount --persist`\n").unwrap();
    assert_eq!(bash_completes(&["umount", ""])[0], "/srv/app");
}

/// Bash inserts a candidate as it is. A name of somebody else's would be run, or be an option.
#[test]
fn files_that_bash_would_run_are_no_candidates() {
    let place = tempfile::tempdir().unwrap();
    for name in [
        "plain",
        "größe",
        "a b",
        "x;touch y",
        "$(touch y)",
        "`id`",
        "--force",
        "{a,b}",
        "*",
    ] {
        fs::write(place.path().join(name), "").unwrap();
    }
    for line in [
        &["shift", ""][..],
        &["check", ""],
        &["verify", ""],
        &["shift", "--map-from", ""],
        &["report", "latest", "--output", ""],
    ] {
        let mut found = bash_completes_in(place.path(), line);
        // Options of the command, which are none of a file.
        found.retain(|name| !name.starts_with("--") || name == "--force");
        found.retain(|name| !["", ".", "latest", "-h"].contains(&name.as_str()));
        found.retain(|name| !name.starts_with('/') && !name.starts_with("0"));
        assert_eq!(found, ["größe", "plain"], "{line:?}");
    }
}

/// A real one, with readline: what is no candidate, Bash completes itself, with the quotes that it needs.
#[test]
fn bash_completes_names_with_spaces_itself() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("My Data")).unwrap();
    fs::write(place.path().join("My Data/$(id)"), "").unwrap();
    let typed = |words: &[&str]| {
        let mut python = Command::new("python3");
        python.arg(script("bash_types.py"));
        python.arg(env!("CARGO_BIN_EXE_idshift")).arg(place.path());
        let run = Run::of(python.args(words)).exits(0);
        run.text().lines().last().unwrap_or_default().to_string()
    };
    assert_eq!(typed(&["idshift", "shift", "My"]), "My Data/");
    assert_eq!(typed(&["idshift", "shift", r"My\ Data/"]), "My Data/$(id)");
    assert_eq!(typed(&["idshift", "docker", "mig"]), "migrate");
}

/// A shell that is not known gets an error, and no candidates.
#[test]
fn an_unknown_shell_is_named() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_idshift"));
    let run = Run::of(
        command
            .args(["--", "idshift", ""])
            .env("IDSHIFT_COMPLETE", "tcsh"),
    );
    assert_eq!(run.code, Some(2), "{run}");
    assert!(run.stderr.contains("tcsh"), "{run}");
}

/// groff reads them without a complaint, and each command that help lists has one.
#[test]
fn each_command_has_a_manual_page() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("man");
    let mut man = Command::new(env!("CARGO_BIN_EXE_idshift"));
    Run::of(man.arg("man").arg(&dir)).exits(0);
    let mut pages: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for command in [
        "idshift",
        "idshift-shift",
        "idshift-docker-migrate",
        "idshift-journal-prune",
    ] {
        assert!(
            pages.contains(&format!("{command}.8")),
            "{command}: {pages:?}"
        );
    }
    assert!(
        !pages.iter().any(|page| page.contains("probe")),
        "{pages:?}"
    );
    for page in &pages {
        let mut groff = Command::new("groff");
        let groff = groff.args(["-man", "-Tutf8", "-ww", "-z"]);
        let run = Run::of(groff.arg(dir.join(page))).exits(0);
        assert_eq!(run.stderr, "", "{page}");
        let text = fs::read_to_string(dir.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    let migrate = fs::read_to_string(dir.join("idshift-docker-migrate.8")).unwrap();
    assert!(migrate.contains(".SH EXAMPLES"), "{migrate}");
}

/// A shell inserts a candidate as it is.
#[test]
fn names_that_a_shell_would_run_are_no_candidates() {
    let place = tempfile::tempdir().unwrap();
    let services =
        "services:\n  'x;touch a;': {image: n}\n  '$(touch b)': {image: n}\n  web.1: {image: n}\n";
    fs::write(place.path().join("compose.yaml"), services).unwrap();
    let mut complete = Command::new(env!("CARGO_BIN_EXE_idshift"));
    complete.current_dir(&place);
    complete
        .env("IDSHIFT_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", "3");
    let line = ["--", "idshift", "prepare", "--service", ""];
    let run = Run::of(complete.args(line)).exits(0);
    assert_eq!(run.text().trim(), "web.1", "{run}");
}
