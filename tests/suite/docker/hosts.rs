//! Hosts as they are found in production: what a migration must cope with, or refuse, with a real
//! daemon before and after.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;

use crate::support::daemon::{Daemon, Host};
use crate::support::docker::*;
use crate::support::{Idshift, need_root, sh};
use serde_json::Value;

const INNER: &str = "100000.100000";

pub fn create(daemon: &Daemon<'_>, name: &str, more: &[&str], command: &[&str]) {
    let network = match more.iter().any(|word| word.starts_with("--network=")) {
        true => "--init=false",
        false => "--network=none",
    };
    let start = ["create", "--name", name, network];
    daemon.docker(&[&start[..], more, &["tiny:1"], command].concat());
}

/// Creates it, starts it, waits for its end.
pub fn ran(daemon: &Daemon<'_>, name: &str, more: &[&str], command: &str) -> String {
    create(daemon, name, more, &["sh", "-c", command]);
    daemon.docker(&["start", "-a", name])
}

fn sources(daemon: &Daemon<'_>, container: &str) -> (String, String) {
    let inspect = |what: &str| daemon.docker(&["inspect", "-f", what, container]);
    let mounts = inspect("{{range .Mounts}}{{.Source}} {{end}}");
    (mounts, inspect("{{.HostConfig.Binds}}"))
}

#[test]
fn what_containers_share_is_there_again() {
    need_root();
    let mut host = Host::new();
    let idshift = Idshift::new();
    // The data-root is on the big disk, and reached by a symlink.
    let real = host.beside().join("disk");
    fs::create_dir(&real).unwrap();
    symlink(&real, &host.data_root).unwrap();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    sharing_and_watching(&plain, &host, &real);
    plain.stop();

    audit_tells_what_is_shared(&host);
    migrate(&idshift, &host, &["--create-user", "--set-userns-host"]).exits(0);
    let remapped = host.start(REMAPPED);
    for container in ORDER.into_iter().chain(["whole", "part", "by-real"]) {
        remapped.docker(&["start", container]);
    }
    assert_eq!(remapped.docker(&["logs", "log"]), "hello");
    let now = real.join(INNER);
    let volumes = now.join("volumes").display().to_string();
    assert_eq!(sources(&remapped, "part").0, volumes);
    let (mount, bind) = sources(&remapped, "whole");
    assert_eq!(mount, now.display().to_string());
    assert_eq!(bind, format!("[{}:/docker:ro]", now.display()));
    remapped.docker(&[&["kill"][..], &ORDER].concat());
    remapped.stop();
    revert(&idshift, &host, &[]).exits(0);
    let plain = host.start(&[]);
    for container in ORDER {
        plain.docker(&["start", container]);
    }
    let bind = format!("[{}:/docker:ro]", real.display());
    assert_eq!(sources(&plain, "whole").1, bind);
    plain.docker(&[&["kill"][..], &ORDER].concat());
    plain.stop();
    host.data_root = real;
}

/// Whoever is joined first.
const ORDER: [&str; 7] = [
    "net",
    "base",
    "joins",
    "ipc",
    "device",
    "joins-base",
    "oddly",
];

/// Containers that share what is the host's or another container's, and such that watch a daemon's files.
fn sharing_and_watching(plain: &Daemon<'_>, host: &Host, real: &Path) {
    let long = ["sleep", "1000"];
    create(plain, "net", &["--network=host"], &long);
    create(plain, "joins", &["--network=container:net"], &long);
    create(plain, "ipc", &["--ipc=host"], &long);
    create(
        plain,
        "device",
        &["--device", "/dev/null:/dev/zilch"],
        &long,
    );
    create(plain, "base", &[], &long);
    create(plain, "joins-base", &["--network=container:base"], &long);
    create(
        plain,
        "oddly",
        &[
            "--cap-add=NET_ADMIN",
            "--read-only",
            "--uts=host",
            "--cgroupns=host",
        ],
        &long,
    );
    // Things that watch a daemon's files: cadvisor, log shippers, backups.
    let at = host.data_root.to_str().unwrap().to_string();
    let whole = format!("{at}/:/docker:ro");
    create(plain, "whole", &["-v", &whole], &["true"]);
    let part = format!("type=bind,src={at}/volumes,dst=/volumes");
    create(plain, "part", &["--mount", &part], &["true"]);
    let by_real = format!("{}/containers:/c:ro", real.display());
    create(plain, "by-real", &["-v", &by_real], &["true"]);
    assert_eq!(
        ran(plain, "log", &["--log-driver=local"], "echo hello"),
        "hello"
    );
}

fn audit_tells_what_is_shared(host: &Host) {
    let audited = audit_with(host, &["--json"]);
    let told: Value = serde_json::from_slice(&audited.stdout).unwrap();
    let mounts = told["bind_mounts"].as_array().unwrap();
    assert_eq!(mounts.len(), 3);
    assert!(
        mounts.iter().all(|it| it["kind"] == "data-root"),
        "{audited}"
    );
    let troubled = told["containers"].as_array().unwrap().iter();
    let mut troubled: Vec<&str> = troubled
        .map(|it| it["container"].as_str().unwrap())
        .collect();
    troubled.sort();
    assert_eq!(troubled, ["device", "ipc", "joins", "net"]);
}

#[test]
fn what_is_only_linked_to_is_not_lost_sight_of() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    ran(
        &plain,
        "one",
        &["-v", "vol:/v", "-v", "far:/far"],
        "echo x > /v/x; echo y > /far/y",
    );
    plain.stop();
    let at = |below: &str| host.data_root.join(below);
    let beside = |name: &str| host.beside().join(name);

    // All volumes on another disk, by a symlink: half of the host would be left behind.
    fs::rename(at("volumes"), beside("volumes")).unwrap();
    symlink(beside("volumes"), at("volumes")).unwrap();
    let start = snapshot(&host.data_root);
    assert_eq!(audit(&host).code, Some(3));
    let refused = migrate(&idshift, &host, &["--create-user"]).exits(4);
    assert!(refused.stderr.contains("is a symlink to"), "{refused}");
    same(&start, &snapshot(&host.data_root), "refused");
    fs::remove_file(at("volumes")).unwrap();
    fs::rename(beside("volumes"), at("volumes")).unwrap();

    // One volume elsewhere: it stays as it is, and is named.
    fs::rename(at("volumes/far/_data"), beside("far")).unwrap();
    symlink(beside("far"), at("volumes/far/_data")).unwrap();
    let help = format!(
        "idshift prepare --subid dockremap {}",
        beside("far").display()
    );
    let audited = audit(&host).exits(0);
    assert!(audited.text().contains(&help), "{audited}");

    // A backup that shares files by hard links would change its owners too.
    fs::hard_link(at("volumes/vol/_data/x"), beside("backup")).unwrap();
    assert_eq!(audit(&host).code, Some(3));
    let refused = migrate(&idshift, &host, &[]).exits(4);
    assert!(
        refused.stderr.contains("--allow-outside-links"),
        "{refused}"
    );
    fs::remove_file(beside("backup")).unwrap();

    let told = migrate(&idshift, &host, &[]).exits(0);
    assert!(told.stderr.contains(&help), "{told}");
    assert_eq!(fs::metadata(beside("far/y")).unwrap().uid(), 0);
    idshift
        .run(["prepare", beside("far").to_str().unwrap()])
        .exits(0);
    let remapped = host.start(REMAPPED);
    let both = ["-v", "vol:/v", "-v", "far:/far"];
    let look = "cat /v/x /far/y && echo n >> /far/y && stat -c %u /far/y";
    assert_eq!(ran(&remapped, "two", &both, look), "x\ny\n0");
    remapped.stop();
}

#[test]
fn swarm_plugins_and_device_nodes_go_along() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let plain = host.start(&[]);
    plain.import_tiny("tiny:1");
    let plugin = host.beside().join("plugin");
    fs::create_dir_all(plugin.join("rootfs")).unwrap();
    fs::copy("/bin/busybox", plugin.join("rootfs/busybox")).unwrap();
    let config = serde_json::json!({"description": "x", "entrypoint": ["/busybox", "sleep", "1"],
        "interface": {"types": ["docker.volumedriver/1.0"], "socket": "x.sock"},
        "network": {"type": "none"}, "linux": {}});
    fs::write(plugin.join("config.json"), config.to_string()).unwrap();
    plain.docker(&["plugin", "create", "me/plug:1", plugin.to_str().unwrap()]);
    plain.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let seen = |daemon: &Daemon<'_>| {
        let plugins = daemon.docker(&["plugin", "ls", "--no-trunc"]);
        // A leader that starts has to be chosen first.
        let start = std::time::Instant::now();
        loop {
            let nodes = daemon.try_docker(&["node", "ls", "-q"]);
            if nodes.code == Some(0) {
                return (plugins, nodes.text());
            }
            assert!(start.elapsed().as_secs() < 30, "{nodes}");
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    };
    let before = seen(&plain);
    plain.stop();
    // Where there are project quotas, the daemon keeps such a node.
    let node = "overlay2/backingFsBlockDev";
    sh(
        "mknod",
        [
            "-m",
            "600",
            host.data_root.join(node).to_str().unwrap(),
            "b",
            "7",
            "200",
        ],
    );
    let audited = audit(&host).exits(0);
    for words in ["this host is in a swarm", "plugins            1 installed"] {
        assert!(audited.text().contains(words), "{audited}");
    }
    migrate(&idshift, &host, &["--create-user"]).exits(0);
    let found = fs::symlink_metadata(host.data_root.join(INNER).join(node)).unwrap();
    assert!(found.file_type().is_block_device());
    assert_eq!(
        (found.uid(), found.gid(), found.mode() & 0o7777),
        (0, 0, 0o600)
    );
    let remapped = host.start(REMAPPED);
    assert_eq!(seen(&remapped), before);
    remapped.docker(&["swarm", "leave", "--force"]);
    remapped.stop();
}

#[test]
fn containers_outliving_their_daemon_refuse_migrate() {
    need_root();
    let host = Host::new();
    let idshift = Idshift::new();
    let plain = host.start(&["--live-restore"]);
    plain.import_tiny("tiny:1");
    create(&plain, "lives", &[], &["sleep", "1000"]);
    plain.docker(&["start", "lives"]);
    plain.stop();
    let start = fs::read_dir(&host.data_root).unwrap().count();
    let refused = migrate(&idshift, &host, &["--create-user"]).exits(4);
    refused.says("`docker stop lives`");
    let audited = audit(&host);
    assert!(audited.text().contains("1 running: lives"), "{audited}");
    assert_eq!(fs::read_dir(&host.data_root).unwrap().count(), start);

    // One that starts without the option ends them.
    host.start(&[]).stop();
    migrate(&idshift, &host, &[]).exits(0);
    // A daemon that ran, though it made nothing, has touched what a rollback would move.
    host.start(REMAPPED).stop();
    let refused = idshift.run(["rollback", "latest"]).exits(4);
    assert!(refused.stderr.contains("docker revert"), "{refused}");
    revert(&idshift, &host, &[]).exits(0);
    host.start(&[]).docker(&["start", "lives"]);
    assert!(Path::new(&host.data_root).join("overlay2").is_dir());
}
