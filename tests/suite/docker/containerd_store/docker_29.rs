//! What Docker 29 leaves of its containerd image store in a docker root, made by hand.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support;
use crate::support::docker::{same, snapshot, timeless};
use crate::support::{Idshift, Run, need_root};

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
