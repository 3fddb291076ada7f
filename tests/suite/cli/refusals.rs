//! What cannot or must not be done is refused before anything is changed, with the path, the reason
//! and what helps.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::idshift::shift_args;
use crate::support::zoo::Zoo;
use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, sh, tree};

/// Each line: arguments (`TREE` is the tree), exit code, and what stderr must hold.
const TABLE: &[(&[&str], i32, &[&str])] = &[
    (
        &["shift", "--map", MAP, "TREE/no-such-place"],
        4,
        &["TREE/no-such-place", "No such file"],
    ),
    (
        &["shift", "--map", MAP, "TREE/kinds/symlink-up"],
        4,
        &[
            "TREE/kinds/symlink-up",
            "symlink",
            "Name the directory itself",
        ],
    ),
    (
        &["shift", "--map", MAP, "TREE/kinds/dangling"],
        4,
        &["TREE/kinds/dangling", "symlink"],
    ),
    (
        &["shift", "--map", MAP, "TREE", "TREE/owners"],
        2,
        &["TREE/owners", "TREE", "outer one"],
    ),
    (&["shift", "--map", MAP, "TREE", "TREE"], 2, &["TREE"]),
    // Places of the system.
    (
        &["shift", "--map", MAP, "/"],
        4,
        &["/: ", "Name another directory"],
    ),
    (
        &["shift", "--map", MAP, "/etc"],
        4,
        &["/etc", "configuration"],
    ),
    (&["shift", "--map", MAP, "/usr"], 4, &["/usr", "programs"]),
    (
        &["shift", "--map", MAP, "/usr/bin/env"],
        4,
        &["/usr/bin", "programs"],
    ),
    (&["shift", "--map", MAP, "/proc"], 4, &["/proc", "kernel"]),
    (
        &["shift", "--map", MAP, "/sys/kernel"],
        4,
        &["/sys/kernel", "kernel"],
    ),
    (
        &["shift", "--map", MAP, "/var/lib"],
        4,
        &["/var/lib", "Name another directory"],
    ),
    // The command line.
    (&["shift", "--map", MAP], 2, &["PATH", "Usage"]),
    (
        &["shift", "--map", "b:0:100000", "TREE"],
        2,
        &["b:0:100000"],
    ),
    (
        &["shift", "--map", "x:0:100000:65536", "TREE"],
        2,
        &["x:0:100000:65536"],
    ),
    (
        &["shift", "--map", "b:0:100000:0", "TREE"],
        2,
        &["b:0:100000:0"],
    ),
    (
        &["shift", "--map", "b:-1:100000:10", "TREE"],
        2,
        &["b:-1:100000:10"],
    ),
    (
        &["shift", "--map", "b:0:4294967290:100", "TREE"],
        2,
        &["4294967290"],
    ),
    (
        &[
            "shift",
            "--map",
            "b:0:100000:1000",
            "--map",
            "b:500:300000:1000",
            "TREE",
        ],
        2,
        &["0:100000:1000", "500:300000:1000"],
    ),
    (
        &[
            "shift",
            "--map",
            "b:0:100000:1000",
            "--map",
            "b:1000:100500:1000",
            "TREE",
        ],
        2,
        &["100000", "100500"],
    ),
    (
        &["shift", "--map", MAP, "--exclude", "a[", "TREE"],
        2,
        &["a[", "--exclude"],
    ),
    (
        &["shift", "--map", MAP, "--manifest", "x", "TREE"],
        2,
        &["--dry-run"],
    ),
    (
        &["shift", "--map", MAP, "--from-manifest", "x", "--dry-run"],
        2,
        &["--from-manifest"],
    ),
    (
        &[
            "shift",
            "--map",
            MAP,
            "--dry-run",
            "--json",
            "--manifest",
            "-",
            "TREE",
        ],
        2,
        &["stdout"],
    ),
    (
        &["shift", "--map", MAP, "--jobs", "0", "TREE"],
        2,
        &["--jobs"],
    ),
    (
        &["shift", "--map", MAP, "--no-such-flag", "TREE"],
        2,
        &["--no-such-flag"],
    ),
    (&["no-such-command"], 2, &["no-such-command"]),
    // Whose group is not stated.
    (
        &["prepare", "--map", MAP, "--owner", "999", "TREE"],
        2,
        &["--owner", "999:999", "999:0"],
    ),
    // Where the map or the record comes from.
    (
        &["shift", "--subid", "idshift-no-such-user", "TREE"],
        4,
        &["idshift-no-such-user", "/etc/subuid", "--map"],
    ),
    (
        &["shift", "--map", "b:0:1000:65536", "TREE"],
        4,
        &["TREE", "--assume-unshifted"],
    ),
    (
        &["shift", "--from-manifest", "TREE/no-such-manifest"],
        4,
        &["TREE/no-such-manifest", "No such file"],
    ),
    (
        &[
            "shift",
            "--map",
            MAP,
            "--dry-run",
            "--manifest",
            "TREE/no/manifest",
            "TREE",
        ],
        4,
        &["TREE/no/manifest", "No such file"],
    ),
    (
        &["rollback", "latest"],
        4,
        &["no journals", "--journal-dir"],
    ),
    (&["resume", "latest"], 4, &["no journals", "--journal-dir"]),
    (&["verify", "latest"], 4, &["no journals", "--journal-dir"]),
    (&["rollback", "TREE.txt"], 4, &["TREE.txt"]),
    (
        &["journal", "show", "no-such-journal"],
        4,
        &["no-such-journal", "journal list"],
    ),
];

#[test]
fn each_bad_input_is_refused_by_name_with_its_reason() {
    let it = Zoo::new(Kind::Ext4);
    fs::write(it.tree.with_extension("txt"), "no journal").unwrap();
    let mut wrong = String::new();
    for (args, code, says) in TABLE {
        let real = |text: &&str| text.replace("TREE", it.path());
        let run = it.idshift.run(args.iter().map(real));
        let missing: Vec<String> = says
            .iter()
            .map(real)
            .filter(|text| !run.stderr.contains(text))
            .collect();
        // What a program is told is looked at elsewhere.
        let said = !run.stdout.is_empty() && !args.contains(&"--json");
        if run.code != Some(*code) || !missing.is_empty() || said {
            wrong += &format!("\nshould exit {code}; not on stderr: {missing:?}\n{run}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    it.is_unchanged("after all refusals");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let it = Zoo::new(Kind::Tmpfs);
    let nasty = it.tree.join("\x1b[2J\nno such");
    let run = it.idshift.shift_with(&nasty, &[]).exits(4);
    assert!(!run.stderr.contains('\x1b'), "{run}");
}

#[test]
fn a_read_only_filesystem_is_refused() {
    let it = Zoo::new(Kind::Ext4);
    it.fs.make_read_only();
    it.idshift
        .shift_with(&it.tree, &[])
        .exits(4)
        .says(it.path())
        .says("read-only");
    it.is_unchanged("after the refusal");
    it.idshift.shift_with(&it.tree, &["--dry-run"]).exits(4);
}

#[test]
fn a_kernel_filesystem_is_refused_at_any_mount() {
    let it = Zoo::new(Kind::Tmpfs);
    let at = it.fs.path().join("proc");
    fs::create_dir(&at).unwrap();
    sh("mount", ["-t", "proc", "proc", at.to_str().unwrap()]);
    it.idshift
        .shift_with(&at, &[])
        .exits(4)
        .says(at.to_str().unwrap())
        .says("proc");
    sh("umount", [&at]);
}

#[test]
fn a_filesystem_that_is_written_once_is_refused() {
    let it = Zoo::new(Kind::Tmpfs);
    let image = it.fs.path().join("image");
    let at = it.fs.path().join("squashfs");
    fs::create_dir(&at).unwrap();
    sh(
        "mksquashfs",
        [
            it.tree.as_os_str(),
            image.as_os_str(),
            "-quiet".as_ref(),
            "-no-progress".as_ref(),
        ],
    );
    sh(
        "mount",
        [
            "-o".as_ref(),
            "loop".as_ref(),
            image.as_os_str(),
            at.as_os_str(),
        ],
    );
    let run = it.idshift.shift_with(&at, &[]);
    sh("umount", [&at]);
    run.exits(4).says(at.to_str().unwrap()).says("squashfs");
}

/// The program as `nobody` runs it.
fn as_nobody(it: &Zoo, args: impl IntoIterator<Item = OsString>) -> Run {
    // Where everybody can get at it.
    let program = it.fs.path().join("idshift");
    fs::copy(Idshift::program(), &program).unwrap();
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(program)
        .args(args);
    Run::of(&mut command)
}

#[test]
fn who_is_not_root_can_look_but_not_shift() {
    let it = Zoo::new(Kind::Ext4);
    // Only the owner of a directory, and root, may read it without setting its atime.
    it.fs.keep_atimes();
    // What nobody but root can read would make the dry run incomplete.
    let readable = it.tree.join("owners");
    as_nobody(&it, shift_args(&readable, &[MAP], &[]))
        .exits(4)
        .says("root")
        .says("sudo");
    it.is_unchanged("after the refusal");

    let run = as_nobody(&it, shift_args(&readable, &[MAP], &["--dry-run"])).exits(0);
    let below = it
        .start
        .lines()
        .keys()
        .filter(|path| path.starts_with(b"owners"))
        .count() as u64;
    assert_eq!(run.count("changed"), below, "{run}");
    it.is_unchanged("after the dry run");

    let run = as_nobody(&it, shift_args(&it.tree, &[MAP], &["--dry-run"])).exits(3);
    assert!(run.count("failed") > 0, "it cannot read everything: {run}");
    it.is_unchanged("after the dry run");
}

#[test]
fn who_is_not_root_cannot_roll_back() {
    let it = Zoo::new(Kind::Ext4);
    it.idshift.shift(&it.tree);
    let there = Snapshot::of(&it.tree);
    let journal = it.idshift.the_journal();
    let run = as_nobody(&it, ["rollback".into(), journal.into()]);
    assert_eq!(run.code, Some(4), "{run}");
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusal");
}

#[test]
fn a_journal_directory_inside_the_tree_is_refused() {
    let it = Zoo::new(Kind::Ext4);
    for inside in ["journals", "owners/journals"] {
        let journals = it.tree.join(inside);
        let run = shift_into(&it, &journals).exits(4);
        run.says(journals.to_str().unwrap()).says("--journal-dir");
    }
}

/// A shift with its journals elsewhere.
fn shift_into(it: &Zoo, journals: &Path) -> Run {
    let mut command = Command::new(Idshift::program());
    command
        .args(shift_args(&it.tree, &[MAP], &[]))
        .arg("--journal-dir")
        .arg(journals);
    Run::of(&mut command)
}

#[test]
fn a_journal_directory_others_can_write_is_refused() {
    let it = Zoo::new(Kind::Ext4);
    let journals = it.fs.path().join("journals");
    fs::create_dir(&journals).unwrap();
    let attempt = |mode: u32, owner: u32| {
        fs::set_permissions(&journals, PermissionsExt::from_mode(mode)).unwrap();
        chown(&journals, Some(owner), Some(0)).unwrap();
        shift_into(&it, &journals)
    };
    attempt(0o777, 0).exits(4).says(journals.to_str().unwrap());
    attempt(0o700, 1000)
        .exits(4)
        .says(journals.to_str().unwrap());
    it.is_unchanged("after the refusals");
    attempt(0o700, 0).exits(0);
}

#[test]
fn a_journal_others_could_write_is_refused() {
    let it = Zoo::new(Kind::Ext4);
    it.idshift.shift(&it.tree);
    let there = Snapshot::of(&it.tree);
    let journal = it.idshift.the_journal();
    chown(&journal, Some(1000), Some(1000)).unwrap();
    it.idshift
        .run(["rollback", "latest"])
        .exits(4)
        .says(journal.to_str().unwrap());
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusal");
}

#[test]
fn no_room_for_a_journal_is_refused() {
    let it = Zoo::new(Kind::Ext4);
    let full = TestFs::new(Kind::TinyTmpfs);
    let mut filler = fs::File::create(full.path().join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    let journals = full.path().join("journals");
    shift_into(&it, &journals)
        .exits(4)
        .says(journals.to_str().unwrap())
        .says("--journal-dir");
    it.is_unchanged("after the refusal");
}

/// A tree of 60,000 inodes needs a journal of some hundred KiB.
#[test]
fn a_journal_out_of_space_leaves_all_as_it_was() {
    let it = Zoo {
        tree: PathBuf::new(),
        ..Zoo::new(Kind::Tmpfs)
    };
    let tree = tree::many(&it.fs.path().join("wide"), 60_000);
    let it = Zoo {
        start: Snapshot::of(&tree),
        tree,
        ..it
    };
    let tiny = TestFs::new(Kind::TinyTmpfs);
    let journals = tiny.path().join("journals");
    let run = shift_into(&it, &journals);
    assert!(matches!(run.code, Some(1 | 4)), "{run}");
    let run = run.says(journals.to_str().unwrap());
    assert!(run.stderr.contains("space"), "{run}");
    it.is_unchanged("after the failure");
}
