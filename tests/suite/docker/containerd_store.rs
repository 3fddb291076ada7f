//! Images and containers in the containerd image store: nothing of them vanishes, as nothing is migrated or reverted.

use std::fs;
use std::path::Path;

use super::store_images::unread;
use crate::support;
use crate::support::docker::{same, snapshot, timeless};
use crate::support::engine_host::{EngineHost, Release};
use crate::support::{Idshift, Run, long, need_root};
use serde_json::json;

pub(super) const SNAPSHOTTER: &str = r#"{"features":{"containerd-snapshotter":true}}"#;
const REMAPPED: &str = r#"{"features":{"containerd-snapshotter":true},"userns-remap":"default"}"#;
pub(super) const DAEMON_JSON: &str = "/etc/docker/daemon.json";

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

/// Everything that is carried, as users and as Docker see it.
fn all_seen(host: &EngineHost) -> String {
    host.sh(
        "docker images --format '{{.Repository}}:{{.Tag}}' | sort; docker volume ls -q; \
         docker ps -a --format '{{.Names}} {{.Image}}' | sort; \
         for c in one three two; do docker diff $c | sort; docker inspect -f '{{.HostConfig.RestartPolicy.Name}}' $c; done; \
         docker logs one",
    )
}

/// Every layer as `docker save` gives it has the diff id that the image's configuration says.
pub(super) fn saved_layers_are_whole(host: &EngineHost, image: &str) {
    host.docker(&["save", "-o", "/shared/saved.tar", image]);
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let tar = host.shared().join("saved.tar");
    support::output(
        "tar",
        [
            "-C".as_ref(),
            dir.path().as_os_str(),
            "-xf".as_ref(),
            tar.as_os_str(),
        ],
    );
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&fs::read(dir.path().join(name)).unwrap()).unwrap()
    };
    let manifest = &json("manifest.json")[0];
    let config = json(manifest["Config"].as_str().unwrap());
    let layers = manifest["Layers"].as_array().unwrap();
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    assert!(!layers.is_empty() && layers.len() == diff_ids.len());
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let sum = support::output("sha256sum", [dir.path().join(layer.as_str().unwrap())]).stdout;
        let sum = String::from_utf8(sum).unwrap();
        assert_eq!(
            format!("sha256:{}", &sum[..64]),
            diff_id.as_str().unwrap(),
            "{image}"
        );
    }
}

/// `way`: options of the migration.
fn with_own_or_managed_containerd(managed: bool, way: &[&str]) {
    let host = store_with_containers(managed);
    let before = all_seen(&host);
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.sh("mkdir -p /var/lib/containerd");
    let stop = "systemctl stop docker.socket docker; systemctl stop containerd || true";
    let migrate = [&["docker", "migrate", "--write-daemon-json"], way].concat();
    let run = host.idshift(&migrate).exits(4);
    assert!(run.stderr.contains("systemctl stop"), "{run}");
    host.sh(stop);

    let as_was = disk(&host);
    audit_counts_the_store(&host);
    let dry = host.idshift(&[&migrate[..], &["--dry-run"]].concat());
    dry.exits(0);
    let run = host
        .idshift(&[&["docker", "migrate"], way].concat())
        .exits(4);
    assert!(run.stderr.contains("--write-daemon-json"), "{run}");
    same_disk(&host, &as_was, "after a dry run");
    host.idshift(&migrate).exits(0);
    assert_eq!(
        fs::read_to_string(host.path(DAEMON_JSON)).unwrap(),
        "{\n  \"userns-remap\": \"default\"\n}\n"
    );
    host.idshift(&["rollback", "latest"]).exits(0);
    same_disk(&host, &as_was, "rolled back");
    assert_eq!(
        fs::read_to_string(host.path(DAEMON_JSON)).unwrap(),
        SNAPSHOTTER
    );
    // containerd's store works as before.
    host.start_docker();
    assert_eq!(all_seen(&host), before);
    host.sh(stop);

    host.idshift(&migrate).exits(0);
    host.start_docker();
    assert_eq!(all_seen(&host), before);
    the_layers_are_used(&host);

    the_way_back_is_a_plain_root(&host, &before);
}

/// A daemon that runs, with images and containers in containerd: its own containerd, or the host's.
fn store_with_containers(managed: bool) -> EngineHost {
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    if managed {
        let unit = host.path("/etc/systemd/system/containerd.service");
        std::os::unix::fs::symlink("/dev/null", unit).unwrap();
        let alone = "[Service]\nExecStart=\nExecStart=/usr/sbin/dockerd -H fd://\n";
        host.write("/etc/systemd/system/docker.service.d/alone.conf", alone);
    }
    host.boot();
    host.import_tiny("tiny:1");
    host.sh(
        "docker tag tiny:1 reg.example.com:5000/a/b:2
         docker run -v data:/d --name one tiny:1 sh -c 'echo 1 > /d/f; echo w > /w; rm /bin/true; touch /home; chown 7:8 /home; echo said'
         docker commit one committed:1
         docker create --name two --restart=always --init committed:1 sleep 100
         docker run --name three committed:1 sh -c 'rm -rf /w; echo x > /x'
         # As Docker 29 has it with the store.
         install -d -m 700 /var/lib/docker/image
         install -m 600 /etc/hostname /var/lib/docker/image/identity-cache.db",
    );
    host
}

const TOPS: [&str; 2] = ["/var/lib/docker", "/var/lib/containerd"];

fn disk(host: &EngineHost) -> [Vec<String>; 2] {
    TOPS.map(|top| snapshot(&host.path(top)))
}

fn same_disk(host: &EngineHost, before: &[Vec<String>; 2], when: &str) {
    for (n, now) in disk(host).iter().enumerate() {
        let (mut before, mut now) = (before[n].clone(), now.clone());
        // An init layer that lacks a mount point is copied, and so was read.
        if when == "rolled back" {
            (before, now) = (undone(&before), undone(&now));
        }
        same(&before, &now, &format!("{} {when}", TOPS[n]));
    }
}

/// Without what a rollback cannot keep: `image` is made again.
fn undone(lines: &[String]) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        if value["path"] == "image" {
            value.as_object_mut().unwrap().remove("ino");
        }
        value.to_string()
    };
    unread(lines).iter().map(strip).collect()
}

fn audit_counts_the_store(host: &EngineHost) {
    let audit = host.idshift(&["docker", "audit"]).exits(0);
    let text = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(
        text.contains(
            "2 images and 3 containers of the containerd image store become overlay2 layers"
        ),
        "{audit}"
    );
}

fn the_layers_are_used(host: &EngineHost) {
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    for image in ["tiny:1", "committed:1"] {
        saved_layers_are_whole(host, image);
    }
    host.docker(&["start", "-a", "one"]);
    host.docker(&["start", "-a", "three"]);
    host.docker(&[
        "run",
        "--rm",
        "-v",
        "data:/d",
        "committed:1",
        "cat",
        "/d/f",
        "/w",
    ]);
    host.docker(&["commit", "three", "new:1"]);
    saved_layers_are_whole(host, "new:1");
    let owners = host.docker(&["run", "--rm", "committed:1", "ls", "-ln", "/"]);
    assert!(owners.contains(" 7        8 "), "{owners}");
}

/// It has overlay2.
fn the_way_back_is_a_plain_root(host: &EngineHost, before: &str) {
    host.stop_docker();
    host.idshift(&["docker", "revert", "--write-daemon-json"])
        .exits(0);
    let in_range = "find /var/lib/docker -xdev -uid +99999 -o -xdev -gid +99999";
    assert_eq!(host.sh(in_range), "");
    host.start_docker();
    let reverted = all_seen(host);
    let without = |text: &str| text.replace("new:1\n", "");
    assert_eq!(without(&reverted).lines().next(), before.lines().next());
    assert_eq!(host.docker(&["info", "-f", "{{.Driver}}"]), "overlay2");
    host.docker(&["start", "-a", "one"]);
}

#[test]
fn docker_26_images_in_host_containerd_become_layers() {
    need_root();
    with_own_or_managed_containerd(false, &[]);
}

#[test]
fn docker_26_images_in_its_containerd_become_layers() {
    need_root();
    with_own_or_managed_containerd(true, &[]);
}

/// The layers that are made of the store keep their owners, and are seen through a mount.
#[test]
fn docker_26_images_in_containerd_are_remapped_by_a_mount() {
    need_root();
    with_own_or_managed_containerd(false, &["--idmapped"]);
    if long() {
        with_own_or_managed_containerd(true, &["--idmapped"]);
    }
}

#[test]
fn an_uncarriable_store_is_refused_before_a_change() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.import_tiny("tiny:1");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.sh("systemctl stop docker.socket docker containerd");
    let content = "/var/lib/containerd/io.containerd.content.v1.content/blobs/sha256";
    let meta = "/var/lib/containerd/io.containerd.metadata.v1.bolt/meta.db";
    let layer = host.sh(&format!("ls -S {content} | head -1"));
    let (layer, meta) = (host.path(&format!("{content}/{layer}")), host.path(meta));
    let migrate = ["docker", "migrate", "--write-daemon-json"];
    let refused = |word: &str| {
        let before = ["/var/lib/docker", "/var/lib/containerd"].map(|it| snapshot(&host.path(it)));
        let dry_run = [&migrate[..], &["--dry-run"]].concat();
        for args in [&migrate[..], &dry_run, &["docker", "audit"]] {
            let run = host.idshift(args).exits(4);
            let told = format!("{}{}", String::from_utf8_lossy(&run.stdout), run.stderr);
            assert!(told.contains(word), "{word} in {run}");
        }
        for (n, top) in ["/var/lib/docker", "/var/lib/containerd"]
            .iter()
            .enumerate()
        {
            same(&before[n], &snapshot(&host.path(top)), word);
        }
    };
    let change = |path: &Path, with: &dyn Fn(&mut Vec<u8>)| {
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        with(&mut bytes);
        fs::write(path, bytes).unwrap();
        before
    };
    // The content is not what its digest says: in the middle, and at the end.
    for at in [2, 1] {
        let good = change(&layer, &|bytes| {
            let at = bytes.len() / at - 1;
            bytes[at] ^= 1;
        });
        refused(layer.file_name().unwrap().to_str().unwrap());
        fs::write(&layer, good).unwrap();
    }
    let good = change(&layer, &Vec::clear);
    refused(layer.file_name().unwrap().to_str().unwrap());
    fs::remove_file(&layer).unwrap();
    refused("docker pull");
    fs::write(&layer, good).unwrap();

    let good = change(&meta, &|bytes| bytes[..80].fill(0));
    // The other meta page is whole, and may be older.
    let run = host.idshift(&[&migrate[..], &["--dry-run"]].concat());
    assert!(matches!(run.code, Some(0 | 4)), "{run}");
    fs::write(&meta, &good).unwrap();
    change(&meta, &|bytes| bytes.truncate(bytes.len() / 16));
    refused("meta.db");
    fs::write(&meta, &good).unwrap();
    host.idshift(&migrate).exits(0);
}

/// Docker is enabled, so it tries to start by itself at each boot.
#[test]
fn a_conversion_survives_a_reboot_in_the_middle() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.import_tiny("tiny:1");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/w"]);
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    for way in ["rollback", "resume"] {
        let there = seen(&host);
        let diff = host.docker(&["diff", "one"]);
        host.sh("systemctl stop docker.socket docker containerd");
        let args = [
            "idshift",
            "docker",
            "migrate",
            "--write-daemon-json",
            "--rate",
            "3",
        ];
        let mut migration = host.command(&args).spawn().unwrap();
        let moving = host.path("/var/lib/docker/idshift-moving-100000.100000");
        while !moving.exists() {
            assert!(migration.try_wait().unwrap().is_none(), "too fast");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // Layers are renamed by now, and some owners changed.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        host.cut_power();
        migration.wait().unwrap();
        host.boot();
        assert!(!host.try_start_docker(), "it came up on half of its data");
        host.sh("systemctl stop containerd");
        host.idshift(&[way, "latest"]).exits(0);
        host.sh("systemctl start containerd");
        host.start_docker();
        assert_eq!(seen(&host), there, "{way}");
        assert_eq!(host.docker(&["diff", "one"]), diff, "{way}");
        host.docker(&["start", "-a", "one"]);
    }
}

/// With a storage driver's images beside the store.
#[test]
fn a_storage_driver_beside_the_store_is_refused() {
    need_root();
    let mut host = EngineHost::off(Release::Trixie);
    host.write(DAEMON_JSON, SNAPSHOTTER);
    host.boot();
    host.import_tiny("tiny:1");
    host.sh("useradd -r dockremap; echo dockremap:100000:65536 | tee /etc/subuid > /etc/subgid");
    host.docker(&["run", "--name", "one", "tiny:1", "touch", "/f"]);
    host.sh("systemctl stop docker.socket docker");
    host.write(DAEMON_JSON, "{}");
    host.start_docker();
    host.import_tiny("graph:1");
    host.sh("systemctl stop docker.socket docker");
    all_refuse(&host, "migrate", &["container one", "docker save"]);
}

#[test]
fn revert_loses_nothing_docker_26_has_in_containerd() {
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
fn after_revert_docker_29_finds_its_containerd_store() {
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
    // Wherever this machine has one.
    fs::create_dir_all("/etc/containerd").unwrap();
    fs::write("/etc/containerd/config.toml", "root = \"/nonexistent\"\n").unwrap();
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
