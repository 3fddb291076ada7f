//! Which inode goes through the map. A rootless daemon is root of its user namespace: all of a data-root is the
//! user's, what the daemon makes and what containers make.

use std::collections::HashSet;

use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};
use crate::ownership::{FileType, Mode, OverlayNamespace};

/// The directory of the storage driver whose layers have attributes of overlayfs.
const LAYERS: &[u8] = b"overlay2";

/// Everything in some directories of the first tree, and nothing in any other.
pub(super) struct Layout {
    /// Names in the docker root that are carried.
    pub carried: HashSet<Vec<u8>>,
    /// Whose attributes overlayfs is to read in layers afterwards.
    pub namespace: OverlayNamespace,
    /// Files and symlinks that steps write anew, which gives them their owner: the names that lead to each.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
}

impl Layout {
    /// Whether what is written anew is in this directory, or may be below it: containers, volumes and storage drivers
    /// have a directory each.
    fn leads_to_rewritten(&self, dir: &[&[u8]]) -> bool {
        matches!(
            dir,
            [b"containers" | b"volumes" | b"image"] | [b"containers" | b"volumes" | b"image", _]
        ) && self.rewritten.iter().any(|path| {
            let path = path.iter().map(Vec::as_slice);
            dir.iter()
                .copied()
                .zip(path)
                .all(|(one, other)| one == other)
        })
    }

    fn rule(&self, first: &[u8]) -> Rule {
        match self.carried.contains(first) {
            true if first == LAYERS => Rule::MapLayer(self.namespace),
            true => Rule::MapAll,
            false => Rule::Skip,
        }
    }
}

impl Policy for Layout {
    fn is_of_containers(&self, _number: usize) -> bool {
        true
    }

    /// Steps of their own change the docker roots.
    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        if dir.root > 0 {
            return Some(Rule::Skip);
        }
        let names = dir.tail(dir.depth);
        let first = names.first()?;
        match self.leads_to_rewritten(&names) {
            true => None,
            false => Some(self.rule(first)),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut names = dir.tail(dir.depth);
        names.push(name);
        let path: Vec<Vec<u8>> = names.iter().map(|name| name.to_vec()).collect();
        match self.rewritten.contains(&path) {
            true => Rule::Skip,
            false => self.rule(names[0]),
        }
    }

    fn inode_rule(&self, _dir: &DirPath, _name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        device_rule(stat, rule, self.namespace)
    }
}

/// Whoever owns a device file opens the device with all rights, in a container or not: a disk is one that containers
/// may have made files of. A whiteout opens nothing.
pub(crate) fn device_rule(stat: &Stat, rule: Rule, namespace: OverlayNamespace) -> Rule {
    let is_device = matches!(stat.file_type, FileType::CharDevice | FileType::BlockDevice);
    match (is_device && !stat.whiteout && rule != Rule::Skip, namespace) {
        (true, OverlayNamespace::User) => Rule::Close,
        // One that was closed so stays closed.
        (true, OverlayNamespace::Trusted)
            if (stat.uid, stat.mode) == (0, Mode::from_st_mode(0)) =>
        {
            Rule::Keep
        }
        _ => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Identity;

    fn names(path: &str) -> Vec<Vec<u8>> {
        path.split('/')
            .map(|name| name.as_bytes().to_vec())
            .collect()
    }

    #[test]
    fn attributes_of_overlayfs_are_moved_in_layers_only() {
        let carried = ["overlay2", "volumes", "image"].map(|name| name.as_bytes().to_vec());
        let layout = Layout {
            carried: HashSet::from(carried),
            namespace: OverlayNamespace::User,
            rewritten: HashSet::from([names("volumes/v/opts.json"), names("volumes/w/_data")]),
        };
        let none = Identity { ino: 0, born: 0 };
        let top = DirPath::root(0, none, 0);
        let layer = Rule::MapLayer(OverlayNamespace::User);
        for (name, expected) in [
            ("overlay2", layer),
            ("volumes", Rule::MapAll),
            ("image", Rule::MapAll),
            ("100000.100000", Rule::Skip),
        ] {
            assert_eq!(layout.all_in(&top), None);
            let other = DirPath::root(1, none, 0);
            assert_eq!(layout.all_in(&other), Some(Rule::Skip));
            assert_eq!(layout.name_in(&top, name.as_bytes()), expected);
            let below = top.child(name.as_bytes(), none, 0).child(b"x", none, 0);
            assert_eq!(layout.all_in(&below), Some(expected), "{name}");
        }
        let volumes = top.child(b"volumes", none, 0);
        assert_eq!(layout.all_in(&volumes), None);
        for (name, file, expected) in [
            ("v", "opts.json", Rule::Skip),
            ("v", "_data", Rule::MapAll),
            ("w", "_data", Rule::Skip),
        ] {
            let dir = volumes.child(name.as_bytes(), none, 0);
            assert_eq!(layout.all_in(&dir), None, "{name}");
            assert_eq!(
                layout.name_in(&dir, file.as_bytes()),
                expected,
                "{name}/{file}"
            );
            let below = dir.child(file.as_bytes(), none, 0);
            assert_eq!(layout.all_in(&below), Some(Rule::MapAll), "{name}/{file}");
        }
    }
}
