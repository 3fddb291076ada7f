//! What the owners of each inode become: those of the one root go through the map.

use crate::engine::{Policy, Rule};
use crate::fs::DirPath;

/// Everything in one directory of the data-root goes through the map.
pub(super) struct InRoot {
    /// Its name.
    pub name: Vec<u8>,
}

impl Policy for InRoot {
    fn is_of_containers(&self, _number: usize) -> bool {
        true
    }

    /// Steps of their own change the data-root and make the new root.
    fn root(&self, _number: usize) -> Rule {
        Rule::Keep
    }

    fn all_in(&self, dir: &DirPath) -> Option<Rule> {
        let path = dir.tail(dir.depth);
        path.first().map(|first| match *first == self.name {
            true => Rule::MapAll,
            false => Rule::Skip,
        })
    }

    fn name_in(&self, _dir: &DirPath, name: &[u8]) -> Rule {
        match name == self.name {
            true => Rule::Keep,
            false => Rule::Skip,
        }
    }
}
