//! Which inode of a store goes through the map, this way or back. A rootless Podman is root of its user namespace: all of a store is the
//! user's, what Podman makes and what containers make.

use std::collections::HashSet;

use super::store::DRIVER;
use crate::docker::rootless::layout::device_rule;
use crate::engine::{Policy, Rule};
use crate::fs::{DirPath, Stat};
use crate::ownership::overlay::OverlayNamespace;

/// Everything in some directories of the first tree, and nothing in any other.
pub(super) struct Layout {
    /// Names in the store that are carried.
    pub carried: HashSet<Vec<u8>>,
    /// Whose attributes overlayfs is to read in layers afterwards.
    pub namespace: OverlayNamespace,
    /// Files that steps write anew, which gives them their owner, or that stay behind: names in the store.
    pub rewritten: HashSet<Vec<Vec<u8>>>,
}

impl Layout {
    fn rule(&self, first: &[u8]) -> Rule {
        match self.carried.contains(first) {
            true if first == DRIVER.as_bytes() => Rule::MapLayer(self.namespace),
            true => Rule::MapAll,
            false => Rule::Skip,
        }
    }

    fn has_rewritten(&self, dir: &[&[u8]]) -> bool {
        let is_below = |names: &Vec<Vec<u8>>| {
            names.len() > dir.len() && names.iter().zip(dir).all(|(name, above)| name == above)
        };
        self.rewritten.iter().any(is_below)
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
            names if self.has_rewritten(names) => None,
            [first, ..] => Some(self.rule(first)),
        }
    }

    fn name_in(&self, dir: &DirPath, name: &[u8]) -> Rule {
        let above = dir.tail(dir.depth);
        let is_it = |names: &Vec<Vec<u8>>| names.iter().eq(above.iter().copied().chain([name]));
        match above[..] {
            [] => self.rule(name),
            _ if self.rewritten.iter().any(is_it) => Rule::Skip,
            [first, ..] => self.rule(first),
        }
    }

    fn inode_rule(&self, _dir: &DirPath, _name: &[u8], stat: &Stat, rule: Rule) -> Rule {
        device_rule(stat, rule, self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::Identity;

    #[test]
    fn attributes_of_overlayfs_are_moved_in_layers_only() {
        let name = |text: &str| text.as_bytes().to_vec();
        let layout = Layout {
            carried: HashSet::from(["overlay", "secrets", "volumes"].map(name)),
            namespace: OverlayNamespace::User,
            rewritten: HashSet::from([
                ["secrets", "secrets.json"].map(name).to_vec(),
                ["volumes", "a", "b"].map(name).to_vec(),
            ]),
        };
        let none = Identity { ino: 0, born: 0 };
        let top = DirPath::root(0, none, 0);
        let layer = Rule::MapLayer(OverlayNamespace::User);
        assert_eq!(layout.all_in(&top), None);
        assert_eq!(layout.all_in(&DirPath::root(1, none, 0)), Some(Rule::Skip));
        for (first, expected) in [("overlay", layer), ("db.sql", Rule::Skip)] {
            assert_eq!(layout.name_in(&top, first.as_bytes()), expected, "{first}");
            let below = top.child(first.as_bytes(), none, 0);
            assert_eq!(layout.all_in(&below), Some(expected), "{first}");
            let below = below.child(b"x", none, 0);
            assert_eq!(layout.all_in(&below), Some(expected), "{first}");
        }
        let volumes = top.child(b"volumes", none, 0);
        let (with, without) = (volumes.child(b"a", none, 0), volumes.child(b"b", none, 0));
        assert_eq!(
            (layout.all_in(&volumes), layout.all_in(&with)),
            (None, None)
        );
        assert_eq!(layout.all_in(&without), Some(Rule::MapAll));
        assert_eq!(layout.name_in(&with, b"b"), Rule::Skip);
        assert_eq!(layout.name_in(&with, b"c"), Rule::MapAll);
        let secrets = top.child(b"secrets", none, 0);
        assert_eq!(layout.all_in(&secrets), None);
        assert_eq!(layout.name_in(&secrets, b"secrets.json"), Rule::Skip);
        assert_eq!(layout.name_in(&secrets, b"secrets.lock"), Rule::MapAll);
        let below = secrets.child(b"filedriver", none, 0);
        assert_eq!(layout.all_in(&below), Some(Rule::MapAll));
    }
}
