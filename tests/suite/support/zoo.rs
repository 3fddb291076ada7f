//! A tree with one inode of each kind, and journals of its own.

use std::path::PathBuf;

use super::{Idshift, Kind, Snapshot, TestFs, assert_same, tree};

/// The tree, and what it is at the start.
pub struct Zoo {
    pub fs: TestFs,
    pub tree: PathBuf,
    pub idshift: Idshift,
    pub start: Snapshot,
}

impl Zoo {
    pub fn new(kind: Kind) -> Zoo {
        let fs = TestFs::new(kind);
        let tree = tree::plain_zoo(&fs.path().join("tree"));
        let idshift = Idshift::new();
        let start = Snapshot::of(&tree);
        Zoo {
            fs,
            tree,
            idshift,
            start,
        }
    }

    #[track_caller]
    pub fn is_unchanged(&self, when: &str) {
        assert_same(&self.start, &Snapshot::of(&self.tree), when);
        assert!(
            self.idshift.journal_files().is_empty(),
            "{when}: no journal is left"
        );
    }

    pub fn path(&self) -> &str {
        self.tree.to_str().unwrap()
    }
}
