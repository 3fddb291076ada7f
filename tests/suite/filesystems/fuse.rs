//! Filesystems in user space: what they keep is brought back, what they do not keep is noticed.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::support::{
    Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, data_root, scene, sh,
};

/// A mount that a program of this test's serves, and a directory for what is behind it.
struct Mount {
    args: Vec<String>,
    at: PathBuf,
    server: Option<Child>,
    behind: TestFs,
}

impl Mount {
    /// `args` of the program, which is to stay in the foreground: `%` stands for a directory that exists, `@` for the
    /// mount point.
    fn new(args: &[&str]) -> Mount {
        let behind = TestFs::new(Kind::Ext4);
        let top = behind.path();
        // The program behind reads directories in its own way.
        sh(
            "mount",
            ["-o".as_ref(), "remount,noatime".as_ref(), top.as_os_str()],
        );
        for dir in ["lower", "upper", "work", "at"] {
            fs::create_dir(top.join(dir)).unwrap();
        }
        sh("truncate", ["-s".into(), "64M".into(), top.join("image")]);
        let at = top.join("at");
        let place = |arg: &&str| {
            arg.replace('%', top.to_str().unwrap())
                .replace('@', at.to_str().unwrap())
        };
        Mount {
            args: args.iter().map(place).collect(),
            at,
            server: None,
            behind,
        }
    }

    fn mount(&mut self) {
        let outside = self.device();
        let mut command = Command::new(&self.args[0]);
        self.server = Some(command.args(&self.args[1..]).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(30);
        while self.device() == outside {
            assert!(Instant::now() < end, "{:?} does not mount", self.args);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn device(&self) -> u64 {
        fs::metadata(&self.at).unwrap().dev()
    }

    fn unmount(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = Command::new("umount").arg(&self.at).status();
            let _ = server.wait();
        }
    }

    /// Once more, so that the program has forgotten what it knew of the inodes.
    fn mount_anew(&mut self) {
        self.unmount();
        self.mount();
    }

    fn fill(&self) {
        let dir = self.at.join("dir");
        fs::create_dir(&dir).unwrap();
        for name in ["one", "two"] {
            fs::write(dir.join(name), name).unwrap();
        }
    }

    fn owner(&self) -> u32 {
        fs::symlink_metadata(self.at.join("dir/one")).unwrap().uid()
    }

    fn tree(&self) -> &str {
        self.at.to_str().unwrap()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.unmount();
    }
}

fn ntfs(options: &str) -> Mount {
    let mut it = Mount::new(&["ntfs-3g", "-o", "no_detach", "-o", options, "%/image", "@"]);
    sh(
        "mkntfs",
        ["-F", "-Q", "-q"]
            .map(PathBuf::from)
            .into_iter()
            .chain([it.behind.path().join("image")]),
    );
    it.mount();
    it.fill();
    it
}

#[test]
fn a_fuse_tree_is_rolled_back_after_a_remount() {
    let mut it = Mount::new(&["bindfs", "-f", "%/lower", "@"]);
    it.mount();
    it.fill();
    symlink("nowhere", it.at.join("link")).unwrap();
    sh("setcap", ["cap_net_raw+ep".into(), it.at.join("dir/one")]);
    sh("setfacl", ["-m".into(), "u:5:r".into(), it.at.join("dir")]);
    let behind = it.behind.path().join("lower");
    let (start, idshift) = (Snapshot::of(&behind), Idshift::new());
    idshift.run(["shift", "--map", MAP, it.tree()]).exits(0);
    assert_same(&start.shifted(&[MAP]), &Snapshot::of(&behind), "shifted");
    it.mount_anew();
    idshift.rollback();
    assert_same(&start, &Snapshot::of(&behind), "brought back");
}

#[test]
fn a_filesystem_that_ignores_chown_fails_the_run() {
    let it = ntfs("silent");
    let idshift = Idshift::new();
    let run = idshift.run(["shift", "--map", MAP, it.tree()]).exits(1);
    let run = run.says("accepts a chown and ignores it");
    run.says("everything is as it was before");
    assert_eq!(it.owner(), 0);
    // What goes on in spite of it counts nothing as shifted.
    let args = ["shift", "--keep-going", "--json", "--map", MAP, it.tree()];
    let run = idshift.run(args).exits(3);
    assert_eq!((run.count("changed"), run.count("failed")), (0, 4), "{run}");
}

#[test]
fn a_manifest_for_it_fails_as_well() {
    let it = ntfs("silent");
    let idshift = Idshift::new();
    let manifest = idshift.journals().join("manifest.jsonl");
    let manifest = manifest.to_str().unwrap();
    let args = [
        "shift",
        "--dry-run",
        "--manifest",
        manifest,
        "--map",
        MAP,
        it.tree(),
    ];
    idshift.run(args).exits(0);
    let run = idshift.run(["shift", "--from-manifest", manifest]).exits(1);
    run.says("accepts a chown and ignores it");
    assert_eq!(it.owner(), 0);
}

#[test]
fn ntfs_with_permissions_is_shifted_and_brought_back() {
    let mut it = ntfs("permissions");
    let idshift = Idshift::new();
    idshift.run(["shift", "--map", MAP, it.tree()]).exits(0);
    it.mount_anew();
    assert_eq!(it.owner(), 100_000);
    idshift.rollback();
    it.mount_anew();
    assert_eq!(it.owner(), 0);
}

#[test]
fn an_overlay_in_user_space_is_refused() {
    let layers = "lowerdir=%/lower,upperdir=%/upper,workdir=%/work";
    for args in [
        &["fuse-overlayfs", "-f", "-o", layers, "@"][..],
        &["unionfs", "-f", "-o", "cow", "%/upper=RW:%/lower=RO", "@"],
    ] {
        let mut it = Mount::new(args);
        it.mount();
        it.fill();
        let run = Idshift::new()
            .run(["shift", "--map", MAP, it.tree()])
            .exits(4);
        run.says("is on fuse").says("could not be undone");
        assert_eq!(it.owner(), 0);
    }
}

#[test]
fn a_migration_is_refused_without_rename_exchange() {
    let mut it = Mount::new(&["bindfs", "-f", "%/lower", "@"]);
    let below = data_root::filled(&it.behind.path().join("lower/docker"));
    it.mount();
    let top = it.at.join("docker");
    let idshift = Idshift::new();
    let carry = |more: &[&str]| idshift.run(scene::docker_args("migrate", &top, more));
    let start = Snapshot::of(&below);
    let changed = fs::metadata(&below).unwrap().ctime_nsec();

    // Only a try tells, and these two try nothing.
    let dry_run = carry(&["--dry-run"]).exits(0);
    let audit =
        Run::of(Command::new(Idshift::program()).args(scene::docker_args("audit", &top, &[])));
    for told in [&dry_run.stderr, &audit.text()] {
        assert!(told.contains("is on fuse"), "{told}");
        assert!(told.contains("must be tested"), "{told}");
    }
    assert_eq!(fs::metadata(&below).unwrap().ctime_nsec(), changed);

    let refused = carry(&[]).exits(4);
    let path = top.to_str().unwrap();
    for words in [
        path,
        "is on fuse",
        "lacks RENAME_EXCHANGE",
        "name that directory",
        "cp -a",
    ] {
        assert!(refused.stderr.contains(words), "{words:?} in {refused}");
    }
    assert_eq!(idshift.journal_files(), Vec::<PathBuf>::new());
    assert_same(&start, &Snapshot::of(&below), "after it was refused");

    // On the directory behind, there is nothing to try.
    idshift
        .run(scene::docker_args(
            "migrate",
            &below,
            &["--set-userns-host"],
        ))
        .exits(0);
    idshift.rollback();
}

#[test]
fn a_mount_that_no_container_may_use_is_refused_by_name() {
    let mut mount = Mount::new(&["bindfs", "-f", "--no-allow-other", "%/lower", "@"]);
    mount.mount();
    let at = mount.at.to_str().unwrap();
    let idshift = Idshift::new();
    for args in [
        &["check", "--map", MAP, "--as", "0:0", at][..],
        &["prepare", "--map", MAP, at],
        &["prepare", "--map", MAP, "--dry-run", at],
    ] {
        let run = match args[0] {
            "check" => Run::of(Command::new(Idshift::program()).args(args)),
            _ => idshift.run(args),
        };
        let run = run.exits(4);
        assert!(run.stderr.contains("Mount it with -o allow_other"), "{run}");
    }
    assert_eq!(idshift.journal_files().len(), 0);
}
