//! Inodes that change, by directory.

use std::collections::{BTreeMap, HashMap};

use crate::engine::report::Owners;
use crate::ownership::Ownership;

/// Directories are told apart down to so many levels below a root; what is deeper counts for the one above.
const DEEPEST: usize = 6;

/// A directory.
#[derive(Debug, Default)]
pub struct Dir {
    /// Inodes in it and below that change.
    pub inodes: u64,
    /// The same by owner before and after.
    pub owners: HashMap<Owners, u64>,
    /// Directories in it.
    pub dirs: BTreeMap<Vec<u8>, Dir>,
}

/// The trees of a manifest or journal.
#[derive(Debug, Default)]
pub struct Tree {
    /// By the path of the root.
    pub roots: BTreeMap<Vec<u8>, Dir>,
}

impl Tree {
    /// Counts an inode: `way` are the directories from the root to it.
    pub fn add<'n>(
        &mut self,
        root: &[u8],
        way: impl IntoIterator<Item = &'n [u8]>,
        (before, after): (&Ownership, &Ownership),
    ) {
        let owners = ((before.uid, before.gid), (after.uid, after.gid));
        if !self.roots.contains_key(root) {
            self.roots.insert(root.to_vec(), Dir::default());
        }
        let Some(mut dir) = self.roots.get_mut(root) else {
            return;
        };
        dir.count(owners);
        for name in way.into_iter().take(DEEPEST) {
            if !dir.dirs.contains_key(name) {
                dir.dirs.insert(name.to_vec(), Dir::default());
            }
            let Some(below) = dir.dirs.get_mut(name) else {
                return;
            };
            below.count(owners);
            dir = below;
        }
    }

    /// All inodes.
    pub fn inodes(&self) -> u64 {
        self.roots.values().map(|dir| dir.inodes).sum()
    }

    /// Owners before and after, those of most inodes first.
    pub fn owners(&self) -> Vec<(Owners, u64)> {
        let mut all: HashMap<Owners, u64> = HashMap::new();
        for dir in self.roots.values() {
            for (owners, count) in &dir.owners {
                *all.entry(*owners).or_default() += count;
            }
        }
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(owners, count)| (std::cmp::Reverse(*count), *owners));
        all
    }
}

impl Dir {
    fn count(&mut self, owners: Owners) {
        self.inodes += 1;
        *self.owners.entry(owners).or_default() += 1;
    }

    /// The owner that most inodes have before.
    pub fn main_owner(&self) -> Option<(u32, u32)> {
        let most = self
            .owners
            .iter()
            .max_by_key(|(owners, count)| (**count, std::cmp::Reverse(**owners)));
        most.map(|(owners, _)| owners.0)
    }
}
