use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::containerd::bolt::write::{Node, file};

/// A data-root in which a plain daemon and a remapped one have used their containerd; `images`: the namespaces that have one,
/// but for those with a `!`.
fn data_root(images: &[&str]) -> (tempfile::TempDir, [DockerRoot; 2]) {
    let top = tempfile::tempdir().unwrap();
    let roots = [top.path().to_path_buf(), top.path().join("100000.100000")];
    for root in &roots {
        fs::create_dir_all(root.join("buildkit/containerd-overlayfs")).unwrap();
    }
    let mut root = Node::bucket();
    root.put(&["v1", "version"], [6]);
    for name in images {
        match name.strip_prefix('!') {
            Some(empty) => root.put(&["v1", empty, "labels", "l"], "x"),
            None => root.put(
                &["v1", *name, "images", "a:1", "target", "digest"],
                format!("sha256:{:064}", 1),
            ),
        }
    }
    write(top.path(), &file(&root, 4096));
    let roots = roots.map(|path| DockerRoot { path });
    (top, roots)
}

fn containerd(top: &Path) -> PathBuf {
    top.join("containerd/daemon")
}

fn write(top: &Path, database: &[u8]) {
    let dir = containerd(top).join("io.containerd.metadata.v1.bolt");
    let blobs = containerd(top).join("io.containerd.content.v1.content/blobs/sha256");
    fs::create_dir_all(&dir).unwrap();
    fs::create_dir_all(&blobs).unwrap();
    fs::write(dir.join("meta.db"), database).unwrap();
    fs::write(blobs.join("a"), "a blob").unwrap();
}

#[test]
fn each_daemon_has_what_is_in_its_namespace() {
    let range = "moby-100000.100000";
    for (images, plain, remapped) in [
        (&["moby"][..], true, false),
        (&[range], false, true),
        (&["moby", range], true, true),
        (&["moby", "k8s.io"], true, false),
        (&["moby-2.2"], false, false),
        (&["!moby", range], false, true),
        (&["moby", "!moby-100000.100000"], true, false),
        (&["moby", "mine-100000.100000"], true, true),
        // dockerd may be told another namespace: nobody can tell whose it is.
        (&["other"], true, true),
        (&[], false, false),
    ] {
        let (_top, roots) = data_root(images);
        assert_eq!(
            roots.each_ref().map(|root| has_images(root).unwrap()),
            [plain, remapped],
            "{images:?}"
        );
    }
}

#[test]
fn what_cannot_be_read_may_have_images() {
    let (top, roots) = data_root(&["moby"]);
    write(top.path(), b"no database");
    assert_eq!(
        roots.each_ref().map(|root| has_images(root).unwrap()),
        [true, true]
    );
    let told = content_of(&roots[1]).unwrap().unwrap();
    assert_eq!(told, "images in the containerd image store");
}
