//! The way into an idmapped root.
//!
//! The content of layers, volumes and containers stays as it is on disk, and is not walked. The daemon's metadata is root's in
//! a remapped root, too: it gets the ids that the mount shows as those that it has. Else it would be seen as the range's, and a
//! process that got out of its container could change it by the path of the mount.

use std::collections::HashSet;

use super::is_left_alone;
use crate::docker::layer_store::store::STAGED_IMAGES;
use crate::docker::layout::Layout;
use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};
use crate::idmap::MountMap;
use crate::ownership::Mode;

/// Of a plain data-root that is to be mounted. What containers bind outside of it is shifted as ever.
pub struct MakeIdmapped {
    /// Of a root whose owners are changed.
    pub layout: Layout,
    /// What the mount shows.
    pub shown: MountMap,
    /// Files that are rewritten, and get their owner then.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
}

impl MakeIdmapped {
    fn rule(&self, names: &[&[u8]]) -> Rule {
        let names = match names.split_first() {
            // What was made of the containerd image store becomes the root.
            Some((first, [])) if self.is_staging(first) => {
                return self.set(0, self.layout.root_gid, TOP);
            }
            Some((first, rest)) if self.is_staging(first) => match rest.first() {
                // It becomes `image/overlay2`.
                Some(name) if *name == STAGED_IMAGES.as_bytes() => return Rule::ExchangeInRange,
                _ => rest,
            },
            _ => names,
        };
        if is_left_alone(names) {
            return Rule::Skip;
        }
        match self.layout.rule_of(names) {
            // A tree of somebody's own among the daemon's directories.
            Rule::Map | Rule::MapAll => Rule::Skip,
            Rule::Set { uid, gid, at_least } => self.set(uid, gid, at_least),
            _ => Rule::ExchangeInRange,
        }
    }

    /// A directory that is to be seen with this owner.
    fn set(&self, uid: u32, gid: u32, at_least: Mode) -> Rule {
        match self.shown.on_disk(uid, gid) {
            (Some(uid), Some(gid)) => Rule::Set { uid, gid, at_least },
            _ => Rule::ExchangeInRange,
        }
    }

    fn is_staging(&self, name: &[u8]) -> bool {
        self.layout.staging.as_deref() == Some(name)
    }

    /// Whether a tree is that of a containerd of its own, whose snapshots become layers as they are.
    fn is_containerd(&self, root: usize) -> bool {
        let snapshots = self.layout.snapshots.as_ref();
        root > 0 && snapshots.is_some_and(|it| it.root == root)
    }

    fn is_rewritten(&self, names: &[&[u8]]) -> bool {
        let names: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        self.rewritten.contains(&names)
    }
}

/// Mode of the root of a range, as dockerd makes it.
const TOP: Mode = Mode::from_st_mode(0o710);

/// From this depth on the rule of a directory is that of all in it.
const DEEP: usize = 4;

impl Policy for MakeIdmapped {
    fn is_of_containers(&self, number: usize) -> bool {
        number == 0 || self.is_containerd(number)
    }

    fn root(&self, number: usize) -> Rule {
        match number {
            0 => Rule::Keep,
            _ if self.is_containerd(number) => Rule::Keep,
            _ => Rule::Map,
        }
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        if dir.root > 0 {
            return Some(match self.is_containerd(dir.root) {
                true => Rule::Skip,
                false => Rule::Map,
            });
        }
        if dir.depth < DEEP {
            return None;
        }
        let names = dir.tail(dir.depth);
        match self.rule(&names) {
            // Snapshots may be at any depth.
            Rule::ExchangeInRange if dir.depth > DEEP && *names[0] != *b"containerd" => {
                Some(Rule::ExchangeInRange)
            }
            Rule::ExchangeInRange | Rule::Set { .. } => None,
            rule => Some(rule),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut names = dir.tail(dir.depth);
        names.push(name);
        match self.is_rewritten(&names) {
            true => Rule::Keep,
            false => self.rule(&names),
        }
    }

    /// Where directories are passed through, a file is the daemon's: the device of its filesystem, above all.
    fn inode_rule(&self, dir: &DirPath, _name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        match rule {
            Rule::Set { .. } if dir.root == 0 && !stat.is_dir() => Rule::ExchangeInRange,
            rule => rule,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::idmapped::layout::tests::rule;
    use crate::idmap::{Direction, IdMap};

    fn policy() -> MakeIdmapped {
        let names = |path: &str| path.split('/').map(|it| it.as_bytes().to_vec()).collect();
        let map = IdMap::from_specs(&["b:0:100000:65536".parse().unwrap()]).unwrap();
        MakeIdmapped {
            layout: Layout {
                others: HashSet::from([b"200000.200000".to_vec()]),
                elsewhere: HashSet::from([b"nfs".to_vec()]),
                own_trees: vec![names("volumes/bare"), names("appdata/web")],
                staging: Some(b"staging".to_vec()),
                ..Layout::plain(Direction::Into, (100_000, 100_000))
            },
            shown: MountMap::exchange(&map),
            rewritten: HashSet::from([names("containers/c/config.v2.json")]),
        }
    }

    #[test]
    fn metadata_is_exchanged_and_no_content_is_met() {
        // Seen as 0:100000, as a remapped daemon has it.
        let passage = Rule::Set {
            uid: 100_000,
            gid: 0,
            at_least: Mode::from_st_mode(0o710),
        };
        let of_root = Rule::ExchangeInRange;
        for (path, expected) in [
            ("containers", passage),
            ("containers/c", passage),
            ("containers/c/mounts", passage),
            ("containers/c/mounts/shm/x", Rule::Skip),
            ("containers/c/hosts", Rule::Skip),
            ("containers/c/config.v2.json", Rule::Keep),
            ("containers/c/hostconfig.json", of_root),
            ("containers/c/checkpoints/a/b/c", of_root),
            ("overlay2", passage),
            ("overlay2/x", passage),
            ("overlay2/l", of_root),
            ("overlay2/l/ABC", of_root),
            ("overlay2/x/link", of_root),
            ("overlay2/x/diff", Rule::Skip),
            ("overlay2/x/diff/etc/a/b/c", Rule::Skip),
            ("overlay2/x/work", Rule::Skip),
            ("overlay2/x/merged", Rule::Skip),
            ("volumes", of_root),
            ("volumes/metadata.db", of_root),
            ("volumes/backingFsBlockDev", of_root),
            ("volumes/v", of_root),
            ("volumes/v/opts.json", of_root),
            ("volumes/v/_data", Rule::Skip),
            ("volumes/v/_data/a/b/c/d", Rule::Skip),
            ("volumes/nfs/_data", Rule::Skip),
            ("volumes/bare", Rule::Skip),
            ("image/overlay2/layerdb/sha256/a/b", of_root),
            ("network/files/local-kv.db", of_root),
            ("buildkit/executor/resolv.conf", Rule::Skip),
            ("buildkit/content/blobs", of_root),
            // Plugins are not remapped, and go on with the ids that they have.
            ("plugins/p/rootfs/usr/bin/x", of_root),
            ("containerd/daemon/s/snapshots", of_root),
            ("containerd/daemon/s/snapshots/1", Rule::Skip),
            ("containerd/daemon/s/snapshots/1/fs/etc", Rule::Skip),
            ("containerd/daemon/s/blobs/a/b", of_root),
            // A containerd of its own may have its root here.
            ("containerd/s.overlayfs/snapshots", of_root),
            ("containerd/s.overlayfs/snapshots/7/fs/bin/su", Rule::Skip),
            ("containerd/s.stargz/snapshotter/snapshots/7/fs", Rule::Skip),
            ("containerd/s.btrfs/active/7", Rule::Skip),
            ("containerd/content/blobs/sha256/a", of_root),
            ("volumes/v/kept/x", Rule::Skip),
            ("tmp", of_root),
            ("tmp/x/y", Rule::Skip),
            ("appdata", Rule::Skip),
            ("appdata/web/x", Rule::Skip),
            ("lost+found", Rule::Skip),
            ("200000.200000/image", Rule::Skip),
            // What becomes of the containerd image store.
            ("staging", passage),
            ("staging/overlay2", passage),
            ("staging/overlay2/x/link", of_root),
            ("staging/overlay2/x/diff/etc/a/b", Rule::Skip),
            ("staging/image-overlay2", of_root),
            ("staging/image-overlay2/layerdb/sha256/a/b", of_root),
            ("image", of_root),
        ] {
            assert_eq!(rule(&policy(), path), expected, "{path}");
        }
    }
}
