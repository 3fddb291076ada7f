//! Pure: which inode of a data-root gets which owner, plain and remapped.
//!
//! As dockerd 20.10 to 29 makes them: directories that a container's root only passes through
//! belong to root and to its group (0710); what containers write belongs to the range; metadata
//! belongs to root (moby `daemon/graphdriver/*`, `container/container_unix.go`,
//! `volume/local/local.go`).

mod snapshot_trees;

use std::collections::HashSet;

use super::storage_drivers::{self, DriverPath};
use crate::engine::{Policy, Rule};
use crate::fs::DirPath;
use crate::idmap::Direction;
use crate::ownership::Mode;
pub use snapshot_trees::SnapshotTrees;

/// The layout of one data-root, of which one directory is the docker root: itself, or `<uid>.<gid>`
/// in it.
pub struct Layout {
    /// Into the range or out of it.
    pub direction: Direction,
    /// The container's root on the host.
    pub root_uid: u32,
    /// The container's root's group on the host.
    pub root_gid: u32,
    /// Name of the docker root in the data-root; `None`: it is the data-root itself.
    pub subdir: Option<String>,
    /// Names in the data-root that do not belong to this docker root: roots of other ranges, and
    /// what was set aside.
    pub others: HashSet<Vec<u8>>,
    /// Volumes whose content is elsewhere.
    pub elsewhere: HashSet<Vec<u8>>,
    /// Trees of own data in the docker root that containers bind: names from the docker root.
    pub own_trees: Vec<Vec<Vec<u8>>>,
    /// An id does not tell which side of the map it is on.
    pub sides_overlap: bool,
    /// Snapshots of the containerd image store that become layers.
    pub snapshots: Option<SnapshotTrees>,
    /// Name, in the data-root, of the directory in which layers are made.
    pub staging: Option<Vec<u8>>,
}

/// Whether what has this path from a docker root belongs to containers.
pub fn is_content(path: &[&[u8]]) -> bool {
    matches!(
        path,
        [b"containers", _, b"hostname" | b"hosts" | b"resolv.conf"]
            | [b"containers", _, b"mounts", _, ..]
            | [b"volumes", _, b"_data", ..]
    ) || is_build_file(path)
        || storage_drivers::driver_at(path).is_some_and(|(_, kind)| kind == DriverPath::Content)
}

/// Files that BuildKit mounts into its build containers: `resolv.conf`, `resolv-host.conf`, `hosts`, `hosts.<digest>`
/// (`executor/oci` of buildkit).
fn is_build_file(path: &[&[u8]]) -> bool {
    let is_mounted = |name: &[u8]| name.starts_with(b"resolv") || name.starts_with(b"hosts");
    matches!(path, [b"buildkit", b"executor", name] if is_mounted(name))
}

/// The bits that the container's root needs on a directory it passes through.
const PASSABLE: Mode = Mode::from_st_mode(0o710);

impl Layout {
    /// Of a docker root that is the data-root itself and holds nothing else, for the container's root `uid` and `gid`.
    pub fn plain(direction: Direction, (root_uid, root_gid): (u32, u32)) -> Layout {
        Layout {
            direction,
            root_uid,
            root_gid,
            subdir: None,
            others: HashSet::new(),
            elsewhere: HashSet::new(),
            own_trees: Vec::new(),
            sides_overlap: false,
            snapshots: None,
            staging: None,
        }
    }

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

    /// The rule for a tree of own data, and for the directories that lead to one. It may be in the
    /// range already.
    fn own_rule(&self, path: &[&[u8]]) -> Option<Rule> {
        let begins_alike = |tree: &Vec<Vec<u8>>| tree.iter().zip(path).all(|(a, b)| a == b);
        let near = self.own_trees.iter().filter(|tree| begins_alike(tree));
        let shortest = near.map(Vec::len).min()?;
        match path {
            _ if shortest <= path.len() && self.sides_overlap => Some(self.content_rule()),
            _ if shortest <= path.len() => Some(Rule::Map),
            [] | [b"volumes"] | [b"volumes", _] => None,
            _ => Some(Rule::Keep),
        }
    }

    /// The rule for what has this path from the docker root; not for what is below it.
    fn rule(&self, path: &[&[u8]]) -> Rule {
        if let Some(rule) = self.own_rule(path) {
            return rule;
        }
        match path {
            [b"volumes", name, b"_data", ..] if self.elsewhere.contains(*name) => Rule::Skip,
            _ if is_content(path) => self.content_rule(),

            [b"containers"] | [b"containers", _] | [b"containers", _, b"mounts"] => {
                self.traversal_rule()
            }
            [b"volumes"] | [b"volumes", _] => Rule::Keep,
            [b"buildkit"] | [b"buildkit", b"executor"] => Rule::Keep,
            _ => match storage_drivers::driver_at(path) {
                Some((driver, DriverPath::Passage)) if driver.is_of_container_root => {
                    self.directory_rule(self.root_uid)
                }
                Some((_, DriverPath::Passage)) => self.traversal_rule(),
                _ => Rule::Skip,
            },
        }
    }

    /// The rule of a path, for who has another place for the docker root.
    pub(super) fn rule_of(&self, path: &[&[u8]]) -> Rule {
        self.rule(path)
    }

    /// Whether this name in the data-root is that of the directory in which layers are made.
    fn is_staging(&self, name: &[u8]) -> bool {
        self.staging.as_deref() == Some(name)
    }

    /// The rule if the containerd image store is converted.
    fn snapshot_rule(&self, root: usize, path: &[&[u8]]) -> Option<Rule> {
        let trees = self.snapshots.as_ref()?;
        match trees.rule(root, path) {
            None if root == trees.root && root > 0 => Some(Rule::Skip),
            rule => rule,
        }
    }

    /// The path from the docker root; `None` for what is not in it.
    fn below_docker_root<'w, 'n>(&self, path: &'w [&'n [u8]]) -> Option<&'w [&'n [u8]]> {
        if path.first().is_some_and(|first| self.is_staging(first)) {
            return Some(&path[1..]);
        }
        match &self.subdir {
            None => match path.first() {
                Some(first) if self.others.contains(*first) => None,
                _ => Some(path),
            },
            Some(name) => match path.split_first() {
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
        let path = dir.tail(dir.depth);
        match self.below_docker_root(&path).map(|path| self.rule(path)) {
            None => Some(Rule::Skip),
            // `mounts` is passed through, and what is in it is the containers'. So is what leads to
            // a tree of somebody's own.
            Some(Rule::Set { .. } | Rule::Keep) => None,
            Some(rule) => Some(rule),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut path = dir.tail(dir.depth);
        path.push(name);
        if let Some(rule) = self.snapshot_rule(dir.root, &path) {
            return rule;
        }
        match self.below_docker_root(&path) {
            // The docker root itself: it came or goes with a step of its own.
            Some([]) => Rule::Keep,
            Some(path) => self.rule(path),
            None => Rule::Skip,
        }
    }
}

#[cfg(test)]
mod tests;
