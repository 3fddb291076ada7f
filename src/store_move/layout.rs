//! Which inode of a store goes through the map, this way or back. A rootless engine is root of its user namespace: all of its
//! store is the user's, what the engine makes and what containers make.

use std::collections::HashSet;

use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};
use crate::ownership::{FileType, Mode, OverlayNamespace};

/// Everything in some directories of the first tree, and nothing in any other.
pub struct Layout {
    /// The directory of the storage driver whose layers have attributes of overlayfs.
    layers: &'static str,
    /// Names in the store that are carried.
    carried: HashSet<Vec<u8>>,
    /// Whose attributes overlayfs is to read in layers afterwards.
    namespace: OverlayNamespace,
    /// Files and symlinks that steps write anew, which gives them their owner, or that stay behind: paths in the store.
    rewritten: HashSet<Vec<u8>>,
    /// The directories on the way to them.
    above: HashSet<Vec<u8>>,
    /// The most names that such a path has.
    deepest: usize,
}

impl Layout {
    /// `layers`: the directory of the storage driver whose layers have attributes of overlayfs; `carried`: names in the store
    /// that are carried; `namespace`: whose attributes overlayfs is to read afterwards; `rewritten`: the names that lead to
    /// what steps write anew, or leave behind.
    pub fn new(
        layers: &'static str,
        carried: impl IntoIterator<Item = impl Into<Vec<u8>>>,
        namespace: OverlayNamespace,
        rewritten: &HashSet<Vec<Vec<u8>>>,
    ) -> Layout {
        let above = rewritten
            .iter()
            .flat_map(|names| (1..names.len()).map(|n| names[..n].join(&b'/')));
        Layout {
            layers,
            carried: carried.into_iter().map(Into::into).collect(),
            namespace,
            above: above.collect(),
            rewritten: rewritten.iter().map(|names| names.join(&b'/')).collect(),
            deepest: rewritten.iter().map(Vec::len).max().unwrap_or(0),
        }
    }

    fn rule(&self, first: &[u8]) -> Rule {
        match self.carried.contains(first) {
            true if first == self.layers.as_bytes() => Rule::MapLayer(self.namespace),
            true => Rule::MapAll,
            false => Rule::Skip,
        }
    }
}

impl Policy for Layout {
    fn is_of_containers(&self, _number: usize) -> bool {
        true
    }

    /// Steps of their own change the directory of the store.
    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        if dir.root > 0 {
            return Some(Rule::Skip);
        }
        match &dir.tail(dir.depth)[..] {
            [] => None,
            names if names.len() < self.deepest && self.above.contains(&names.join(&b'/')) => None,
            [first, ..] => Some(self.rule(first)),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let mut names = dir.tail(dir.depth);
        names.push(name);
        match names.len() <= self.deepest && self.rewritten.contains(&names.join(&b'/')) {
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
fn device_rule(stat: &Stat, rule: Rule, namespace: OverlayNamespace) -> Rule {
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

    #[test]
    fn attributes_of_overlayfs_are_moved_in_layers_only() {
        let names = |path: &str| -> Vec<Vec<u8>> {
            path.split('/')
                .map(|name| name.as_bytes().to_vec())
                .collect()
        };
        let rewritten = [
            "secrets/secrets.json",
            "volumes/v/opts.json",
            "volumes/w/_data",
        ];
        let layout = Layout::new(
            "overlay2",
            ["overlay2", "secrets", "volumes"],
            OverlayNamespace::User,
            &HashSet::from(rewritten.map(names)),
        );
        let none = Identity { ino: 0, born: 0 };
        let top = DirPath::root(0, none, 0);
        let layer = Rule::MapLayer(OverlayNamespace::User);
        assert_eq!(layout.all_in(&top), None);
        assert_eq!(layout.all_in(&DirPath::root(1, none, 0)), Some(Rule::Skip));
        for (first, expected) in [
            ("overlay2", layer),
            ("db.sql", Rule::Skip),
            ("100000.100000", Rule::Skip),
        ] {
            assert_eq!(layout.name_in(&top, first.as_bytes()), expected, "{first}");
            let below = top.child(first.as_bytes(), none, 0);
            assert_eq!(layout.all_in(&below), Some(expected), "{first}");
            let below = below.child(b"x", none, 0);
            assert_eq!(layout.all_in(&below), Some(expected), "{first}");
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
        let other = volumes.child(b"x", none, 0);
        assert_eq!(layout.all_in(&other), Some(Rule::MapAll));
        let secrets = top.child(b"secrets", none, 0);
        assert_eq!(layout.all_in(&secrets), None);
        assert_eq!(layout.name_in(&secrets, b"secrets.json"), Rule::Skip);
        assert_eq!(layout.name_in(&secrets, b"secrets.lock"), Rule::MapAll);
        let below = secrets.child(b"filedriver", none, 0);
        assert_eq!(layout.all_in(&below), Some(Rule::MapAll));
    }
}
