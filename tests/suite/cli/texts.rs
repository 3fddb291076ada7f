//! What people read: help, summaries and errors, word for word.

use crate::support;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn idshift(args: &[&str]) -> Output {
    run(support::Idshift::program(), args)
}

fn run(program: &Path, args: &[&str]) -> Output {
    Command::new(program)
        .args(args)
        .env("COLUMNS", "100")
        .output()
        .unwrap()
}

/// Both streams, with what differs from run to run taken out.
fn text(output: &Output, place: &str) -> String {
    let text = format!(
        "exit code {}\n--- stdout\n{}--- stderr\n{}",
        output.status.code().unwrap(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let program = support::Idshift::program().to_string_lossy();
    let text = text.replace(place, "PLACE").replace(&*program, "PROGRAM");
    let text = text.replace(&runc(), "VERSION");
    let mut redacted = String::new();
    for line in text.lines() {
        let line = line.split_inclusive(' ').map(redact).collect::<String>();
        redacted.push_str(line.trim_end());
        redacted.push('\n');
    }
    redacted
}

/// The version of the runtime that is installed here.
fn runc() -> String {
    let output = Command::new("runc").arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(2).unwrap().to_string()
}

/// Times, rates, sizes and the time in a journal's id.
fn redact(word: &str) -> String {
    let bare = word.trim_end();
    let space = &word[bare.len()..];
    // Counts in these trees are small: what has three digits is a size.
    let is_measured = |text: &str| {
        let digits = text.chars().filter(char::is_ascii_digit).count();
        (text.contains('.') || digits > 2) && digits + text.matches('.').count() == text.len()
    };
    let is_like = |pattern: &str| {
        let kind = |c: char| if c.is_ascii_digit() { '0' } else { c };
        bare.chars().map(kind).eq(pattern.chars())
    };
    let shown = if is_like("0000-00-00") {
        "DATE".to_string()
    } else if is_like("00:00:00") {
        "CLOCK".to_string()
    } else if bare.starts_with('(') && bare.contains("/s)") {
        "(RATE).".to_string()
    } else if is_measured(bare) {
        "N".to_string()
    } else if bare.strip_prefix('(').is_some_and(is_measured) {
        "(N".to_string()
    } else if let Some((before, after)) = bare.split_once("-20") {
        match after.split_once('Z') {
            Some((_, rest)) => format!("{before}-TIME{rest}"),
            None => bare.to_string(),
        }
    } else {
        bare.to_string()
    };
    shown + space
}

#[test]
fn help_is_as_reviewed() {
    for command in [
        &["--help"][..],
        &["shift", "--help"],
        &["rollback", "--help"],
        &["resume", "--help"],
        &["verify", "--help"],
        &["journal", "--help"],
        &["journal", "list", "--help"],
        &["journal", "show", "--help"],
        &["journal", "check", "--help"],
        &["journal", "prune", "--help"],
        &["prepare", "--help"],
        &["mount", "--help"],
        &["umount", "--help"],
        &["mounts", "--help"],
        &["check", "--help"],
        &["map", "--help"],
        &["doctor", "--help"],
        &["docker", "--help"],
        &["docker", "audit", "--help"],
        &["docker", "migrate", "--help"],
        &["docker", "mount", "--help"],
        &["docker", "revert", "--help"],
        &["docker", "rebase", "--help"],
        &["podman", "--help"],
        &["podman", "audit", "--help"],
        &["podman", "migrate", "--help"],
        &["podman", "revert", "--help"],
        &["manifest", "--help"],
        &["manifest", "diff", "--help"],
        &["report", "--help"],
        &["completions", "--help"],
    ] {
        let name = format!("help {}", command[..command.len() - 1].join(" "));
        insta::assert_snapshot!(name.trim(), text(&idshift(command), "PLACE"));
    }
}

#[test]
fn what_check_and_prepare_say_is_as_reviewed() {
    support::need_root();
    let place = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    fs::set_permissions(place.path(), open).unwrap();
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let (closed, data) = (path("closed"), path("closed/data"));
    fs::create_dir_all(&data).unwrap();
    fs::write(path("closed/data/file"), "x").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&closed, private).unwrap();
    let journals = format!("--journal-dir={}", path("journals"));
    let map = "--map=b:0:100000:1000";
    let show = |name: &str, args: &[&str]| {
        let run = idshift(args);
        insta::assert_snapshot!(name, text(&run, &place.path().to_string_lossy()));
    };
    show("check no", &["check", &data, "--as=999:999", map]);
    show(
        "prepare",
        &["prepare", &data, "--owner=999:999", map, &journals],
    );
    show(
        "check yes",
        &["check", &data, "--as=999:999", map, "--recursive"],
    );
    show(
        "check stranger",
        &[
            "check",
            &data,
            "--as=7:7",
            map,
            "--recursive",
            "--old-runtime",
        ],
    );
    let more = path("closed/more");
    let options = ["--create", "--fix-parents", map, &journals];
    show(
        "prepare more",
        &[&["prepare", &more], &options[..]].concat(),
    );
    show("rollback more", &["rollback", "latest", &journals]);
    show("prepare missing", &["prepare", &more, map, &journals]);
}

#[test]
fn what_mount_says_is_as_reviewed() {
    let fs = support::TestFs::new(support::Kind::Ext4);
    let place = fs.path();
    let path = |name: &str| place.join(name).to_string_lossy().into_owned();
    let (data, at) = (path("data"), path("at"));
    for dir in [&data, &at] {
        fs::create_dir(dir).unwrap();
    }
    std::os::unix::fs::chown(&data, Some(33), Some(33)).unwrap();
    let journals = format!("--journal-dir={}", path("journals"));
    let map = "--map=b:0:100000:65536";
    let show = |name: &str, args: &[&str]| {
        insta::assert_snapshot!(name, text(&idshift(args), &place.to_string_lossy()));
    };
    show("mounts none", &["mounts"]);
    show(
        "mount dry run",
        &["mount", "--dry-run", map, &journals, &data],
    );
    show("mount", &["mount", map, &journals, &data]);
    show("mount again", &["mount", map, &journals, &data]);
    show("shift what is mounted", &["shift", map, &journals, &data]);
    show("umount", &["umount", &data]);
    show("umount again", &["umount", &data]);
    let elsewhere = ["--owner=7:8", "--read-only", "--persist", &data, &at];
    let installed = support::Idshift::installed();
    let output = run(
        installed,
        &[&["mount", map, &journals], &elsewhere[..]].concat(),
    );
    let told = text(&output, &place.to_string_lossy());
    let told = told.replace(installed.to_str().unwrap(), "PROGRAM");
    insta::assert_snapshot!("mount elsewhere", told);
    show("umount elsewhere", &["umount", &at]);
}

#[test]
fn summaries_are_as_reviewed() {
    support::need_root();
    let place = tempfile::tempdir().unwrap();
    let tree = place.path().join("tree");
    fs::create_dir_all(tree.join("sub")).unwrap();
    fs::write(tree.join("a file"), "x").unwrap();
    fs::write(tree.join("sub/new\nline"), "x").unwrap();
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    let (tree_arg, manifest) = (path("tree"), path("review.jsonl"));
    let journals = format!("--journal-dir={}", path("journals"));
    let map = "--map=b:0:100000:1000";
    let show = |name: &str, args: &[&str]| {
        let text = text(&idshift(args), &place.path().to_string_lossy());
        insta::assert_snapshot!(name, text);
    };
    show(
        "dry run",
        &[
            "shift",
            "--dry-run",
            map,
            "--manifest",
            &manifest,
            &tree_arg,
        ],
    );
    show("shift", &["shift", map, &journals, &tree_arg]);
    show("shift again", &["shift", map, &journals, &tree_arg]);
    show("verify", &["verify", &journals, "latest"]);
    nix::unistd::chown(&tree.join("a file"), Some(5000.into()), None).unwrap();
    show("verify differs", &["verify", &journals, "latest"]);
    show(
        "drift from a manifest",
        &["shift", &journals, "--from-manifest", &manifest],
    );
    show("rollback dry run", &["rollback", "--dry-run", &journals]);
    show("rollback with a conflict", &["rollback", &journals]);
    show("rollback forced", &["rollback", "--force", &journals]);
    show("rollback twice", &["rollback", &journals, "0001"]);
    nix::unistd::chown(&tree.join("a file"), Some(5000.into()), None).unwrap();
    show("unmapped", &["shift", map, &journals, &tree_arg]);
    show(
        "unmapped, kept going",
        &["shift", map, "--keep-going", &journals, &tree_arg],
    );
    show("journal list", &["journal", "list", &journals]);
    show("journal check", &["journal", "check", &journals, "latest"]);
    show(
        "journal prune",
        &["journal", "prune", "--dry-run", &journals],
    );
}

#[test]
fn errors_are_as_reviewed() {
    support::need_root();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_string_lossy().into_owned();
    fs::create_dir(path("tree")).unwrap();
    std::os::unix::fs::symlink(path("tree"), path("link")).unwrap();
    let map = "--map=b:0:100000:65536";
    for (name, args) in [
        (
            "no such path",
            vec!["shift".into(), map.into(), path("nothing")],
        ),
        ("a symlink", vec!["shift".into(), map.into(), path("link")]),
        (
            "the root directory",
            vec!["shift".into(), map.into(), "/".into()],
        ),
        (
            "a system directory",
            vec!["shift".into(), map.into(), "/etc".into()],
        ),
        (
            "a bad map",
            vec!["shift".into(), "--map=b:0:100000".into(), path("tree")],
        ),
        (
            "an overlapping map",
            vec![
                "shift".into(),
                map.into(),
                "--map=u:5:300000:9".into(),
                path("tree"),
            ],
        ),
        (
            "no subuid line",
            vec!["shift".into(), "--subid=nosuchuser".into(), path("tree")],
        ),
        (
            "an undecidable map",
            vec![
                "shift".into(),
                "--map=b:0:1000:1".into(),
                "--map=b:1:100000:65535".into(),
                path("tree"),
            ],
        ),
        (
            "no journal",
            vec!["rollback".into(), format!("--journal-dir={}", path("none"))],
        ),
        (
            "no manifest",
            vec!["shift".into(), "--from-manifest".into(), path("none")],
        ),
        (
            "a bad glob",
            vec![
                "shift".into(),
                map.into(),
                "--exclude=[".into(),
                path("tree"),
            ],
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let text = text(&idshift(&args), &place.path().to_string_lossy());
        insta::assert_snapshot!(format!("error {name}"), text);
    }
}
