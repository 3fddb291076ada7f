//! Whether anything was changed in a store between the plan of a run and its begin.
//!
//! A copy or a conversion is made of what is there, and that takes long. The engine may be started meanwhile
//! (`docker.socket` does so by itself) and be gone again: what containers wrote then would be missing in what was made.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::MoveError;

/// Depth to which directories have sums of their own: `overlay2/ID/diff`, `volumes/NAME/_data`.
const TOLD_APART: usize = 3;

/// An inode as it is; none: there is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp(Option<u64>);

impl Stamp {
    fn of(path: &Path) -> Stamp {
        Stamp(path.symlink_metadata().ok().map(|found| hash(&found)))
    }
}

fn hash(found: &fs::Metadata) -> u64 {
    let mut hasher = DefaultHasher::new();
    (found.dev(), found.ino(), found.mode(), found.size()).hash(&mut hasher);
    (found.mtime(), found.mtime_nsec()).hash(&mut hasher);
    (found.ctime(), found.ctime_nsec()).hash(&mut hasher);
    hasher.finish()
}

/// The files and directories in a directory that are looked at.
type Listed = fn(&Path) -> Vec<PathBuf>;

/// Files that an engine writes whatever it does, as they were.
#[derive(Clone, Debug)]
struct Watched {
    dir: PathBuf,
    listed: Listed,
    before: BTreeMap<PathBuf, Stamp>,
}

/// The state of a store and of other sources of a run, to detect changes.
#[derive(Clone, Debug)]
pub struct Stamps {
    top: PathBuf,
    /// Inode number and mtime of the store. Not its ctime: the mtime shows that something was
    /// made in it, if only for a moment.
    of_top: Option<(u64, i64, i64)>,
    watched: Vec<Watched>,
    /// All that is below some directories, as sums.
    trees: Vec<PathBuf>,
    of_trees: BTreeMap<PathBuf, u64>,
    /// Who else may have changed something, and what helps.
    help: &'static str,
}

impl Stamps {
    /// Of a store, by its path without symlinks. `help`: who else may have changed something in it, and what helps.
    pub fn of(store: &Path, help: &'static str) -> Stamps {
        Stamps {
            of_top: of_top(store),
            top: store.to_path_buf(),
            watched: Vec::new(),
            trees: Vec::new(),
            of_trees: BTreeMap::new(),
            help,
        }
    }

    /// Of what is listed in a directory, too.
    pub fn watch(&mut self, dir: &Path, listed: Listed) {
        self.watched.push(Watched {
            dir: dir.to_path_buf(),
            listed,
            before: stamps(listed(dir)),
        });
    }

    /// Of all that is below these, too, as it is now. `other`: beside the store, only this directory stays watched.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn add_trees(
        &mut self,
        other: Option<&Path>,
        trees: Vec<PathBuf>,
    ) -> Result<(), MoveError> {
        let top = &self.top;
        (self.watched).retain(|it| it.dir == *top || other == Some(it.dir.as_path()));
        self.of_trees = sums(&trees).map_err(MoveError::io(&self.top))?;
        self.trees = trees;
        Ok(())
    }

    /// Accepts what this run has just made in the store.
    pub fn take_top(&mut self) {
        self.of_top = of_top(&self.top);
    }

    /// Checks that nothing has changed. `meanwhile`: what was done since, for the message.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self, meanwhile: &str) -> Result<(), MoveError> {
        let changed = |path: &Path| {
            Err(MoveError::in_the_way(
                path,
                format!(
                    "was changed while {meanwhile}: another program changed it, {}. Then run this again",
                    self.help
                ),
            ))
        };
        if self.of_top != of_top(&self.top) {
            return changed(&self.top);
        }
        for Watched {
            dir,
            listed,
            before,
        } in &self.watched
        {
            if let Some(path) = difference(before, &stamps(listed(dir))) {
                return changed(&path);
            }
        }
        let now = sums(&self.trees).map_err(MoveError::io(&self.top))?;
        match difference(&self.of_trees, &now) {
            Some(path) => changed(&path),
            None => Ok(()),
        }
    }
}

/// The first place that is not the same in both.
fn difference<T: PartialEq>(
    before: &BTreeMap<PathBuf, T>,
    now: &BTreeMap<PathBuf, T>,
) -> Option<PathBuf> {
    let mut paths = before.keys().chain(now.keys());
    paths
        .find(|path| before.get(*path) != now.get(*path))
        .cloned()
}

fn of_top(top: &Path) -> Option<(u64, i64, i64)> {
    let found = top.symlink_metadata().ok()?;
    Some((found.ino(), found.mtime(), found.mtime_nsec()))
}

fn stamps(paths: Vec<PathBuf>) -> BTreeMap<PathBuf, Stamp> {
    let each = paths.into_iter().map(|path| {
        let stamp = Stamp::of(&path);
        (path, stamp)
    });
    each.collect()
}

/// One sum for each directory near the top, over all inodes in it.
fn sums(trees: &[PathBuf]) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut sums = BTreeMap::new();
    for tree in trees {
        for entry in WalkDir::new(tree).same_file_system(true) {
            let entry = entry?;
            let above = entry.depth().saturating_sub(TOLD_APART);
            let place = entry.path().ancestors().nth(above).unwrap_or(tree);
            let found = hash(&entry.metadata()?);
            match sums.get_mut(place) {
                Some(sum) => *sum = u64::wrapping_add(*sum, found),
                None => drop(sums.insert(place.to_path_buf(), found)),
            }
        }
    }
    Ok(sums)
}
