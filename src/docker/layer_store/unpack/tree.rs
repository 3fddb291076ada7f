//! Pure: the tree that a layer becomes, as far as its entries were read.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::super::fault::LayerFault;
use super::node::{NodeId, NodeKind};
use super::xattrs::Attributes;
use crate::ownership::Ownership;

/// Longer names are kept by no filesystem of Linux (`NAME_MAX`).
pub const MAX_NAME: usize = 255;

/// Symlinks that the kernel follows on one way (`MAXSYMLINKS`).
const MAX_SYMLINKS: usize = 40;

/// The layer's own directory.
pub const TOP: NodeId = NodeId(0);

/// An inode.
#[derive(Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Owner, group, and what its extended attributes take.
    pub attributes: Attributes,
    /// How many names it was given.
    pub links: u64,
}

/// The tree. It needs about 100 bytes for each inode.
#[derive(Debug)]
pub struct LayerTree {
    nodes: Vec<Node>,
}

/// An empty directory.
impl Default for LayerTree {
    fn default() -> LayerTree {
        LayerTree {
            nodes: vec![directory(TOP, b"")],
        }
    }
}

impl LayerTree {
    /// An inode.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// A node, to be changed.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.0]
    }

    /// What has this name in a directory.
    ///
    /// # Errors
    /// No inode can have such a name.
    pub fn entry(&self, dir: NodeId, name: &[u8]) -> Result<Option<NodeId>, LayerFault> {
        if name.len() > MAX_NAME {
            return Err(LayerFault::LongName);
        }
        match &self.node(dir).kind {
            NodeKind::Directory { entries, .. } => Ok(entries.get(name).copied()),
            _ => Err(LayerFault::NoDirectory),
        }
    }

    /// Gives a name to an inode, and takes it from what has it.
    pub fn put(&mut self, dir: NodeId, name: &[u8], id: NodeId) {
        self.remove(dir, name);
        self.node_mut(id).links += 1;
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(dir).kind {
            entries.insert(name.into(), id);
        }
    }

    /// Takes a name away from what has it.
    pub fn remove(&mut self, dir: NodeId, name: &[u8]) {
        if let NodeKind::Directory { entries, .. } = &mut self.node_mut(dir).kind
            && let Some(old) = entries.remove(name)
        {
            self.node_mut(old).links -= 1;
        }
    }

    /// Makes an inode with this name, in the place of what has it.
    pub fn make(&mut self, dir: NodeId, name: &[u8], kind: NodeKind) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            kind,
            attributes: Attributes::default(),
            links: 0,
        });
        self.put(dir, name, id);
        id
    }

    /// Makes an empty directory with this name.
    pub fn make_dir(&mut self, dir: NodeId, name: &[u8]) -> NodeId {
        let made = directory(dir, name);
        self.make(dir, name, made.kind)
    }

    /// The directory at a path of plain names from the top; symlinks are followed as if the top were `/`
    /// (`RESOLVE_IN_ROOT`, `openat2(2)`). What is missing is made by `make`, or an error if that makes nothing.
    ///
    /// # Errors
    /// It leads to something that is no directory, or nowhere.
    pub fn directory_at(
        &mut self,
        path: &[u8],
        mut make: impl FnMut(&mut LayerTree, NodeId, &[u8]) -> Option<NodeId>,
    ) -> Result<NodeId, LayerFault> {
        let (mut dir, mut followed) = (TOP, 0);
        for name in path.split(|&byte| byte == b'/') {
            dir = match self.entry(dir, name)? {
                _ if name == b"." => dir,
                None => make(self, dir, name).ok_or(LayerFault::NotThere)?,
                Some(id) => self.follow(dir, id, &mut followed)?,
            };
        }
        Ok(dir)
    }

    /// The directory that an entry of `dir` is, or leads to.
    fn follow(&self, dir: NodeId, id: NodeId, followed: &mut usize) -> Result<NodeId, LayerFault> {
        let mut now = dir;
        let mut ahead: Vec<&[u8]> = Vec::new();
        let mut next = Some(id);
        loop {
            match next.map(|id| (id, &self.node(id).kind)) {
                None => {}
                Some((id, NodeKind::Directory { .. })) => now = id,
                Some((_, NodeKind::Symlink(target))) => {
                    *followed += 1;
                    if *followed > MAX_SYMLINKS {
                        return Err(LayerFault::Loop);
                    }
                    if target.starts_with(b"/") {
                        now = TOP;
                    }
                    ahead.extend(target.rsplit(|&byte| byte == b'/'));
                }
                Some((_, NodeKind::File | NodeKind::Other)) => {
                    return Err(LayerFault::NoDirectory);
                }
            }
            next = match ahead.pop() {
                None => return Ok(now),
                Some(b"" | b".") => None,
                Some(b"..") => Some(self.above(now)),
                Some(name) => Some(self.entry(now, name)?.ok_or(LayerFault::LeadsNowhere)?),
            };
        }
    }

    fn above(&self, dir: NodeId) -> NodeId {
        match &self.node(dir).kind {
            NodeKind::Directory { above, .. } => *above,
            _ => TOP,
        }
    }

    /// The names that lead to a directory from the top, without a symlink.
    pub fn names(&self, mut dir: NodeId) -> Vec<&[u8]> {
        let mut names = Vec::new();
        while let (true, NodeKind::Directory { above, name, .. }) =
            (dir != TOP, &self.node(dir).kind)
        {
            names.push(&name[..]);
            dir = *above;
        }
        names.reverse();
        names
    }

    /// Everything in the tree by its names: an inode with more of them comes more than once.
    pub fn entries(&self) -> Entries<'_> {
        Entries {
            tree: self,
            ahead: vec![(TOP, PathBuf::new())],
        }
    }

    /// The owners of everything in the tree, each inode once.
    pub fn owners(&self) -> impl Iterator<Item = (PathBuf, &Ownership)> {
        let mut linked = HashSet::new();
        let entries = self
            .entries()
            .filter(move |(id, _)| *id != TOP && (self.node(*id).links == 1 || linked.insert(*id)));
        entries.map(|(id, path)| (path, self.node(id).attributes.ownership()))
    }
}

fn directory(above: NodeId, name: &[u8]) -> Node {
    Node {
        kind: NodeKind::Directory {
            above,
            name: name.into(),
            entries: BTreeMap::new(),
            mtime: None,
        },
        attributes: Attributes::default(),
        links: 1,
    }
}

/// Goes through a tree, what is above first.
pub struct Entries<'a> {
    tree: &'a LayerTree,
    ahead: Vec<(NodeId, PathBuf)>,
}

impl Iterator for Entries<'_> {
    type Item = (NodeId, PathBuf);

    fn next(&mut self) -> Option<(NodeId, PathBuf)> {
        let (id, path) = self.ahead.pop()?;
        if let NodeKind::Directory { entries, .. } = &self.tree.node(id).kind {
            let below = entries.iter().rev();
            let below = below.map(|(name, id)| (*id, path.join(OsStr::from_bytes(name))));
            self.ahead.extend(below);
        }
        Some((id, path))
    }
}
