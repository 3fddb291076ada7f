//! Images and containers in the containerd image store: nothing of them vanishes, as nothing is migrated or reverted.

use std::fs;
use std::path::Path;

use crate::support;
use crate::support::docker::{same, snapshot, timeless};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{Idshift, Run, need_root};
use serde_json::json;

const SNAPSHOTTER: &str = r#"{"features":{"containerd-snapshotter":true}}"#;
const REMAPPED: &str = r#"{"features":{"containerd-snapshotter":true},"userns-remap":"default"}"#;
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// What a user sees.
fn seen(host: &EngineHost) -> [String; 3] {
    let images = host.docker(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    let containers = host.docker(&["ps", "-a", "--format", "{{.Names}}"]);
    [images, containers, host.docker(&["volume", "ls", "-q"])]
}

/// Audit, dry run and run: none goes on, and each says what to do.
fn all_refuse(host: &EngineHost, what: &str, words: &[&str]) {
    let before = snapshot(&host.path("/var/lib/docker"));
    let commands: &[&[&str]] = match what {
        "migrate" => &[
            &["docker", "audit"],
            &["docker", "migrate", "--dry-run"],
            &["docker", "migrate"],
        ],
        _ => &[
            &["docker", "revert", "--dry-run"],
            &["docker", "revert", "--write-daemon-json"],
        ],
    };
    for command in commands {
        let run = host.idshift(command).exits(4);
        let text = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
        for word in words {
            assert!(text.contains(word), "{word} in {run}");
        }
    }
    same(&before, &snapshot(&host.path("/var/lib/docker")), "refused");
}

#[test]
fn what_docker_26_keeps_in_containerd_does_not_vanish_in_a_migration() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.import_tiny("tiny:1");
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.stop_docker();
    // The option may also be on the daemon's command line, or be the default: what is there decides.
    host.write(DAEMON_JSON, "{}");
    all_refuse(&host, "migrate", &["its images", "docker save"]);

    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.start_docker();
    host.docker(&[
        "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
    ]);
    let there = seen(&host);
    host.stop_docker();
    host.write(DAEMON_JSON, "{}");
    all_refuse(
        &host,
        "migrate",
        &["container one", "docker save", "docker commit"],
    );

    // A storage driver's images beside it.
    host.start_docker();
    host.import_tiny("graph:1");
    host.stop_docker();
    all_refuse(&host, "migrate", &["container one"]);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    all_refuse(&host, "migrate", &["features.containerd-snapshotter"]);
    host.start_docker();
    assert_eq!(seen(&host), there);

    // As the refusal says.
    host.docker(&["commit", "one", "one:1"]);
    host.sh("docker save -o /root/images.tar $(docker image ls --filter dangling=false --format '{{.Repository}}:{{.Tag}}')");
    host.docker(&["rm", "one"]);
    host.write(
        DAEMON_JSON,
        r#"{"features":{"containerd-snapshotter":false}}"#,
    );
    host.sh("systemctl restart docker && docker load -i /root/images.tar");
    host.stop_docker();
    host.idshift(&["docker", "migrate", "--write-daemon-json"])
        .exits(0);
    host.start_docker();
    let now = seen(&host);
    for image in ["one:1", "tiny:1", "graph:1"] {
        assert!(now[0].contains(image), "{now:?}");
    }
    host.docker(&[
        "run", "--name", "one", "-v", "data:/d", "one:1", "cat", "/d/f",
    ]);
    // The way back takes along what the storage driver has.
    host.stop_docker();
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);
    host.start_docker();
    assert_eq!(seen(&host)[1], "one");
}

#[test]
fn what_a_remapped_docker_26_keeps_in_containerd_does_not_vanish_in_a_revert() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, REMAPPED);
    host.boot();
    host.import_tiny("tiny:1");
    host.stop_docker();
    all_refuse(&host, "revert", &["its images", "docker save"]);
    host.start_docker();
    host.docker(&[
        "run", "-v", "data:/d", "--name", "one", "tiny:1", "touch", "/d/f",
    ]);
    let there = seen(&host);
    host.stop_docker();
    all_refuse(&host, "revert", &["container one", "docker save"]);
    host.start_docker();
    assert_eq!(seen(&host), there);
}

/// What Docker 29 leaves of its containerd image store in a docker root.
fn docker_29(root: &Path, id: &str) {
    let container = root.join("containers").join(id);
    let config = json!({"ID": id, "Name": "/web", "Driver": "overlayfs", "State": {}, "Config": {"Image": "a"},
        "Image": format!("sha256:{id}"), "ImageManifest": {"digest": format!("sha256:{id}")}});
    for dir in [
        "buildkit/containerd-overlayfs",
        "rootfs/overlayfs",
        "image",
        "volumes/v/_data",
    ] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::create_dir_all(&container).unwrap();
    fs::write(container.join("config.v2.json"), config.to_string()).unwrap();
    fs::write(container.join("hostconfig.json"), "{}").unwrap();
    fs::write(root.join("image/identity-cache.db"), "a file").unwrap();
}

fn carry(idshift: &Idshift, what: &str, root: &Path) -> Run {
    let root = root.to_str().unwrap();
    let args = [
        "docker",
        what,
        "--data-root",
        root,
        "--daemon-json",
        "/nonexistent",
    ];
    idshift.run(args)
}

#[test]
fn a_revert_lets_a_plain_docker_29_take_up_its_containerd_store_again() {
    need_root();
    support::isolation::isolate();
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let top = place.path();
    let inner = top.join("100000.100000");
    let id = "ab".repeat(32);
    docker_29(&inner, &id);
    // A remapped Docker 29 was started on it, and made nothing with its storage driver.
    for dir in [
        "overlay2/l",
        "image/overlay2/layerdb",
        "image/overlay2/imagedb/content/sha256",
    ] {
        fs::create_dir_all(inner.join(dir)).unwrap();
    }
    let before = snapshot(top);
    let idshift = Idshift::new();
    let reverted = carry(&idshift, "revert", top).exits(0);
    reverted.says("kept as idshift-aside-100000.100000");
    // It takes up any storage driver that it finds.
    for name in ["overlay2", "image/overlay2", "100000.100000"] {
        assert!(!top.join(name).exists(), "{name}");
    }
    let aside = top.join("idshift-aside-100000.100000");
    for there in [
        top.join("image/identity-cache.db"),
        top.join("containers").join(&id),
        aside.join("overlay2/l"),
        aside.join("image/overlay2"),
    ] {
        assert!(there.exists(), "{}", there.display());
    }
    idshift.rollback();
    same(&timeless(&before), &timeless(&snapshot(top)), "rolled back");

    // With an image in the storage driver, the plain daemon would go on with that.
    let image = format!("image/overlay2/imagedb/content/sha256/{id}");
    fs::write(inner.join(image), "{}").unwrap();
    let run = carry(&idshift, "revert", top).exits(4);
    assert!(run.stderr.contains("docker rmi"), "{run}");
}

#[test]
fn a_file_of_docker_29_in_image_is_no_storage_driver() {
    need_root();
    support::isolation::isolate();
    let place = tempfile::tempdir_in("/var/tmp").unwrap();
    let id = "cd".repeat(32);
    docker_29(place.path(), &id);
    let idshift = Idshift::new();
    let root = place.path().to_str().unwrap();
    let run = Run::of(std::process::Command::new(Idshift::program()).args([
        "docker",
        "audit",
        "--json",
        "--data-root",
        root,
        "--daemon-json",
        "/nonexistent",
    ]));
    assert_eq!(run.code, Some(4), "{run}");
    assert_eq!(run.json()["drivers"], json!([]));
    let run = carry(&idshift, "migrate", place.path()).exits(4);
    assert!(run.stderr.contains("container web"), "{run}");
    // Images only.
    fs::remove_dir_all(place.path().join("containers")).unwrap();
    let run = carry(&idshift, "migrate", place.path()).exits(4);
    assert!(run.stderr.contains("containerd image store"), "{run}");
}
