//! Inodes that change, by directory.

use std::collections::{BTreeMap, HashMap};

use crate::engine::stats::OwnerChange;
use crate::ownership::Ownership;

/// Directories are listed down to so many levels below a root; deeper ones count for the one above.
const DEEPEST: usize = 6;

/// Most directories that are listed. If there are more, the deepest level is dropped, and counts
/// for the one above. So memory does not grow with the tree.
const MOST_DIRS: usize = 30_000;

/// A directory.
#[derive(Debug, Default)]
pub struct Dir {
    /// Inodes in it and below that change.
    pub inodes: u64,
    /// Inodes by owner before and after.
    pub owners: HashMap<OwnerChange, u64>,
    /// Directories in it.
    pub dirs: BTreeMap<Vec<u8>, Dir>,
}

/// The trees of a manifest or journal.
#[derive(Debug)]
pub struct Tree {
    /// By the path of the root.
    pub roots: BTreeMap<Vec<u8>, Dir>,
    /// Levels below a root that are told apart.
    levels: usize,
    /// Directories in all roots.
    dirs: usize,
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            roots: BTreeMap::new(),
            levels: DEEPEST,
            dirs: 0,
        }
    }
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
        for name in way.into_iter().take(self.levels) {
            if !dir.dirs.contains_key(name) {
                dir.dirs.insert(name.to_vec(), Dir::default());
                self.dirs += 1;
            }
            let Some(below) = dir.dirs.get_mut(name) else {
                return;
            };
            below.count(owners);
            dir = below;
        }
        while self.dirs > MOST_DIRS && self.levels > 0 {
            self.levels -= 1;
            let levels = self.levels;
            self.dirs = self.roots.values_mut().map(|dir| dir.cut(levels)).sum();
        }
    }

    /// All inodes.
    pub fn inodes(&self) -> u64 {
        self.roots.values().map(|dir| dir.inodes).sum()
    }

    /// Owners before and after, those of most inodes first.
    pub fn owners(&self) -> Vec<(OwnerChange, u64)> {
        let mut all: HashMap<OwnerChange, u64> = HashMap::new();
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
    /// Gives up what is more than so many levels below; the directories that are left there.
    fn cut(&mut self, levels: usize) -> usize {
        if levels == 0 {
            self.dirs.clear();
            return 0;
        }
        let below = self.dirs.values_mut();
        let deeper: usize = below.map(|dir| dir.cut(levels - 1)).sum();
        self.dirs.len() + deeper
    }

    fn count(&mut self, owners: OwnerChange) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ownership::{Mode, OwnershipXattrs};

    #[test]
    fn directories_do_not_grow_with_the_tree() {
        let owned = |uid| {
            Ownership::new(
                uid,
                uid,
                Mode::from_st_mode(0o644),
                OwnershipXattrs::default(),
            )
        };
        let (before, after) = (owned(0), owned(100_000));
        let mut tree = Tree::default();
        for n in 0..200_000_u32 {
            let names = [n % 200, n % 40_000, n].map(|n| n.to_string());
            let names = names.iter().map(String::as_bytes);
            tree.add(b"/srv", names, (&before, &after));
        }
        fn dirs(dir: &Dir) -> usize {
            dir.dirs.len() + dir.dirs.values().map(dirs).sum::<usize>()
        }
        let root = &tree.roots[&b"/srv"[..]];
        assert!(dirs(root) <= MOST_DIRS, "{}", dirs(root));
        // What is left says the same as before, of what is below it too.
        assert_eq!(root.dirs.len(), 200);
        assert_eq!(root.dirs[&b"7"[..]].inodes, 1_000);
        assert_eq!(tree.inodes(), 200_000);
    }
}
