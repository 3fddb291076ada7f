//! Inodes of several names, met name by name.

use std::ffi::CStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use indexmap::IndexMap;
use indexmap::map::Entry;

use crate::fs::{DirPath, LookupEntry, LookupError, Stat};

/// How a run handles an inode that has hard links outside of its trees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutsideLinks {
    /// It is changed like any other.
    #[default]
    Allowed,
    /// It is left as it is, and is a failure.
    Left,
    /// It is left, and the plan is refused.
    Refused,
}

/// Device and inode number.
pub type Key = (u64, u64);

/// The inode's.
pub fn key(stat: &Stat) -> Key {
    (stat.dev, stat.identity.ino)
}

/// Some names of one directory.
#[derive(Debug)]
pub struct NamesInDir {
    /// The directory.
    pub dir: Arc<DirPath>,
    /// Its position in the order of the walk: neighbours in that order are near each other on disk.
    pub nth: usize,
    /// The names, each with a NUL behind it.
    names: Vec<u8>,
}

impl NamesInDir {
    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let names = self.names.strip_suffix(b"\0").unwrap_or(&self.names);
        names.split(|&byte| byte == 0)
    }
}

/// An inode that is decided on after the walk, when all names in the trees were seen.
#[derive(Debug)]
pub struct Deferred {
    /// Which.
    pub inode: Key,
    /// The names by which it was seen.
    pub names: Vec<NamesInDir>,
}

impl Deferred {
    /// By how many names it was seen.
    pub fn count_names(&self) -> usize {
        self.names.iter().map(|some| some.iter().count()).sum()
    }
}

/// An inode that has hard links outside of the trees.
pub struct LinkedOutside {
    /// A directory in which it was seen.
    pub dir: Arc<DirPath>,
    /// Its name there.
    pub name: Box<[u8]>,
    /// How many of its names are in the trees, and how many there are.
    pub names: (u32, u32),
}

/// The inodes with several hard links that one run has seen, by device and inode number.
#[derive(Default)]
pub struct HardLinkTable {
    outside: OutsideLinks,
    known: Mutex<KnownInode>,
    elsewhere: Mutex<Vec<LinkedOutside>>,
}

/// What was seen so far.
#[derive(Default)]
struct KnownInode {
    /// In the order of the walk, with the deferred names; none if the inode was decided on.
    inodes: IndexMap<Key, Vec<NamesInDir>, RandomState>,
    /// Number of deferred names; neighbours in one directory count as one.
    deferred: usize,
}

impl HardLinkTable {
    /// For a run that does this about names outside.
    pub fn new(outside: OutsideLinks) -> HardLinkTable {
        HardLinkTable {
            outside,
            ..HardLinkTable::default()
        }
    }

    /// What is done about names outside.
    pub fn outside(&self) -> OutsideLinks {
        self.outside
    }

    /// Whether an inode is only changed when all its names are known to be in the trees.
    pub fn guards(&self) -> bool {
        self.outside != OutsideLinks::Allowed
    }

    /// True for the first name of an inode that is seen.
    pub fn is_first_name(&self, stat: &Stat) -> bool {
        match lock(&self.known).inodes.entry(key(stat)) {
            Entry::Vacant(first) => {
                first.insert(Vec::new());
                true
            }
            Entry::Occupied(_) => false,
        }
    }

    /// Defers a name until the walk is over. Does nothing if the inode was decided on already.
    pub fn defer(&self, stat: &Stat, dir: &Arc<DirPath>, name: &[u8]) {
        let KnownInode { inodes, deferred } = &mut *lock(&self.known);
        let names = match inodes.entry(key(stat)) {
            Entry::Vacant(first) => first.insert(Vec::new()),
            Entry::Occupied(names) if names.get().is_empty() => return,
            Entry::Occupied(names) => names.into_mut(),
        };
        match names.last_mut() {
            Some(last) if Arc::ptr_eq(&last.dir, dir) => {
                last.names.extend_from_slice(name);
                last.names.push(0);
            }
            _ => {
                *deferred += 1;
                names.push(NamesInDir {
                    dir: Arc::clone(dir),
                    nth: *deferred,
                    names: [name, b"\0"].concat(),
                });
            }
        }
    }

    /// All deferred inodes, in the order of the walk.
    pub fn take_deferred(&self) -> Vec<Deferred> {
        let known = std::mem::take(&mut *lock(&self.known));
        let deferred = known
            .inodes
            .into_iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(inode, names)| Deferred { inode, names });
        deferred.collect()
    }

    /// Remembers an inode that has names outside.
    pub fn add_linked_outside(&self, inode: LinkedOutside) {
        lock(&self.elsewhere).push(inode);
    }

    /// The inodes that have names outside.
    pub fn linked_outside(&self) -> MutexGuard<'_, Vec<LinkedOutside>> {
        lock(&self.elsewhere)
    }
}

/// The reason for an inode that has hard links outside of the trees.
pub(in crate::engine) fn describe_outside_names((there, names): (u32, u32)) -> String {
    format!(
        "has {there} of its {names} hard links in the tree: users of the others would see another owner"
    )
}

/// The inodes that have several names, all of them among these.
pub(in crate::engine) fn inodes_with_all_names_in(
    dir: &DirPath,
    names: &[&CStr],
    lookups: &[Result<LookupEntry, LookupError>],
) -> Vec<Key> {
    let mut found = Vec::new();
    for (name, lookup) in names.iter().zip(lookups) {
        if let Ok(LookupEntry { stat, .. }) = lookup
            && stat.nlink > 1
            && !stat.is_dir()
            // A file mounted over another one is no name of it.
            && !stat.crosses_mount(dir.dev)
        {
            found.push((key(stat), stat.nlink, *name));
        }
    }
    found.sort_unstable();
    // A directory that is changed may have given a name twice.
    found.dedup();
    let same = found.chunk_by(|one, next| one.0 == next.0);
    let whole = same.filter(|same| same.iter().all(|one| one.1 as usize == same.len()));
    whole.map(|same| same[0].0).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::dir::open_dir;
    use crate::fs::stat::stat;

    #[test]
    fn names_wait_for_deferred_inodes_only() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        fs::create_dir(at("d")).unwrap();
        let waiting = stat(open_dir(rustix::fs::CWD, place.path()).unwrap()).unwrap();
        let decided = stat(open_dir(rustix::fs::CWD, &*at("d")).unwrap()).unwrap();
        let one = DirPath::root(0, waiting.identity, waiting.dev);
        let other = one.child(b"d", decided.identity, decided.dev);

        let links = HardLinkTable::new(OutsideLinks::Left);
        links.defer(&waiting, &one, b"c");
        assert!(!links.is_first_name(&waiting));
        links.defer(&waiting, &other, b"a");
        links.defer(&waiting, &other, b"b");
        assert!(links.is_first_name(&decided));
        links.defer(&decided, &one, b"x");

        let deferred = links.take_deferred();
        let [Deferred { inode, names }] = &deferred[..] else {
            panic!("{deferred:?}");
        };
        assert_eq!(*inode, key(&waiting));
        let names: Vec<_> = names.iter().flat_map(NamesInDir::iter).collect();
        assert_eq!(names, [b"c", b"a", b"b"]);
    }
}
