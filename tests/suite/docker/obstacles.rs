//! What is in the way of a migration and can be seen before it: audit, dry run and run refuse it alike and change nothing, or
//! it is set aside and comes back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::idmapped::{INNER, tiny};
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, Kind, Run, TestFs, data_root, need_root, scene, sh, trace};

/// A data-root made by hand, mostly on ext4: not all filesystems have flags.
struct ByHand {
    _fs: TestFs,
    top: PathBuf,
    idshift: Idshift,
}

impl ByHand {
    fn new() -> ByHand {
        ByHand::on(Kind::Ext4)
    }

    fn on(kind: Kind) -> ByHand {
        let fs = TestFs::new(kind);
        ByHand {
            top: data_root::filled(&fs.path().join("docker")),
            _fs: fs,
            idshift: Idshift::new(),
        }
    }

    fn run(&self, what: &str, more: &[&str]) -> Run {
        let args = scene::docker_args(what, &self.top, more);
        match what {
            "audit" => Run::of(Command::new(Idshift::program()).args(args)),
            _ => self.idshift.run(args),
        }
    }

    /// Dry run and run are refused in the same words, the audit finds it, and nothing is changed.
    fn is_refused(&self, more: &[&str], words: &str) {
        let before = timeless(&snapshot(&self.top));
        for (what, more) in [
            ("migrate", [more, &["--dry-run"]].concat()),
            ("migrate", more.to_vec()),
        ] {
            let run = self.run(what, &more).exits(4);
            assert!(run.stderr.contains(words), "{words:?} in {run}");
        }
        let audited = self.run("audit", &[]);
        assert_ne!(audited.code, Some(0), "{audited}");
        assert!(audited.text().contains(words), "{words:?} in {audited}");
        same(&before, &timeless(&snapshot(&self.top)), words);
    }
}

#[test]
fn an_unused_root_in_the_way_comes_back_whole() {
    need_root();
    let host = ByHand::new();
    let unused = host.top.join(INNER);
    for dir in [
        "image/overlay2",
        "overlay2/l",
        "tmp",
        "volumes",
        "containers",
        "runtimes",
    ] {
        fs::create_dir_all(unused.join(dir)).unwrap();
    }
    fs::write(unused.join("image/overlay2/repositories.json"), "{}").unwrap();
    fs::write(unused.join("volumes/metadata.db"), "old").unwrap();
    let before = timeless(&snapshot(&host.top));
    let run = host.run("migrate", &[]).exits(0);
    let aside = host.top.join("idshift-aside-100000.100000");
    for name in [
        "image/overlay2/repositories.json",
        "volumes/metadata.db",
        "tmp",
        "runtimes",
    ] {
        assert!(aside.join(name).exists(), "{name}: {run}");
    }
    host.idshift.rollback();
    same(&before, &timeless(&snapshot(&host.top)), "rolled back");
}

#[test]
fn inodes_with_flags_that_steps_would_move_are_refused() {
    need_root();
    let host = ByHand::new();
    for (path, flag) in [
        ("", 'i'),
        ("", 'a'),
        ("volumes", 'a'),
        ("image", 'i'),
        ("containers/4567", 'i'),
        ("containers/4567/config.v2.json", 'i'),
        ("containers/4567/config.v2.json", 'a'),
    ] {
        let path = host.top.join(path);
        let path = path.to_str().unwrap().trim_end_matches('/');
        sh("chattr", [&format!("+{flag}"), path]);
        let words = format!("`chattr -{flag} {path}`");
        host.is_refused(&[], &words);
        // The flag is cleared while owners are changed, and not while steps are taken.
        host.is_refused(&["--immutable=clear"], &words);
        sh("chattr", [&format!("-{flag}"), path]);
    }
    host.run("migrate", &[]).exits(0);
    let config = host.top.join(INNER).join("containers/4567/config.v2.json");
    let config = config.to_str().unwrap();
    sh("chattr", ["+i", config]);
    let run = host.run("revert", &[]).exits(4);
    assert!(
        run.stderr.contains(&format!("`chattr -i {config}`")),
        "{run}"
    );
    sh("chattr", ["-i", config]);
    host.run("revert", &[]).exits(0);
}

#[test]
fn what_has_the_place_of_a_directory_is_refused() {
    need_root();
    let host = ByHand::new();
    let holder = host.top.join("idshift-idmapped-100000.100000");
    symlink("/nowhere", &holder).unwrap();
    host.is_refused(
        &["--idmapped"],
        "is a symlink, and a directory is to be made in its place",
    );
    // The other way has no use for it.
    host.run("migrate", &["--dry-run"]).exits(0);
    fs::remove_file(&holder).unwrap();
    host.run("migrate", &["--idmapped", "--dry-run"]).exits(0);
}

/// As tools that write configuration and containers mount single files.
#[test]
fn a_file_that_is_a_mount_point_is_not_to_be_replaced() {
    need_root();
    let host = ByHand::new();
    let etc = tempfile::tempdir().unwrap();
    let json = etc.path().join("daemon.json");
    fs::write(&json, "{}\n").unwrap();
    let config = host.top.join("containers/4567/config.v2.json");
    for path in [&json, &config] {
        let path = path.to_str().unwrap();
        sh("mount", ["--bind", path, path]);
    }
    host.is_refused(&[], config.to_str().unwrap());
    sh("umount", [&config]);
    let run = |more: &[&str]| {
        let named = [
            "docker",
            "migrate",
            "--write-daemon-json",
            "--daemon-json",
            json.to_str().unwrap(),
            "--data-root",
            host.top.to_str().unwrap(),
        ];
        host.idshift.run([&named[..], more].concat())
    };
    let before = timeless(&snapshot(&host.top));
    for more in [&["--dry-run"][..], &[]] {
        run(more)
            .exits(4)
            .says("daemon.json: is a mount point")
            .says("without --write-daemon-json");
    }
    same(&before, &timeless(&snapshot(&host.top)), "refused");
    assert!(host.idshift.journal_files().is_empty());
    sh("umount", [&json]);
    run(&[]).exits(0);
}

/// A remapped Docker 29 changes over to containerd images with it.
#[test]
fn a_change_over_to_containerd_images_is_switched_off() {
    need_root();
    let host = ByHand::new();
    let json = host._fs.path().join("daemon.json");
    let written = r#"{"features":{"containerd-migration":true,"buildkit":true,"containerd-snapshotter":false}}"#;
    fs::write(&json, written).unwrap();
    let (json_path, top) = (json.to_str().unwrap(), host.top.to_str().unwrap());
    let args = [
        "docker",
        "migrate",
        "--data-root",
        top,
        "--daemon-json",
        json_path,
    ];
    for more in [&["--dry-run"][..], &[]] {
        let refused = host.idshift.run([&args[..], more].concat()).exits(4);
        refused
            .says("sets features.containerd-migration")
            .says("Add --write-daemon-json");
    }
    host.idshift
        .run([&args[..], &["--write-daemon-json"]].concat())
        .exits(0);
    let now: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let features = serde_json::json!({"buildkit": true, "containerd-snapshotter": false});
    assert_eq!(
        now,
        serde_json::json!({"features": features, "userns-remap": "default"})
    );
    host.idshift.run(["rollback", "latest"]).exits(0);
    assert_eq!(fs::read_to_string(&json).unwrap(), written);
}

/// As of hosts whose `/etc` is an overlay: what is in its lower layer gets another creation time with the first change.
#[test]
fn settings_in_a_lower_layer_are_written_and_undone() {
    need_root();
    let host = ByHand::new();
    let etc = host._fs.path().join("etc");
    let [lower, upper, work, merged] = ["lower", "upper", "work", "merged"].map(|name| {
        fs::create_dir_all(etc.join(name)).unwrap();
        etc.join(name).to_str().unwrap().to_string()
    });
    fs::create_dir(etc.join("lower/docker")).unwrap();
    fs::write(etc.join("lower/docker/daemon.json"), "{}\n").unwrap();
    let options = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    sh(
        "mount",
        ["-t", "overlay", "-o", &options, "overlay", &merged],
    );
    let json = etc.join("merged/docker/daemon.json");
    let named = [
        "--write-daemon-json",
        "--daemon-json",
        json.to_str().unwrap(),
    ];
    let top = host.top.to_str().unwrap();
    let before = timeless(&snapshot(&host.top));
    let args = ["docker", "migrate", "--data-root", top];
    host.idshift.run([&args[..], &named].concat()).exits(0);
    let set = fs::read_to_string(&json).unwrap();
    assert!(set.contains("userns-remap"), "{set}");
    host.idshift.rollback();
    assert_eq!(fs::read_to_string(&json).unwrap(), "{}\n");
    same(&before, &timeless(&snapshot(&host.top)), "rolled back");
    sh("umount", [merged]);
}

/// A limit that was set for a directory counts what came into it since.
#[test]
fn what_has_another_project_id_than_its_directory_gives_is_refused() {
    need_root();
    let host = ByHand::on(Kind::Xfs);
    let top = host.top.to_str().unwrap();
    sh("chattr", ["-p", "42", top]);
    host.run("migrate", &["--dry-run"]).exits(0);
    sh("chattr", ["+P", top]);
    let containers = host.top.join("containers");
    host.is_refused(&[], &format!("`chattr -p 42 {}", containers.display()));
    host.is_refused(&["--idmapped"], "project id 42");
    // As it advises.
    let run = host.run("migrate", &["--dry-run"]).exits(4);
    let command = run.stderr.split('`').find(|it| it.starts_with("chattr -p"));
    let before = timeless(&snapshot(&host.top));
    sh("sh", ["-c", command.unwrap()]);
    host.run("migrate", &[]).exits(0);
    host.run("revert", &["--dry-run"]).exits(0);
    host.idshift.rollback();
    same(&before, &timeless(&snapshot(&host.top)), "rolled back");
}

#[test]
fn a_mount_in_what_an_idmapped_root_shows_is_refused() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let content = host
        .data_root
        .join("idshift-idmapped-100000.100000/content");
    let hidden: &Path = &content.join("volumes");
    let mounted = TestFs::mount_inside(Kind::Tmpfs, hidden);
    let words = hidden.to_str().unwrap();
    let audited = audit(&host);
    assert_ne!(audited.code, Some(0), "{audited}");
    assert!(audited.text().contains(words), "{audited}");
    for run in [
        migrate(&idshift, &host, &["--dry-run"]),
        migrate(&idshift, &host, &[]),
        revert(&idshift, &host, &["--dry-run"]),
        revert(&idshift, &host, &[]),
    ] {
        let run = run.exits(4);
        assert!(run.stderr.contains(words), "{run}");
        assert!(run.stderr.contains("umount"), "{run}");
    }
    drop(mounted);
    revert(&idshift, &host, &[]).exits(0);
}

/// As of image-based systems, whose `/etc` is a part of the system.
#[test]
fn settings_on_a_read_only_filesystem_are_refused_and_undone() {
    need_root();
    let host = ByHand::new();
    let etc = TestFs::new(Kind::Tmpfs);
    let json = etc.path().join("daemon.json");
    fs::write(&json, "{}\n").unwrap();
    let remount = |how: &str| {
        let point = etc.path();
        let point = point.to_str().unwrap();
        sh("mount", ["-o", &format!("remount,{how}"), point]);
    };
    let args = |more: &[&str]| {
        let words = [
            "docker",
            "migrate",
            "--write-daemon-json",
            "--daemon-json",
            json.to_str().unwrap(),
            "--data-root",
            host.top.to_str().unwrap(),
        ];
        [&words[..], more].concat().join("\0")
    };
    let run = |more: &[&str]| host.idshift.run(args(more).split('\0'));
    let before = timeless(&snapshot(&host.top));
    remount("ro");
    for more in [&["--dry-run"][..], &[]] {
        run(more)
            .exits(4)
            .says("is mounted read-only, so nothing in it can be changed");
    }
    same(&before, &timeless(&snapshot(&host.top)), "refused");
    remount("rw");

    // Read-only only later: a step that was not taken needs nothing to be undone.
    let learning = Idshift::new();
    let all = args(&[]);
    let events = trace::count(&learning.command(all.split('\0')));
    learning.rollback();
    let idshift = Idshift::new();
    assert!(trace::kill_at(
        &idshift.command(all.split('\0')),
        events * 2 / 3
    ));
    assert_eq!(fs::read_to_string(&json).unwrap(), "{}\n");
    remount("ro");
    idshift.rollback();
    same(&before, &timeless(&snapshot(&host.top)), "rolled back");
}

/// A new file takes its place: a hard link would be torn, and a symlink stays.
#[test]
fn settings_of_several_names_are_refused_and_a_symlink_stays() {
    need_root();
    let host = ByHand::new();
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let at = |name: &str| place.path().join(name);
    let (json, other, link) = (at("daemon.json"), at("other.json"), at("link.json"));
    fs::write(&json, "{}\n").unwrap();
    fs::hard_link(&json, &other).unwrap();
    std::os::unix::fs::symlink("daemon.json", &link).unwrap();
    let run = |what: &str, more: &[&str]| {
        let words = ["docker", what, "--write-daemon-json", "--daemon-json"];
        let places = [
            link.to_str().unwrap(),
            "--data-root",
            host.top.to_str().unwrap(),
        ];
        host.idshift.run([&words[..], &places[..], more].concat())
    };
    let before = timeless(&snapshot(&host.top));
    for more in [&["--dry-run"][..], &[]] {
        let refused = run("migrate", more).exits(4);
        let refused = refused.says("has 2 names (hard links)");
        let path = json.display();
        refused.says(&format!(
            "`cp -p {path} {path}.new && mv {path}.new {path}`"
        ));
    }
    same(&before, &timeless(&snapshot(&host.top)), "refused");
    sh(
        "sh",
        [
            "-ec",
            &format!(
                "cd {}; cp -p daemon.json daemon.json.new && mv daemon.json.new daemon.json",
                place.path().display()
            ),
        ],
    );
    run("migrate", &[]).exits(0);
    assert!(fs::read_to_string(&json).unwrap().contains("userns-remap"));
    assert_eq!(fs::read_link(&link).unwrap().to_str(), Some("daemon.json"));
    fs::remove_file(&other).unwrap();
    fs::hard_link(&json, &other).unwrap();
    run("revert", &[]).exits(4).says("has 2 names (hard links)");
    fs::remove_file(&other).unwrap();
    run("revert", &[]).exits(0);
    assert!(!fs::read_to_string(&json).unwrap().contains("userns-remap"));
}
