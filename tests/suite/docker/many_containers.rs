//! A data-root of many containers: what is done for each of them does not wait for the disk by itself.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support;
use crate::support::docker::{assert_same_lines, snapshot};
use crate::support::scene::docker_args;
use crate::support::{Idshift, Kind, Run, TestFs, data_root};

const CONTAINERS: usize = 200;

/// Gives a data-root so many more containers.
fn add_containers(top: &Path) {
    let one = top.join("containers/4567");
    for n in 0..CONTAINERS {
        let id = format!("{n:064x}");
        let dir = top.join("containers").join(&id);
        fs::create_dir(&dir).unwrap();
        for name in ["config.v2.json", "hostconfig.json"] {
            let text = fs::read_to_string(one.join(name)).unwrap();
            fs::write(dir.join(name), text.replace("/4567/", &format!("/{id}/"))).unwrap();
        }
    }
}

/// How often a command line waited for the disk to have one file.
fn waits(command: &Command, counts: &Path) -> (usize, Run) {
    let mut strace = Command::new("strace");
    strace
        .args(["-fqq", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(counts)
        .arg(command.get_program())
        .args(command.get_args());
    let run = Run::of(&mut strace).exits(0);
    (fs::read_to_string(counts).unwrap().lines().count(), run)
}

#[test]
fn migrate_does_not_wait_for_each_container_file() {
    support::isolation::isolate();
    let fs = TestFs::new(Kind::Ext4);
    let top = data_root::filled(&fs.path().join("docker"));
    add_containers(&top);
    let start = snapshot(&top);
    let idshift = Idshift::new();
    let counts = fs.path().join("counts");
    let migrate = idshift.command(docker_args("migrate", &top, &["--json"]));
    let audit =
        Run::of(Command::new(Idshift::program()).args(docker_args("audit", &top, &["--json"])));
    let (waited, migrated) = waits(&migrate, &counts);
    assert!(waited < CONTAINERS / 2, "migrate waits {waited} times");
    // What the audit said of it.
    let work = &audit.json()["work"];
    assert_eq!(work["steps"], migrated.json()["steps"], "{audit}");
    let journal = fs::metadata(idshift.the_journal()).unwrap().len();
    let estimate = work["journal_bytes"].as_u64().unwrap();
    assert!(journal <= estimate, "{journal} bytes, estimated {estimate}");
    let config = format!("100000.100000/containers/{:064x}/config.v2.json", 7);
    let config = fs::read_to_string(top.join(config)).unwrap();
    assert!(config.contains("/100000.100000/containers/"), "{config}");
    let (waited, _) = waits(&idshift.command(["rollback", "latest"]), &counts);
    assert!(waited < CONTAINERS / 2, "rollback waits {waited} times");
    assert_same_lines(&start, &snapshot(&top), "after the rollback");
    // Nothing that was to take a place is left beside it.
    let mut entries = walk(&top);
    entries.retain(|path| path.ends_with(".idshift-new"));
    assert_eq!(entries, Vec::<String>::new());
}

fn walk(top: &Path) -> Vec<String> {
    let found = Command::new("find").arg(top).output().unwrap();
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    text.lines().map(String::from).collect()
}

#[test]
fn wrecked_metadata_is_named_with_what_helps() {
    support::isolation::isolate();
    let fs = TestFs::new(Kind::Tmpfs);
    let top = data_root::filled(&fs.path().join("docker"));
    let one = top.join("containers/4567");
    let idshift = Idshift::new();
    let migrate = || idshift.run(docker_args("migrate", &top, &[])).exits(4);
    for (name, text, why) in [
        ("config.v2.json", "", "is empty"),
        ("config.v2.json", "null", "is not what dockerd writes"),
        (
            "config.v2.json",
            "{\"Name\":5}",
            "is not what dockerd writes",
        ),
        (
            "config.v2.json",
            "{\"Name\":\"/web\"",
            "is not what dockerd writes",
        ),
        ("hostconfig.json", "", "is empty"),
        ("hostconfig.json", "null", "is not what dockerd writes"),
        ("hostconfig.json", "[1]", "is not what dockerd writes"),
    ] {
        let path = one.join(name);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        let run = migrate();
        let run = run.says(&format!("idshift: {}: {why}", path.display()));
        run.says(&format!("move {} out of the data-root", one.display()));
        fs::write(&path, whole).unwrap();
    }
    let stray = top.join("containers/stray");
    fs::write(&stray, "x").unwrap();
    let run = migrate().says(&format!("idshift: {}: is a file among", stray.display()));
    run.says("Move it out of the data-root");
    fs::remove_file(&stray).unwrap();
    idshift.run(docker_args("migrate", &top, &[])).exits(0);
}
