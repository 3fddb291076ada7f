//! Pure: which inode of a data-root gets which owner, plain and remapped.
//!
//! As dockerd 20.10 to 29 makes them: directories that a container's root only passes through
//! belong to root and to its group (0710); what containers write belongs to the range; metadata
//! belongs to root (moby `daemon/graphdriver/*`, `container/container_unix.go`,
//! `volume/local/local.go`).

use std::collections::HashSet;

use crate::engine::{Policy, Rule};
use crate::fs::DirPath;
use crate::idmap::Direction;
use crate::ownership::Mode;

/// The layout of one data-root, of which one directory is the docker root: itself, or `<uid>.<gid>`
/// in it.
pub struct Layout {
    /// Which way.
    pub direction: Direction,
    /// The container's root on the host.
    pub root_uid: u32,
    /// The container's root's group on the host.
    pub root_gid: u32,
    /// Name of the docker root in the data-root; `None`: it is the data-root itself.
    pub subdir: Option<String>,
    /// Names in the data-root that are none of this docker root's: other ranges' roots, what was
    /// set aside.
    pub others: HashSet<Vec<u8>>,
    /// Volumes whose content is elsewhere.
    pub elsewhere: HashSet<Vec<u8>>,
    /// Trees in the docker root that somebody keeps there and containers bind: names from the docker
    /// root.
    pub own_trees: Vec<Vec<Vec<u8>>>,
    /// An id does not tell which side of the map it is on.
    pub sides_overlap: bool,
    /// What of the containerd image store becomes layers.
    pub snapshots: Option<SnapshotTrees>,
    /// Name, in the data-root, of the directory in which layers are made.
    pub staging: Option<Vec<u8>>,
}

/// Files of layers that are in containerd.
#[derive(Clone, Debug)]
pub struct SnapshotTrees {
    /// The number of the tree that containerd's directory is in.
    pub root: usize,
    /// The names that lead from its top to the snapshots.
    pub path: Vec<Vec<u8>>,
    /// Those snapshots.
    pub ids: HashSet<Vec<u8>>,
}

impl SnapshotTrees {
    /// None is changed.
    pub fn none(root: usize, path: Vec<Vec<u8>>) -> SnapshotTrees {
        let ids = HashSet::new();
        SnapshotTrees { root, path, ids }
    }

    /// The rule for what has this way from the top of a tree; `None` for what is not on the way to snapshots.
    fn rule(&self, root: usize, way: &[&[u8]]) -> Option<Rule> {
        if root != self.root {
            return None;
        }
        let on_the_way = self.path.iter().zip(way).all(|(a, b)| a == b);
        match on_the_way {
            false => None,
            true if way.len() <= self.path.len() => Some(Rule::Keep),
            true => match way[self.path.len()..] {
                [id] if self.ids.contains(id) => Some(Rule::Keep),
                [id, b"fs", ..] if self.ids.contains(id) => Some(Rule::MapAll),
                _ => Some(Rule::Skip),
            },
        }
    }
}

/// Whether what has this way from a docker root belongs to containers.
pub fn is_content(way: &[&[u8]]) -> bool {
    matches!(
        way,
        [b"containers", _, b"hostname" | b"hosts" | b"resolv.conf"]
            | [b"containers", _, b"mounts", _, ..]
            | [b"volumes", _, b"_data", ..]
            | [
                b"overlay2" | b"fuse-overlayfs",
                _,
                b"diff" | b"work" | b"merged",
                ..
            ]
            | [b"vfs", b"dir", _, ..]
            | [b"btrfs", b"subvolumes", _, ..]
    ) || is_build_file(way)
}

/// Files that BuildKit mounts into its build containers: `resolv.conf`, `resolv-host.conf`, `hosts`, `hosts.<digest>`
/// (`executor/oci` of buildkit).
fn is_build_file(way: &[&[u8]]) -> bool {
    let is_mounted = |name: &[u8]| name.starts_with(b"resolv") || name.starts_with(b"hosts");
    matches!(way, [b"buildkit", b"executor", name] if is_mounted(name))
}

/// The bits that the container's root needs on a directory it passes through.
const PASSABLE: Mode = Mode::from_st_mode(0o710);

impl Layout {
    /// A directory that the container's root passes through.
    pub(super) fn traversal_rule(&self) -> Rule {
        self.directory_rule(0)
    }

    /// A directory above layers that belongs to this user in a remapped root.
    fn directory_rule(&self, remapped_owner: u32) -> Rule {
        let (uid, gid) = match self.direction {
            Direction::Into => (remapped_owner, self.root_gid),
            Direction::OutOf => (0, 0),
        };
        Rule::Set {
            uid,
            gid,
            at_least: PASSABLE,
        }
    }

    /// What containers own. In a plain root all of it is a container's id. In a remapped one some is
    /// not: whiteouts that the kernel made are root's, and what `--userns=host` containers wrote.
    fn content_rule(&self) -> Rule {
        match self.direction {
            Direction::Into => Rule::MapAll,
            Direction::OutOf => Rule::Map,
        }
    }

    /// The rule for a tree of somebody's own, and for what is passed on the way to one. It may be in
    /// the range already.
    fn own_rule(&self, way: &[&[u8]]) -> Option<Rule> {
        let begins_alike = |tree: &Vec<Vec<u8>>| tree.iter().zip(way).all(|(a, b)| a == b);
        let near = self.own_trees.iter().filter(|tree| begins_alike(tree));
        let shortest = near.map(Vec::len).min()?;
        match way {
            _ if shortest <= way.len() && self.sides_overlap => Some(self.content_rule()),
            _ if shortest <= way.len() => Some(Rule::Map),
            [] | [b"volumes"] | [b"volumes", _] => None,
            _ => Some(Rule::Keep),
        }
    }

    /// The rule for what has this way from the docker root; not for what is below it.
    fn rule(&self, way: &[&[u8]]) -> Rule {
        if let Some(rule) = self.own_rule(way) {
            return rule;
        }
        match way {
            [b"volumes", name, b"_data", ..] if self.elsewhere.contains(*name) => Rule::Skip,
            [b"overlay2" | b"fuse-overlayfs", b"l", ..] => Rule::Skip,
            _ if is_content(way) => self.content_rule(),

            [b"containers"] | [b"containers", _] | [b"containers", _, b"mounts"] => {
                self.traversal_rule()
            }
            [b"volumes"] | [b"volumes", _] => Rule::Keep,
            [b"buildkit"] | [b"buildkit", b"executor"] => Rule::Keep,
            [b"overlay2"] | [b"overlay2", _] => self.traversal_rule(),
            // The one driver that gives these to the container's root.
            [b"fuse-overlayfs"] | [b"fuse-overlayfs", _] => self.directory_rule(self.root_uid),
            [b"vfs"] | [b"vfs", b"dir"] | [b"btrfs"] | [b"btrfs", b"subvolumes"] => {
                self.traversal_rule()
            }
            _ => Rule::Skip,
        }
    }

    /// The same, for who has another place for the docker root.
    pub(super) fn rule_of(&self, way: &[&[u8]]) -> Rule {
        self.rule(way)
    }

    /// Whether this name in the data-root is that of the directory in which layers are made.
    fn is_staging(&self, name: &[u8]) -> bool {
        self.staging.as_deref() == Some(name)
    }

    /// The rule where the containerd image store is carried.
    fn snapshot_rule(&self, root: usize, way: &[&[u8]]) -> Option<Rule> {
        let trees = self.snapshots.as_ref()?;
        match trees.rule(root, way) {
            None if root == trees.root && root > 0 => Some(Rule::Skip),
            rule => rule,
        }
    }

    /// The way from the docker root; `None` for what is not in it.
    fn below_docker_root<'w, 'n>(&self, way: &'w [&'n [u8]]) -> Option<&'w [&'n [u8]]> {
        if way.first().is_some_and(|first| self.is_staging(first)) {
            return Some(&way[1..]);
        }
        match &self.subdir {
            None => match way.first() {
                Some(first) if self.others.contains(*first) => None,
                _ => Some(way),
            },
            Some(name) => match way.split_first() {
                Some((first, rest)) if *first == name.as_bytes() => Some(rest),
                _ => None,
            },
        }
    }
}

/// From this depth on, below the docker root, the rule of a directory is that of all in it.
const DEEP: usize = 3;

impl Policy for Layout {
    /// The data-root; behind it come the directories that containers bind.
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0 || self.snapshots.as_ref().is_some_and(|it| it.root == number)
    }

    /// The data-root is the first tree; bind mounts that go along are the others.
    fn root(&self, number: usize) -> Rule {
        match number {
            // A step of its own changes it, as a daemon that tries to start meanwhile changes it too.
            0 => Rule::Keep,
            _ => self.snapshot_rule(number, &[]).unwrap_or(Rule::Map),
        }
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        match self.snapshot_rule(dir.root, &dir.tail(dir.depth)) {
            Some(Rule::Keep) => return None,
            Some(rule) => return Some(rule),
            None => {}
        }
        if dir.root > 0 {
            return Some(Rule::Map);
        }
        let from = usize::from(self.subdir.is_some());
        if dir.depth < from + DEEP {
            return None;
        }
        let way = dir.tail(dir.depth);
        match self.below_docker_root(&way).map(|way| self.rule(way)) {
            None => Some(Rule::Skip),
            // `mounts` is passed through, and what is in it is the containers'. So is what leads to
            // a tree of somebody's own.
            Some(Rule::Set { .. } | Rule::Keep) => None,
            Some(rule) => Some(rule),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut way = dir.tail(dir.depth);
        way.push(name);
        if let Some(rule) = self.snapshot_rule(dir.root, &way) {
            return rule;
        }
        match self.below_docker_root(&way) {
            // The docker root itself: it came or goes with a step of its own.
            Some([]) => Rule::Keep,
            Some(way) => self.rule(way),
            None => Rule::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Identity;

    fn layout(subdir: Option<&str>) -> Layout {
        Layout {
            direction: Direction::Into,
            root_uid: 100_000,
            root_gid: 100_000,
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
            sides_overlap: false,
            snapshots: None,
            staging: None,
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
}
