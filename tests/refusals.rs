//! What cannot or must not be done is refused before anything is changed, with the path, the reason
//! and what helps; what fails half way is undone.

mod support;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::idshift::shift_args;
use support::journal::frames;
use support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, sh, tree};

struct Place {
    fs: TestFs,
    tree: PathBuf,
    idshift: Idshift,
    start: Snapshot,
}

fn place(kind: Kind) -> Place {
    let fs = TestFs::new(kind);
    let tree = tree::plain_zoo(&fs.path().join("tree"));
    let idshift = Idshift::new();
    let start = Snapshot::of(&tree);
    Place {
        fs,
        tree,
        idshift,
        start,
    }
}

impl Place {
    #[track_caller]
    fn is_unchanged(&self, when: &str) {
        assert_same(&self.start, &Snapshot::of(&self.tree), when);
        assert!(
            self.idshift.journal_files().is_empty(),
            "{when}: no journal is left"
        );
    }

    fn path(&self) -> &str {
        self.tree.to_str().unwrap()
    }
}

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
        &["/: ", "Name the directory"],
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
        &["/var/lib", "Name the directory"],
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
    (&["rollback", "latest"], 4, &["journal list"]),
    (&["resume", "latest"], 4, &["journal list"]),
    (&["verify", "latest"], 4, &["journal list"]),
    (&["rollback", "TREE.txt"], 4, &["TREE.txt"]),
    (
        &["journal", "show", "no-such-journal"],
        4,
        &["no-such-journal", "journal list"],
    ),
];

#[test]
fn each_bad_input_is_refused_by_name_with_its_reason() {
    let it = place(Kind::Ext4);
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
        if run.code != Some(*code) || !missing.is_empty() || !run.stdout.is_empty() {
            wrong += &format!("\nshould exit {code}; not on stderr: {missing:?}\n{run}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    it.is_unchanged("after all refusals");
}

#[test]
fn a_path_with_control_characters_does_not_reach_the_terminal() {
    let it = place(Kind::Tmpfs);
    let nasty = it.tree.join("\x1b[2J\nno such");
    let run = it.idshift.shift_with(&nasty, &[]).exits(4);
    assert!(!run.stderr.contains('\x1b'), "{run}");
}

#[test]
fn a_read_only_filesystem_is_refused() {
    let it = place(Kind::Ext4);
    it.fs.make_read_only();
    it.idshift
        .shift_with(&it.tree, &[])
        .exits(4)
        .says(it.path())
        .says("read-only");
    it.is_unchanged("after the refusal");
    it.idshift.shift_with(&it.tree, &["--dry-run"]).exits(0);
}

#[test]
fn a_kernel_filesystem_is_refused_wherever_it_is_mounted() {
    let it = place(Kind::Tmpfs);
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
    let it = place(Kind::Tmpfs);
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
fn as_nobody(it: &Place, args: impl IntoIterator<Item = OsString>) -> Run {
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
    let it = place(Kind::Ext4);
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
    let it = place(Kind::Ext4);
    it.idshift.shift(&it.tree);
    let there = Snapshot::of(&it.tree);
    let journal = it.idshift.the_journal();
    let run = as_nobody(&it, ["rollback".into(), journal.into()]);
    assert_eq!(run.code, Some(4), "{run}");
    assert_same(&there, &Snapshot::of(&it.tree), "after the refusal");
}

#[test]
fn a_journal_directory_inside_the_tree_is_refused() {
    let it = place(Kind::Ext4);
    for inside in ["journals", "owners/journals"] {
        let journals = it.tree.join(inside);
        let run = shift_into(&it, &journals).exits(4);
        run.says(journals.to_str().unwrap()).says("--journal-dir");
    }
}

/// A shift with its journals elsewhere.
fn shift_into(it: &Place, journals: &Path) -> Run {
    let mut command = Command::new(Idshift::program());
    command
        .args(shift_args(&it.tree, &[MAP], &[]))
        .arg("--journal-dir")
        .arg(journals);
    Run::of(&mut command)
}

#[test]
fn a_journal_directory_that_others_can_write_to_is_refused() {
    let it = place(Kind::Ext4);
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
fn a_journal_that_others_could_have_written_is_refused() {
    let it = place(Kind::Ext4);
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
    let it = place(Kind::Ext4);
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
fn a_journal_that_runs_out_of_room_leaves_everything_as_it_was() {
    let it = Place {
        tree: PathBuf::new(),
        ..place(Kind::Tmpfs)
    };
    let tree = tree::wide(&it.fs.path().join("wide"), 60_000);
    let it = Place {
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

/// A larger tree with one inode that cannot be shifted, met late.
fn one_bad_inode(kind: Kind, spoil: impl Fn(&Path)) -> (Place, &'static str) {
    let it = place(kind);
    tree::wide(&it.tree.join("wide"), 20_000);
    let bad = "wide/zzz";
    fs::write(it.tree.join(bad), "").unwrap();
    spoil(&it.tree.join(bad));
    (
        Place {
            start: Snapshot::of(&it.tree),
            ..it
        },
        bad,
    )
}

fn fails_and_is_undone(it: &Place, bad: &str, reason: &str) {
    let run = it
        .idshift
        .shift_with(&it.tree, &[])
        .exits(1)
        .says(bad)
        .says(reason);
    assert_eq!(run.json()["ending"], "rolled-back", "{run}");
    assert_same(&it.start, &Snapshot::of(&it.tree), "after it failed");
    // It does not stand in the way of the next run.
    it.idshift.shift_with(&it.tree, &[]).exits(1);
}

fn goes_on_and_reports(it: &Place, bad: &str, count: &str) {
    let run = it
        .idshift
        .shift_with(&it.tree, &["--keep-going"])
        .exits(3)
        .says(bad);
    assert_eq!(run.count(count), 1, "{run}");
    assert!(run.problem_paths()[0].ends_with(bad), "{run}");
    let expected = shifted_but_for(&it.start, bad);
    assert_same(&expected, &Snapshot::of(&it.tree), "after it went on");
    it.idshift.rollback();
    assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
}

/// The expectation after a shift that leaves one path; its ids need not be in the map.
fn shifted_but_for(start: &Snapshot, left: &str) -> Snapshot {
    let rest = start.clone().without(|path| path == left.as_bytes());
    rest.shifted(&[MAP]).edited(|lines| {
        lines.insert(left.into(), start.at(left).clone());
    })
}

fn give_to_a_stranger(path: &Path) {
    lchown(path, Some(0), Some(70_000)).unwrap();
}

#[test]
fn an_id_outside_the_map_fails_the_run_and_undoes_it() {
    let (it, bad) = one_bad_inode(Kind::Tmpfs, give_to_a_stranger);
    fails_and_is_undone(&it, bad, "70000");
}

#[test]
fn with_keep_going_an_id_outside_the_map_is_left_and_reported() {
    let (it, bad) = one_bad_inode(Kind::Tmpfs, give_to_a_stranger);
    goes_on_and_reports(&it, bad, "unmapped");
}

#[test]
fn an_id_outside_the_map_in_an_acl_counts_as_well() {
    let acl = |path: &Path| {
        sh(
            "setfacl",
            ["-m".as_ref(), "u:1:r,u:70000:r".as_ref(), path.as_os_str()],
        )
    };
    let (it, bad) = one_bad_inode(Kind::Tmpfs, acl);
    fails_and_is_undone(&it, bad, "70000");
    goes_on_and_reports(&it, bad, "unmapped");
}

fn chattr(flag: &str, path: &Path) {
    sh("chattr", [flag.as_ref(), path.as_os_str()]);
}

#[test]
fn an_immutable_file_fails_the_run_and_undoes_it() {
    let (it, bad) = one_bad_inode(Kind::Ext4, |path| chattr("+i", path));
    fails_and_is_undone(&it, bad, "chattr -i");
    goes_on_and_reports(&it, bad, "failed");
    chattr("-i", &it.tree.join(bad));
    it.idshift.shift(&it.tree);
}

#[test]
fn an_append_only_file_as_well() {
    let (it, bad) = one_bad_inode(Kind::Ext4, |path| chattr("+a", path));
    fails_and_is_undone(&it, bad, "chattr -a");
    goes_on_and_reports(&it, bad, "failed");
    chattr("-a", &it.tree.join(bad));
}

fn is_below(path: &[u8], dir: &str) -> bool {
    path.strip_prefix(dir.as_bytes())
        .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

#[test]
fn a_mount_point_inside_is_crossed_only_on_demand() {
    let it = place(Kind::Ext4);
    fs::create_dir(it.tree.join("mounted")).unwrap();
    let inner = TestFs::mount_inside(Kind::Tmpfs, &it.tree.join("mounted"));
    tree::plain_zoo(&it.tree.join("mounted/zoo"));
    let start = Snapshot::of(&it.tree);

    let run = it.idshift.shift(&it.tree);
    assert_eq!(run.count("skipped"), 1, "{run}");
    let expected = start
        .shifted(&[MAP])
        .with(&start, |path| is_below(path, "mounted"));
    assert_same(&expected, &Snapshot::of(&it.tree), "after the shift");
    it.idshift.rollback();

    it.idshift
        .shift_with(&it.tree, &["--cross-mounts"])
        .exits(0);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&it.tree),
        "after the shift across mounts",
    );
    it.idshift.rollback();
    assert_same(&start, &Snapshot::of(&it.tree), "after the rollback");
    drop(inner);
}

/// A bind mount of a directory of the same filesystem has the same device.
#[test]
fn a_bind_mount_inside_is_a_mount_point_too() {
    let it = place(Kind::Ext4);
    let outside = tree::plain_zoo(&it.fs.path().join("outside"));
    let at = it.tree.join("bound");
    fs::create_dir(&at).unwrap();
    sh(
        "mount",
        ["--bind".as_ref(), outside.as_os_str(), at.as_os_str()],
    );
    let before = Snapshot::of(&outside);
    let run = it.idshift.shift_with(&it.tree, &[]);
    sh("umount", [&at]);
    let run = run.exits(0);
    assert_eq!(run.count("skipped"), 1, "{run}");
    assert_same(&before, &Snapshot::of(&outside), "what was bound");
}

#[test]
fn what_a_glob_excludes_is_left() {
    let it = place(Kind::Ext4);
    type IsLeft = fn(&[u8]) -> bool;
    let cases: [(&[&str], IsLeft); 4] = [
        (&["owners"], |path| is_below(path, "owners")),
        (&["modes/file-*"], |path| path.starts_with(b"modes/file-")),
        (&["**/inside"], |path| path.ends_with(b"/inside")),
        (&["kinds/*", "*/dir-1000"], |path| {
            path.starts_with(b"kinds/") || is_below(path, "owners/dir-1000")
        }),
    ];
    for (globs, is_left) in cases {
        let args: Vec<&str> = globs.iter().flat_map(|glob| ["--exclude", glob]).collect();
        let run = it.idshift.shift_with(&it.tree, &args).exits(0);
        assert!(run.count("skipped") > 0, "{run}");
        let expected = it.start.shifted(&[MAP]).with(&it.start, is_left);
        assert_same(&expected, &Snapshot::of(&it.tree), globs[0]);
        it.idshift.rollback();
        assert_same(&it.start, &Snapshot::of(&it.tree), "after the rollback");
    }
}

/// A symlink in the tree to a place outside is shifted itself; the place is not.
#[test]
fn nothing_outside_is_reached_through_a_symlink() {
    let it = place(Kind::Ext4);
    let outside = tree::plain_zoo(&it.fs.path().join("outside"));
    symlink(&outside, it.tree.join("link-to-directory")).unwrap();
    symlink(outside.join("owners/0-0"), it.tree.join("link-to-file")).unwrap();
    let before = Snapshot::of(&outside);
    it.idshift.shift(&it.tree);
    assert_same(&before, &Snapshot::of(&outside), "what the links point to");
    assert_eq!(
        Snapshot::of(&it.tree).at("link-to-directory")["uid"],
        100_000
    );
}

fn has_journalled_changes(idshift: &Idshift) -> bool {
    let files = idshift.journal_files();
    files
        .iter()
        .any(|file| frames(&fs::read(file).unwrap()).len() >= 2)
}

/// A run that is stopped in the middle; it does not outlive a test that fails.
struct Stopped(Option<Child>);

impl Stopped {
    fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn go_on(mut self) -> Run {
        let child = self.0.take().unwrap();
        kill(Pid::from_raw(child.id() as i32), Signal::SIGCONT).unwrap();
        Run::wait(child)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Its journal is there, its end is not.
fn stopped_midway(idshift: &Idshift, tree: &Path) -> Stopped {
    let child = idshift.spawn(shift_args(tree, &[MAP], &["--jobs", "1"]));
    let until = Instant::now() + Duration::from_secs(20);
    while !has_journalled_changes(idshift) {
        assert!(Instant::now() < until, "no journal appeared");
        std::thread::sleep(Duration::from_micros(200));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
    Stopped(Some(child))
}

#[test]
fn a_second_run_on_the_same_or_a_nested_tree_is_told_who_holds_it() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::wide(&fs.path().join("top/tree"), 60_000);
    let other = tree::plain_zoo(&fs.path().join("other"));
    let (first, second) = (Idshift::new(), Idshift::new());
    let start = Snapshot::of(&tree);
    let holder = stopped_midway(&first, &tree);
    let pid = holder.pid().to_string();

    for place in [&*tree, &tree.join("0003"), &fs.path().join("top")] {
        for more in [&[][..], &["--allow-in-use"]] {
            let run = second.shift_with(place, more).exits(4);
            run.says(place.to_str().unwrap()).says(&pid);
        }
    }
    assert!(second.journal_files().is_empty());
    // What is elsewhere is nobody's business.
    second.shift(&other);
    first.run(["rollback", "latest"]).exits(4).says(&pid);
    first.run(["resume", "latest"]).exits(4).says(&pid);

    holder.go_on().exits(0);
    assert_same(
        &start.shifted(&[MAP]),
        &Snapshot::of(&tree),
        "after the first run",
    );
    second.shift(&tree);
}

/// In containers that share `/run`, two runs may have the same process number.
#[test]
fn a_run_of_the_same_process_number_is_another_run() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::wide(&fs.path().join("tree"), 60_000);
    let other = tree::plain_zoo(&fs.path().join("other"));
    let idshift = [Idshift::new(), Idshift::new(), Idshift::new()];
    // Each is process 1 of a namespace.
    let first = |n: usize, tree: &Path| {
        let command = idshift[n].command(shift_args(tree, &[MAP], &["--rate", "30000"]));
        let mut alone = Command::new("unshare");
        alone.args(["--pid", "--fork", "--mount-proc", "--kill-child=KILL"]);
        alone.arg(command.get_program()).args(command.get_args());
        alone.stdout(Stdio::piped()).stderr(Stdio::piped());
        alone.spawn().unwrap()
    };
    let holder = first(0, &tree);
    let until = Instant::now() + Duration::from_secs(20);
    while !has_journalled_changes(&idshift[0]) {
        assert!(Instant::now() < until, "no journal appeared");
        std::thread::sleep(Duration::from_millis(1));
    }
    // It waits for nobody, and holds what is its own.
    Run::wait(first(1, &other)).exits(0);
    let refused = Run::wait(first(2, &tree)).exits(4);
    refused.says("is working on");
    let mut holder = holder;
    assert!(holder.try_wait().unwrap().is_none(), "it was over before");
    Run::wait(holder).exits(0);
}

#[test]
fn a_tree_that_a_process_works_in_is_refused_unless_allowed() {
    let it = place(Kind::Ext4);
    let mut sleeper = Command::new("sleep")
        .arg("60")
        .current_dir(it.tree.join("owners"))
        .spawn()
        .unwrap();
    let pid = sleeper.id().to_string();
    let refused = it.idshift.shift_with(&it.tree, &[]);
    let unchanged = Snapshot::of(&it.tree);
    let allowed = it.idshift.shift_with(&it.tree, &["--allow-in-use"]);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    refused.exits(4).says(&pid).says("--allow-in-use");
    assert_same(&it.start, &unchanged, "after the refusal");
    allowed.exits(0);
}
