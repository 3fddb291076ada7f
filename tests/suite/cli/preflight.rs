//! A dry run and a run are asked the same and give the same verdict: what time does not cure refuses both; what time
//! cures refuses the run, and the dry run says so. The commands that the refusals name are tried.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Idshift, Kind, MAP, Run, TestFs, data_root, scene, sh};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The program, and a filesystem with a tree.
struct Host {
    idshift: Idshift,
    fs: TestFs,
}

impl Host {
    fn new(kind: Kind) -> Host {
        let host = Host {
            idshift: Idshift::new(),
            fs: TestFs::new(kind),
        };
        let tree = host.tree();
        fs::create_dir_all(tree.join("inside")).unwrap();
        fs::write(tree.join("file"), "text").unwrap();
        host
    }

    fn at(&self, name: &str) -> PathBuf {
        self.fs.path().join(name)
    }

    fn tree(&self) -> PathBuf {
        self.at("tree")
    }

    fn run(&self, path: &Path, more: &[&str]) -> Run {
        let args = ["shift", "--map", MAP].iter().chain(more);
        self.idshift.run(
            args.map(|arg| arg.to_string())
                .chain([path.display().to_string()]),
        )
    }

    /// Run and dry run are refused with the same words.
    fn refuses_both(&self, path: &Path, more: &[&str]) -> Run {
        let run = self.run(path, more).exits(4);
        let dry: Vec<&str> = more.iter().copied().chain(["--dry-run"]).collect();
        let dry = self.run(path, &dry).exits(4);
        assert_eq!(run.stderr, dry.stderr);
        run
    }

    /// The run is refused now, and the dry run says so, to people and to programs.
    fn refuses_now(&self, path: &Path, kind: &str) -> Run {
        let run = self.run(path, &[]).exits(4);
        let dry = self.run(path, &["--dry-run"]).exits(0);
        let text = String::from_utf8_lossy(&dry.stdout);
        assert!(text.contains("A real run would be refused now: "), "{dry}");
        let dry = self.run(path, &["--dry-run", "--json"]).exits(0);
        let told = &dry.json()["would_refuse"];
        assert_eq!(told[0]["kind"], kind, "{dry}");
        assert!(run.stderr.contains(told[0]["reason"].as_str().unwrap()));
        run
    }

    /// Nothing is in the way.
    fn passes(&self, path: &Path, more: &[&str]) {
        let dry: Vec<&str> = more
            .iter()
            .copied()
            .chain(["--dry-run", "--json"])
            .collect();
        let dry = self.run(path, &dry).exits(0);
        assert!(
            dry.json()["would_refuse"].as_array().unwrap().is_empty(),
            "{dry}"
        );
        self.run(path, more).exits(0);
    }

    fn squashfs_at(&self, at: &Path) -> Mounted {
        let (image, content) = (self.at("image"), self.at("content"));
        fs::create_dir_all(&content).unwrap();
        fs::create_dir_all(at).unwrap();
        let options = ["-quiet", "-no-progress"].map(PathBuf::from);
        sh(
            "mksquashfs",
            [content, image.clone()].into_iter().chain(options),
        );
        Mounted::new(&["-o", "loop"], &image, at)
    }
}

/// Unmounted when dropped.
struct Mounted(PathBuf);

impl Mounted {
    fn new(options: &[&str], what: &Path, at: &Path) -> Mounted {
        let options = options.iter().map(PathBuf::from);
        sh(
            "mount",
            options.chain([what.to_path_buf(), at.to_path_buf()]),
        );
        Mounted(at.to_path_buf())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let quiet = Command::new("umount")
            .arg(&self.0)
            .stderr(Stdio::null())
            .status();
        let _ = quiet;
    }
}

/// Ended when dropped.
struct Running(Child);

impl Running {
    fn sleep_in(dir: &Path) -> Running {
        let mut command = Command::new("sleep");
        Running(command.arg("1000").current_dir(dir).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command that a message puts into backquotes and that begins so, run by a shell.
fn do_as_told(run: &Run, begins: &str) {
    let told = run.stderr.split('`').find(|text| text.starts_with(begins));
    let told = told.unwrap_or_else(|| panic!("no command {begins}: {run}"));
    sh("sh", ["-c", told]);
}

#[test]
fn a_system_path_refuses_the_dry_run_too() {
    let it = Host::new(Kind::Tmpfs);
    for path in ["/", "/etc", "/usr/bin"] {
        it.refuses_both(Path::new(path), &[])
            .says("--allow-system-path");
    }
}

#[test]
fn a_read_only_mount_refuses_both_until_remounted() {
    let it = Host::new(Kind::Ext4);
    it.fs.make_read_only();
    let run = it.refuses_both(&it.tree(), &[]).says("read-only");
    do_as_told(&run, "mount -o remount");
    it.passes(&it.tree(), &[]);

    let bound = it.at("bound");
    fs::create_dir(&bound).unwrap();
    let _bound = Mounted::new(&["--bind"], &it.tree(), &bound);
    sh("mount", ["-o", "remount,bind,ro", bound.to_str().unwrap()]);
    let run = it
        .refuses_both(&bound, &["--allow-in-use"])
        .says("read-only");
    do_as_told(&run, "mount -o remount");
    it.passes(&bound, &["--allow-in-use"]);
}

#[test]
fn unchangeable_mounts_below_refuse_both_if_crossed() {
    let it = Host::new(Kind::Ext4);
    let inside = it.tree().join("inside");
    let _mounted = it.squashfs_at(&inside);
    let inside = inside.to_str().unwrap();
    let crossing = &["--cross-mounts", "--allow-in-use"];
    it.refuses_both(&it.tree(), crossing)
        .says(&format!("{inside}: is on squashfs"))
        .says("--exclude");
    it.passes(
        &it.tree(),
        &["--cross-mounts", "--exclude", "inside", "--allow-in-use"],
    );
    it.passes(&it.tree(), &["--allow-in-use"]);
}

#[test]
fn read_only_mounts_below_refuse_both_if_crossed() {
    let it = Host::new(Kind::Ext4);
    let inside = it.tree().join("inside");
    let _mounted = Mounted::new(&["-t", "tmpfs", "-o", "ro"], Path::new("none"), &inside);
    let run = it
        .refuses_both(&it.tree(), &["--cross-mounts"])
        .says("read-only");
    do_as_told(&run, "mount -o remount");
    it.passes(&it.tree(), &["--cross-mounts"]);
}

#[test]
fn a_read_only_snapshot_refuses_the_dry_run_too() {
    let it = Host::new(Kind::Btrfs);
    let (volume, snapshot) = (it.at("volume"), it.at("snapshot"));
    sh(
        "btrfs",
        ["-q", "subvolume", "create", volume.to_str().unwrap()],
    );
    fs::create_dir(volume.join("dir")).unwrap();
    let ends = [&volume, &snapshot].map(|path| path.to_str().unwrap());
    sh(
        "btrfs",
        ["-q", "subvolume", "snapshot", "-r"]
            .into_iter()
            .chain(ends),
    );
    let run = it
        .refuses_both(&snapshot.join("dir"), &[])
        .says("read-only subvolume");
    do_as_told(&run, "btrfs property set");
    it.passes(&snapshot.join("dir"), &[]);
}

#[test]
fn an_overlay_refuses_the_dry_run_too() {
    let it = Host::new(Kind::Ext4);
    let at = ["lower", "upper", "work", "merged"].map(|name| it.at(name));
    for dir in &at {
        fs::create_dir(dir).unwrap();
    }
    let [lower, upper, work, merged] = at.map(|dir| dir.display().to_string());
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    let merged = Path::new(&merged);
    let _mounted = Mounted::new(
        &["-t", "overlay", "-o", &options],
        Path::new("none"),
        merged,
    );
    it.refuses_both(merged, &[]).says("is on overlay");
}

#[test]
fn a_journal_directory_in_the_tree_refuses_both() {
    let it = Host::new(Kind::Tmpfs);
    let journals = it.tree().join("journals");
    for more in [&[][..], &["--dry-run"]] {
        let mut command = Command::new(Idshift::program());
        command
            .args(["shift", "--map", MAP, "--journal-dir"])
            .arg(&journals);
        Run::of(command.args(more).arg(it.tree()))
            .exits(4)
            .says("--journal-dir");
        assert!(!journals.exists(), "made by a refusal");
    }
}

#[test]
fn a_tree_in_use_refuses_now_and_the_dry_run_says_so() {
    let it = Host::new(Kind::Tmpfs);
    let user = Running::sleep_in(&it.tree());
    it.refuses_now(&it.tree(), "in-use").says("(sleep)");
    drop(user);
    it.passes(&it.tree(), &[]);
}

#[test]
fn an_unfinished_run_refuses_now_and_dry_run_says_so() {
    let it = Host::new(Kind::Tmpfs);
    for n in 0..2000 {
        fs::write(it.tree().join(n.to_string()), "").unwrap();
    }
    let tree = it.tree();
    let args = [
        "shift",
        "--map",
        MAP,
        "--rate",
        "200",
        tree.to_str().unwrap(),
    ];
    let child = it.idshift.spawn(args);
    while !scene::is_unfinished(&it.idshift) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Somebody is at work.
    it.refuses_now(&it.tree(), "other-run").says("kill -INT");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    Run::wait(child).exits(130);
    it.refuses_now(&it.tree(), "unfinished-run")
        .says("idshift resume");
    it.idshift.rollback();
    it.passes(&it.tree(), &[]);
}

#[test]
fn a_loop_device_uses_its_file_until_released() {
    let it = Host::new(Kind::Ext4);
    let at = it.at("mounted");
    let _mounted = it.squashfs_at(&at);
    // The name it has now counts, not the one that it was mounted by.
    fs::rename(it.at("image"), it.tree().join("inside/renamed")).unwrap();
    let run = it.refuses_now(&it.tree(), "in-use").says("backing file");
    do_as_told(&run, "umount");
    let image = it.tree().join("inside/renamed");
    sh("losetup", ["-f", image.to_str().unwrap()]);
    let run = it.refuses_now(&it.tree(), "in-use").says("/dev/loop");
    do_as_told(&run, "losetup -d");
    it.passes(&it.tree(), &[]);
}

#[test]
fn a_swap_file_is_in_use_until_it_is_released_as_told() {
    let it = Host::new(Kind::Ext4);
    let swap = it.tree().join("inside/swap file");
    fs::write(&swap, vec![0; 1 << 20]).unwrap();
    fs::set_permissions(&swap, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    sh("mkswap", [&swap]);
    sh("swapon", [&swap]);
    let run = it.run(&it.tree(), &[]);
    let dry = it.run(&it.tree(), &["--dry-run", "--json"]);
    sh("swapoff", [&swap]);
    let run = run.exits(4).says("swap file").says("`swapoff ");
    assert_eq!(dry.exits(0).json()["would_refuse"][0]["kind"], "in-use");
    drop(run);
    it.passes(&it.tree(), &[]);
}

#[test]
fn an_overlay_uses_trees_in_layers_until_unmounted() {
    let it = Host::new(Kind::Ext4);
    for (lower, upper) in [("tree", "upper"), ("lower", "tree")] {
        let at = [lower, upper, "work", "merged"].map(|name| it.at(name));
        for dir in &at {
            fs::create_dir_all(dir).unwrap();
        }
        let [lower, upper, work, merged] = at.map(|dir| dir.display().to_string());
        let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
        let options = ["-t", "overlay", "-o", &options];
        let _mounted = Mounted::new(&options, Path::new("none"), Path::new(&merged));
        let run = it.refuses_now(&it.tree().join("inside"), "in-use");
        do_as_told(&run.says(&merged), "umount");
        it.passes(&it.tree().join("inside"), &[]);
    }
}

#[test]
fn overlays_left_by_a_dead_daemon_can_be_unmounted() {
    let it = Host::new(Kind::Ext4);
    let top = data_root::filled(&it.at("docker"));
    let layer = top.join("overlay2/left");
    for dir in ["diff", "work", "merged"] {
        fs::create_dir_all(layer.join(dir)).unwrap();
    }
    let at = |name: &str| layer.join(name).display().to_string();
    let (diff, work, merged) = (at("diff"), at("work"), at("merged"));
    let lower = it.at("tree").display().to_string();
    let options = format!("lowerdir={lower},upperdir={diff},workdir={work}");
    let options = ["-t", "overlay", "-o", &options];
    let _mounted = Mounted::new(&options, Path::new("none"), Path::new(&merged));
    let args = |more: &[&str]| scene::docker_args("migrate", &top, more);
    let run = it.idshift.run(args(&[])).exits(4);
    assert!(!run.stderr.contains("systemctl"), "{run}");
    do_as_told(&run, "umount");
    it.idshift.run(args(&[])).exits(0);
}

/// A snapshot below a tree is a subvolume and no mount.
#[test]
fn a_read_only_snapshot_is_told_by_dry_run_and_run() {
    let fs = TestFs::new(Kind::Btrfs);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let (live, snapshot) = (tree.join("live"), tree.join("snapshot"));
    let text = |path: &Path| path.to_str().unwrap().to_string();
    sh("btrfs", ["subvolume", "create", &text(&live)]);
    fs::write(live.join("file"), "").unwrap();
    sh(
        "btrfs",
        [
            "subvolume",
            "snapshot",
            "-r",
            &text(&live),
            &text(&snapshot),
        ],
    );
    let idshift = Idshift::new();
    let run = |more: &[&str]| {
        let args = ["shift", "--map", MAP, &text(&tree)].map(String::from);
        let more = more.iter().copied().map(String::from);
        idshift.run(args.into_iter().chain(more))
    };
    let remedy = format!("btrfs property set -ts {} ro false", text(&snapshot));
    let dry = run(&["--dry-run"]).exits(3);
    assert!(dry.to_string().contains(&remedy), "{dry}");
    let failed = run(&[]).exits(1);
    assert!(failed.to_string().contains(&remedy), "{failed}");
    run(&["--exclude", "snapshot"]).exits(0);
    idshift.rollback();
    sh(
        "btrfs",
        ["property", "set", "-ts", &text(&snapshot), "ro", "false"],
    );
    run(&["--dry-run"]).exits(0);
    run(&[]).exits(0);
}
