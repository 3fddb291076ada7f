//! The path of a directory, from the root of the walk.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::fs::Root;
use crate::fs::stat::{Identity, Stat};

/// The path of a directory: which root, and the names from there. Shared between all below it, so
/// that a tree of any depth costs one name a directory.
///
/// It is for records and messages, and for a thread that has to open the directory anew, component
/// by component; never a string to hand to the kernel.
#[derive(Debug)]
pub struct DirPath {
    parent: Option<Arc<DirPath>>,
    pub(super) name: Box<[u8]>,
    /// Which of the run's roots it lies below.
    pub root: usize,
    /// Components below the root; 0 for the root itself.
    pub depth: usize,
    /// The directory's inode.
    pub identity: Identity,
    /// Its `st_dev`.
    pub dev: u64,
    /// The mount that it was met on, as in [`Stat`]; 0: any.
    pub mount_id: u64,
}

impl DirPath {
    /// The root directory with this number, on any mount.
    pub fn root(root: usize, identity: Identity, dev: u64) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: None,
            name: Box::default(),
            root,
            depth: 0,
            identity,
            dev,
            mount_id: 0,
        })
    }

    /// A tree's top, as it is pinned.
    pub fn top(number: usize, root: &Root) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: None,
            name: Box::default(),
            root: number,
            depth: 0,
            identity: root.identity,
            dev: root.dev,
            mount_id: root.mount_id,
        })
    }

    /// The directory `name` in this one, on the same mount.
    pub fn child(self: &Arc<Self>, name: &[u8], identity: Identity, dev: u64) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: Some(Arc::clone(self)),
            name: name.into(),
            root: self.root,
            depth: self.depth + 1,
            identity,
            dev,
            mount_id: self.mount_id,
        })
    }

    /// The directory `name` in this one, as it was met.
    pub fn met(self: &Arc<Self>, name: &[u8], stat: &Stat) -> Arc<DirPath> {
        Arc::new(DirPath {
            parent: Some(Arc::clone(self)),
            name: name.into(),
            root: self.root,
            depth: self.depth + 1,
            identity: stat.identity,
            dev: stat.dev,
            mount_id: stat.mount_id,
        })
    }

    /// The directory it lies in; `None` for a root.
    pub fn parent(&self) -> Option<&Arc<DirPath>> {
        self.parent.as_ref()
    }

    /// The last `count` names of the path, outermost first.
    pub fn tail(&self, count: usize) -> Vec<&[u8]> {
        let mut names = Vec::with_capacity(count);
        let mut here = Some(self);
        while let Some(dir) = here.filter(|_| names.len() < count) {
            names.push(&dir.name[..]);
            here = dir.parent.as_deref();
        }
        names.reverse();
        names
    }

    /// How many leading names this path shares with `other`: 0 when the roots differ.
    pub fn shared_depth(self: &Arc<Self>, other: &Arc<DirPath>) -> usize {
        if self.root != other.root {
            return 0;
        }
        let (mut a, mut b) = (self, other);
        while !Arc::ptr_eq(a, b) {
            let deeper = if a.depth >= b.depth { &mut a } else { &mut b };
            match &deeper.parent {
                Some(parent) => *deeper = parent,
                None => return 0,
            }
        }
        a.depth
    }

    /// Path below the root, for messages.
    pub fn to_path(&self) -> PathBuf {
        self.tail(self.depth)
            .into_iter()
            .map(OsStr::from_bytes)
            .collect()
    }

    /// Path below the root of `name` in this directory, for messages; the directory itself when
    /// the name is `.`.
    pub fn join(&self, name: &[u8]) -> PathBuf {
        let mut path = self.to_path();
        if name != b"." {
            path.push(OsStr::from_bytes(name));
        }
        path
    }
}

impl Drop for DirPath {
    /// Drops the ancestors one by one: a chain of a hundred thousand directories would overflow the
    /// stack if each dropped its parent inside its own drop.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(mut dir) = parent.and_then(Arc::into_inner) {
            parent = dir.parent.take();
        }
    }
}
