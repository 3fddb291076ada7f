use super::*;
use crate::fs::Identity;

fn layout(subdir: Option<&str>) -> Layout {
    Layout {
        subdir: subdir.map(str::to_string),
        others: HashSet::from([b"200000.200000".to_vec()]),
        elsewhere: HashSet::from([b"nfs".to_vec()]),
        own_trees: vec![
            ["appdata", "web", "a", "b"]
                .map(|name| name.as_bytes().to_vec())
                .to_vec(),
            ["volumes", "bare"]
                .map(|name| name.as_bytes().to_vec())
                .to_vec(),
        ],
        ..Layout::plain(Direction::Into, (100_000, 100_000))
    }
}

fn rule(layout: &Layout, path: &str) -> Rule {
    let names: Vec<&str> = path.split('/').collect();
    let (name, way) = names.split_last().unwrap();
    let none = Identity { ino: 0, born: 0 };
    let mut dir = DirPath::root(0, none, 0);
    for name in way {
        dir = dir.child(name.as_bytes(), none, 0);
    }
    match layout.all_in(&dir) {
        Some(rule) => rule,
        None => layout.name_in(&dir, name.as_bytes()),
    }
}

#[test]
fn out_of_the_range_some_may_be_out_already() {
    let remapped = Layout {
        direction: Direction::OutOf,
        ..layout(None)
    };
    assert_eq!(rule(&remapped, "overlay2/x/diff/etc"), Rule::Map);
    assert_eq!(rule(&remapped, "volumes/v/_data/a"), Rule::Map);
}

#[test]
fn only_the_snapshots_that_become_layers_are_shifted() {
    let names = |path: &str| path.split('/').map(|it| it.as_bytes().to_vec()).collect();
    let managed = Layout {
        snapshots: Some(SnapshotTrees {
            root: 0,
            path: names("containerd/daemon/s/snapshots"),
            ids: HashSet::from([b"7".to_vec()]),
        }),
        staging: Some(b"idshift-convert-1.1".to_vec()),
        others: HashSet::from([b"idshift-convert-1.1".to_vec()]),
        ..layout(None)
    };
    let passage = managed.traversal_rule();
    for (path, expected) in [
        ("containerd", Rule::Keep),
        ("containerd/daemon/s/snapshots", Rule::Keep),
        ("containerd/daemon/s/snapshots/7", Rule::Keep),
        ("containerd/daemon/s/snapshots/7/fs", Rule::MapAll),
        ("containerd/daemon/s/snapshots/7/fs/etc/a/b/c", Rule::MapAll),
        ("containerd/daemon/s/snapshots/7/work", Rule::Skip),
        ("containerd/daemon/s/snapshots/7/work/work/x", Rule::Skip),
        ("containerd/daemon/s/snapshots/8", Rule::Skip),
        ("containerd/daemon/s/snapshots/8/fs/etc", Rule::Skip),
        ("containerd/daemon/s/metadata.db", Rule::Skip),
        ("containerd/daemon/content/blobs/x", Rule::Skip),
        ("idshift-convert-1.1", Rule::Keep),
        ("idshift-convert-1.1/overlay2", passage),
        ("idshift-convert-1.1/overlay2/x", passage),
        ("idshift-convert-1.1/overlay2/x/work", Rule::MapAll),
        ("idshift-convert-1.1/overlay2/l", Rule::Skip),
        ("idshift-convert-1.1/image/overlay2/layerdb/x/y", Rule::Skip),
        ("overlay2/x/diff/etc", Rule::MapAll),
        ("containers/c", passage),
    ] {
        assert_eq!(rule(&managed, path), expected, "{path}");
    }
    let trees = managed.snapshots.clone().unwrap();
    let own = SnapshotTrees {
        root: 2,
        path: names("s/snapshots"),
        ..trees
    };
    let own = Layout {
        snapshots: Some(own),
        ..layout(None)
    };
    assert_eq!(own.root(2), Rule::Keep);
    assert_eq!(own.root(1), Rule::Map);
    for (way, expected) in [
        (&["s", "snapshots", "7", "fs", "x"][..], Rule::MapAll),
        (&["s", "snapshots", "8", "fs", "x"], Rule::Skip),
        (&["content", "x"], Rule::Skip),
    ] {
        let way: Vec<&[u8]> = way.iter().map(|it| it.as_bytes()).collect();
        assert_eq!(own.snapshot_rule(2, &way), Some(expected), "{way:?}");
        assert_eq!(own.snapshot_rule(1, &way), None);
    }
    assert_eq!(rule(&own, "containerd/daemon/s/snapshots/7/fs"), Rule::Skip);
}

#[test]
fn each_part_has_its_rule() {
    let plain = layout(None);
    let passage = plain.traversal_rule();
    let given = plain.directory_rule(100_000);
    for (path, expected) in [
        ("containers", passage),
        ("containers/c", passage),
        ("containers/c/mounts", passage),
        ("containers/c/mounts/shm", Rule::MapAll),
        ("containers/c/mounts/shm/x/y", Rule::MapAll),
        ("containers/c/hosts", Rule::MapAll),
        ("containers/c/config.v2.json", Rule::Skip),
        ("containers/c/checkpoints", Rule::Skip),
        ("overlay2", passage),
        ("overlay2/x", passage),
        ("overlay2/x-init", passage),
        ("overlay2/l", Rule::Skip),
        ("overlay2/l/ABC", Rule::Skip),
        ("overlay2/x/link", Rule::Skip),
        ("overlay2/x/diff", Rule::MapAll),
        ("overlay2/x/diff/etc", Rule::MapAll),
        ("overlay2/x/diff/etc/a/b/c", Rule::MapAll),
        ("overlay2/x/work/work/#1", Rule::MapAll),
        ("vfs/dir/x/etc", Rule::MapAll),
        ("vfs/dir", passage),
        ("btrfs/subvolumes/x/etc/passwd", Rule::MapAll),
        ("volumes", Rule::Keep),
        ("volumes/v", Rule::Keep),
        ("volumes/v/opts.json", Rule::Skip),
        ("volumes/v/_data", Rule::MapAll),
        ("volumes/v/_data/a/b", Rule::MapAll),
        ("volumes/nfs/_data", Rule::Skip),
        ("volumes/metadata.db", Rule::Keep),
        ("fuse-overlayfs", given),
        ("fuse-overlayfs/x", given),
        ("fuse-overlayfs/l", Rule::Skip),
        ("fuse-overlayfs/x/link", Rule::Skip),
        ("fuse-overlayfs/x/diff/etc", Rule::MapAll),
        ("buildkit", Rule::Keep),
        ("buildkit/executor", Rule::Keep),
        ("buildkit/executor/resolv.conf", Rule::MapAll),
        ("buildkit/executor/hosts.0123", Rule::MapAll),
        ("buildkit/executor/runc-log.json", Rule::Skip),
        ("buildkit/content/blobs", Rule::Skip),
        ("image", Rule::Skip),
        ("appdata", Rule::Keep),
        ("appdata/web", Rule::Keep),
        ("appdata/web/a", Rule::Keep),
        ("appdata/web/a/b", Rule::Map),
        ("appdata/web/a/b/c/d", Rule::Map),
        ("appdata/web/a/c", Rule::Skip),
        ("appdata/web/a/c/d", Rule::Skip),
        ("appdata/db", Rule::Skip),
        ("volumes/bare", Rule::Map),
        ("volumes/bare/_other/x", Rule::Map),
        ("200000.200000", Rule::Skip),
    ] {
        assert_eq!(rule(&plain, path), expected, "{path}");
        let in_subdir = layout(Some("100000.100000"));
        if path != "200000.200000" {
            let path = format!("100000.100000/{path}");
            assert_eq!(rule(&in_subdir, &path), expected, "{path}");
            assert_eq!(rule(&in_subdir, "image"), Rule::Skip);
        }
    }
}
