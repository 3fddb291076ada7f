//! Where the files of snapshots are that become layers.

use std::collections::HashSet;

use crate::engine::Rule;

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

    /// The rule for what has this path from the top of a tree; `None` for what does not lead to snapshots.
    pub(super) fn rule(&self, root: usize, path: &[&[u8]]) -> Option<Rule> {
        if root != self.root {
            return None;
        }
        let agrees = self.path.iter().zip(path).all(|(a, b)| a == b);
        match agrees {
            false => None,
            true if path.len() <= self.path.len() => Some(Rule::Keep),
            true => match path[self.path.len()..] {
                [id] if self.ids.contains(id) => Some(Rule::Keep),
                [id, b"fs", ..] if self.ids.contains(id) => Some(Rule::MapAll),
                _ => Some(Rule::Skip),
            },
        }
    }
}
