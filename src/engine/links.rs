//! Inodes of several names, met name by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::fs::{DirPath, Stat};

/// What was met of an inode.
struct Met {
    names: u32,
    of: u32,
    /// Its first name.
    first: Option<(Arc<DirPath>, Box<[u8]>)>,
}

/// The inodes of several names that one run met, by device and number.
#[derive(Default)]
pub struct Links {
    met: Mutex<HashMap<(u64, u64), Met>>,
    keeps_names: bool,
}

/// An inode that has names which the run did not meet.
pub struct Outside {
    /// A directory of it that was met.
    pub dir: Arc<DirPath>,
    /// Its name there.
    pub name: Box<[u8]>,
    /// How many names were met, and how many there are.
    pub names: (u32, u32),
}

impl Links {
    /// Remembers a name of each inode, so that [`Links::outside`] can tell.
    pub fn with_names() -> Links {
        Links {
            keeps_names: true,
            ..Links::default()
        }
    }

    /// Counts a name; true for an inode's first.
    pub fn is_first_name(&self, stat: &Stat, dir: &Arc<DirPath>, name: &[u8]) -> bool {
        let mut all = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let inode = (stat.dev, stat.identity.ino);
        let met = all.entry(inode).or_insert_with(|| Met {
            names: 0,
            of: stat.nlink,
            first: self.keeps_names.then(|| (dir.clone(), name.into())),
        });
        met.names += 1;
        met.names == 1
    }

    /// The inodes that have names elsewhere.
    pub fn outside(&self) -> Vec<Outside> {
        let all = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let elsewhere = all.values().filter(|met| met.names < met.of);
        elsewhere
            .filter_map(|met| {
                let (dir, name) = met.first.clone()?;
                let names = (met.names, met.of);
                Some(Outside { dir, name, names })
            })
            .collect()
    }
}
