//! Hosts that lack something: system calls, `/proc`, ids, rights. They are refused before anything is changed, with
//! what is missing and what helps.

use crate::support::PYTHON;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use crate::support;
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same};
use tempfile::TempDir;

/// A small tree that anybody may look at, and the program where anybody may run it.
struct Place {
    dir: TempDir,
    idshift: Idshift,
    start: Snapshot,
}

impl Place {
    fn new() -> Place {
        support::need_root();
        let dir = tempfile::Builder::new().tempdir_in("/var/tmp").unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("tree")).unwrap();
        fs::write(dir.path().join("tree/file"), "x").unwrap();
        fs::copy(Idshift::program(), dir.path().join("idshift")).unwrap();
        let start = Snapshot::of(&dir.path().join("tree"));
        Place {
            dir,
            idshift: Idshift::new(),
            start,
        }
    }

    fn tree(&self) -> String {
        self.dir.path().join("tree").to_str().unwrap().into()
    }

    fn program(&self) -> PathBuf {
        self.dir.path().join("idshift")
    }

    /// A command line of it, run by another program.
    fn run_by(&self, by: &[&str], args: &[&str]) -> Run {
        let mut command = Command::new(by[0]);
        command.args(&by[1..]).arg(self.program()).args(args);
        Run::of(&mut command)
    }

    fn journals(&self) -> &str {
        self.idshift.journals().to_str().unwrap()
    }

    #[track_caller]
    fn is_untouched(&self) {
        assert_same(
            &self.start,
            &Snapshot::of(&self.dir.path().join("tree")),
            "after a refusal",
        );
        assert!(self.idshift.journal_files().is_empty());
    }
}

#[test]
fn a_kernel_lacking_a_system_call_is_refused() {
    let place = Place::new();
    let tree = place.tree();
    let journals = ["--journal-dir", place.journals()];
    for (call, since) in [("openat2", "Linux 5.6"), ("statx", "Linux 4.11")] {
        for error in ["ENOSYS", "EPERM"] {
            let (trace, inject) = (
                format!("trace={call}"),
                format!("inject={call}:error={error}"),
            );
            let by = [
                "strace",
                "-fqq",
                "-o",
                "/dev/null",
                "-e",
                &trace,
                "-e",
                &inject,
            ];
            for args in [
                &["shift", "--map", MAP, &tree][..],
                &["shift", "--dry-run", "--map", MAP, &tree],
                &["prepare", "--map", MAP, &tree],
                &["rollback", "latest"],
                &["verify", "latest"],
            ] {
                let run = place.run_by(&by, &[args, &journals].concat()).exits(4);
                run.says(&format!("{call}(2)"))
                    .says(since)
                    .says("on the host");
                place.is_untouched();
            }
        }
    }
}

#[test]
fn a_host_without_renameat2_is_served() {
    let place = Place::new();
    let by = [
        "strace",
        "-fqq",
        "-o",
        "/dev/null",
        "-e",
        "trace=renameat2",
        "-e",
        "inject=renameat2:error=ENOSYS",
    ];
    let journals = ["--journal-dir", place.journals()];
    let tree = place.tree();
    let shift = [&["shift", "--map", MAP, &tree], &journals[..]].concat();
    place.run_by(&by, &shift).exits(0);
    let rollback = [&["rollback", "latest"], &journals[..]].concat();
    place.run_by(&by, &rollback).exits(0);
    let after = Snapshot::of(&place.dir.path().join("tree"));
    assert_same(&place.start, &after, "after the rollback");
}

#[test]
fn without_proc_it_is_refused() {
    let place = Place::new();
    let tree = place.tree();
    let by = [
        "unshare",
        "-m",
        "sh",
        "-c",
        "umount -l /proc && exec \"$@\"",
        "sh",
    ];
    let journals = ["--journal-dir", place.journals()];
    for args in [
        &["shift", "--map", MAP, &tree][..],
        &["shift", "--allow-in-use", "--map", MAP, &tree],
        &["shift", "--dry-run", "--map", MAP, &tree],
        &["prepare", "--map", MAP, &tree],
        &["rollback", "latest"],
        &["resume", "latest"],
        &["verify", "latest"],
    ] {
        let run = place.run_by(&by, &[args, &journals].concat()).exits(4);
        run.says("/proc is not mounted")
            .says("mount -t proc proc /proc");
        place.is_untouched();
    }
    let check = ["check", "--as", "0:0", "--map", MAP, &tree];
    place
        .run_by(&by, &check)
        .exits(4)
        .says("/proc is not mounted");
}

#[test]
fn ids_that_the_own_user_namespace_lacks_are_named() {
    let place = Place::new();
    let by = ["unshare", "--user", "--map-root-user"];
    let tree = place.tree();
    let journals = ["--journal-dir", place.journals()];
    for more in [&[][..], &["--dry-run"]] {
        let shift = [&["shift", "--map", MAP, &tree], more, &journals[..]].concat();
        let run = place.run_by(&by, &shift).exits(4);
        run.says("has no uid 100000").says("on the host");
        place.is_untouched();
    }
}

#[test]
fn who_is_not_root_is_told_so_and_nothing_else() {
    let place = Place::new();
    place.idshift.shift(&place.dir.path().join("tree"));
    let by = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let data_root = place.dir.path().join("docker");
    fs::create_dir(&data_root).unwrap();
    fs::set_permissions(&data_root, fs::Permissions::from_mode(0o710)).unwrap();
    let data_root = data_root.to_str().unwrap();
    let journals = ["--journal-dir", place.journals()];
    for args in [
        &["rollback"][..],
        &["rollback", "1"],
        &["rollback", "--dry-run"],
        &["resume", "1"],
        &["verify", "latest"],
        &["journal", "list"],
        &["journal", "show", "latest"],
        &["journal", "check", "1"],
        &["journal", "prune"],
        &["docker", "migrate", "--data-root", data_root],
        &["docker", "revert", "--data-root", data_root],
    ] {
        let run = place.run_by(&by, &[args, &journals].concat()).exits(4);
        let line = run.stderr.lines().next().unwrap();
        assert!(
            line.contains("needs root, and this process runs as uid 65534"),
            "{run}"
        );
        assert!(line.contains("sudo"), "{run}");
    }
    let audit = ["docker", "audit", "--data-root", data_root];
    place.run_by(&by, &audit).exits(4).says("needs root");
    let doctor = [
        "doctor",
        "--data-root",
        data_root,
        "--daemon-json",
        "/nonexistent",
        "--json",
    ];
    let told = place.run_by(&by, &doctor).json();
    let findings = told["findings"].as_array().unwrap();
    let filesystem = findings
        .iter()
        .find(|it| it["what"] == "filesystem")
        .unwrap();
    assert_eq!(filesystem["remedy"], "sudo idshift doctor", "{told:#}");
}

/// In a user namespace the kernel shows each id that the namespace lacks as 65534.
#[test]
fn an_overflow_id_is_not_taken_for_nobody() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    for (name, id) in [("known", 33), ("unknown", 3_000_000)] {
        fs::write(tree.join(name), "").unwrap();
        chown(tree.join(name), Some(id), Some(id)).unwrap();
    }
    let inside = |args: &[&str]| {
        let mut command = Command::new(PYTHON);
        let enter = support::script("enter.py");
        command.arg(enter).args(["/", "b:0:0:200000", "--"]);
        command.arg(Idshift::program());
        Run::of(command.args(args).arg(&tree))
    };
    let dry = inside(&["shift", "--map", MAP, "--dry-run", "--json"]).exits(3);
    assert_eq!(dry.count("changed"), 2, "{dry}");
    assert_eq!(
        dry.problem_paths(),
        [tree.join("unknown").to_str().unwrap()],
        "{dry}"
    );
    assert!(dry.to_string().contains("user namespace"), "{dry}");
    let verified = inside(&["verify", "--map", MAP, "--json"]).exits(3);
    assert!(
        verified.to_string().contains("the overflow id"),
        "{verified}"
    );
    // On the host 65534 is an id like any other.
    chown(tree.join("unknown"), Some(65_534), Some(65_534)).unwrap();
    Idshift::new().shift(&tree).exits(0);
    assert_eq!(fs::metadata(tree.join("unknown")).unwrap().uid(), 165_534);
}
