//! Pure: what each entry of a layer does to the tree, and whether it can. Unpacking a layer does just this, and checking
//! it stops here: so both say the same.

use super::super::fault::LayerFault;
use super::super::path::clean;
use super::super::tar_reader::{Entry, EntryKind};
use super::limits::{Limits, MAX_PATH};
use super::node::{NodeId, NodeKind};
use super::tree::{LayerTree, TOP};

/// What the name of a deleted file begins with (OCI image specification, "Whiteouts").
const WHITEOUT: &[u8] = b".wh.";

/// Deletes everything that is below in a directory.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntryRef {
    /// The directory.
    pub dir: NodeId,
    /// The name.
    pub name: Vec<u8>,
}

/// What an entry does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    Nothing,
    /// Everything below in this directory is deleted.
    SetOpaque(NodeId),
    /// What is below with this name is deleted.
    Whiteout(DirEntryRef),
    /// An inode is made.
    Make(DirEntryRef, Old),
    /// An inode gets one more name.
    Link {
        /// The new one.
        place: DirEntryRef,
        /// What has the name.
        old: Old,
        /// One that the inode has.
        target: DirEntryRef,
    },
    /// The directory that has the name stays, and is given the attributes of the entry.
    Keep(DirEntryRef),
}

/// What has the name of a new inode, and is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// Nothing.
    None,
    /// No directory.
    File,
    /// A directory, with all in it.
    Directory,
}

/// What an entry does, after directories that the tar does not tell of are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Those; each in one that is there by then. They belong to root and have mode 0755.
    pub parents: Vec<NodeId>,
    /// The action.
    pub action: Action,
}

/// Goes through the entries of a layer.
pub struct Planner<'a> {
    /// The tree so far.
    pub tree: LayerTree,
    limits: &'a Limits,
}

impl Planner<'_> {
    /// An empty layer.
    pub fn new(limits: &Limits) -> Planner<'_> {
        Planner {
            tree: LayerTree::default(),
            limits,
        }
    }

    /// What the next entry does. The tree is then as it is after that.
    ///
    /// # Errors
    /// It cannot be done.
    pub fn plan(&mut self, entry: &Entry) -> Result<Planned, LayerFault> {
        let mut parents = Vec::new();
        let action = match entry.kind {
            EntryKind::Global => Action::Nothing,
            _ => self.action(entry, &mut parents)?,
        };
        Ok(Planned { parents, action })
    }

    fn action(&mut self, entry: &Entry, parents: &mut Vec<NodeId>) -> Result<Action, LayerFault> {
        let path = inside(&entry.name)?;
        let (above, name) = split(&path);
        // Docker leaves the layer's own top directory as it is.
        if name == b"." {
            return match entry.kind {
                EntryKind::Directory => Ok(Action::Nothing),
                _ => Err(LayerFault::ReplacesTop),
            };
        }
        let dir = self.enter(above, parents)?;
        match name {
            OPAQUE => Ok(Action::SetOpaque(dir)),
            name if name.starts_with(b".wh..wh.") => Ok(Action::Nothing),
            name if name.starts_with(WHITEOUT) => {
                self.whiteout(dir, &name[WHITEOUT.len()..], entry)
            }
            name => self.make(dir, name, entry),
        }
    }

    /// The directory at this path; what is missing of it is made.
    fn enter(&mut self, path: &[u8], parents: &mut Vec<NodeId>) -> Result<NodeId, LayerFault> {
        check_length(path)?;
        self.tree.directory_at(path, |tree, dir, name| {
            let made = tree.make_dir(dir, name);
            parents.push(made);
            Some(made)
        })
    }

    /// A file that the layer has itself is not deleted: as with Docker, an error.
    fn whiteout(&mut self, dir: NodeId, name: &[u8], entry: &Entry) -> Result<Action, LayerFault> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(LayerFault::DeletesParent);
        }
        if self.tree.entry(dir, name)?.is_some() {
            return Err(LayerFault::DeletesOwn);
        }
        let made = self.tree.make(dir, name, NodeKind::Other);
        self.tree.node_mut(made).attributes.take_owner(entry);
        Ok(Action::Whiteout(place(dir, name)))
    }

    fn make(&mut self, dir: NodeId, name: &[u8], entry: &Entry) -> Result<Action, LayerFault> {
        let there = self.tree.entry(dir, name)?;
        let old = match there.map(|id| &self.tree.node(id).kind) {
            None => Old::None,
            Some(NodeKind::Directory { .. }) => Old::Directory,
            Some(_) => Old::File,
        };
        if let (Some(there), Old::Directory, EntryKind::Directory) = (there, old, entry.kind) {
            self.set(there, entry)?;
            return Ok(Action::Keep(place(dir, name)));
        }
        if entry.kind == EntryKind::HardLink {
            return self.link(dir, name, old, entry);
        }
        let kind = self.new_inode(entry)?;
        let made = match kind {
            None => self.tree.make_dir(dir, name),
            Some(kind) => self.tree.make(dir, name, kind),
        };
        self.set(made, entry)?;
        Ok(Action::Make(place(dir, name), old))
    }

    /// What is made for an entry; none: a directory.
    fn new_inode(&self, entry: &Entry) -> Result<Option<NodeKind>, LayerFault> {
        Ok(Some(match entry.kind {
            EntryKind::Directory => return Ok(None),
            EntryKind::File => {
                let size = entry.sparse.as_ref().map_or(entry.size, |(_, size)| *size);
                if size > self.limits.file {
                    return Err(LayerFault::LargeFile);
                }
                NodeKind::File
            }
            EntryKind::Symlink => {
                let target = &entry.link_name;
                if target.is_empty() || target.contains(&0) {
                    return Err(LayerFault::NoTarget);
                }
                if target.len() > self.limits.symlink {
                    return Err(LayerFault::LongTarget);
                }
                NodeKind::Symlink(target[..].into())
            }
            EntryKind::CharDevice | EntryKind::BlockDevice => {
                // What the kernel has room for (`MKDEV`).
                let (major, minor) = entry.device;
                if major >= 1 << 12 || minor >= self.limits.minor {
                    return Err(LayerFault::DeviceNumber);
                }
                NodeKind::Other
            }
            EntryKind::Fifo => NodeKind::Other,
            EntryKind::HardLink | EntryKind::Global | EntryKind::Unknown(_) => {
                return Err(LayerFault::NotANode);
            }
        }))
    }

    /// One more name for an inode, after what has the name is removed.
    fn link(
        &mut self,
        dir: NodeId,
        name: &[u8],
        old: Old,
        entry: &Entry,
    ) -> Result<Action, LayerFault> {
        let path = inside(&entry.link_name)?;
        let (above, base) = split(&path);
        check_length(above)?;
        self.tree.remove(dir, name);
        let from = self.tree.directory_at(above, |_, _, _| None)?;
        let id = match base {
            b"." => TOP,
            base => self.tree.entry(from, base)?.ok_or(LayerFault::NotThere)?,
        };
        let node = self.tree.node(id);
        if matches!(node.kind, NodeKind::Directory { .. }) {
            return Err(LayerFault::LinkToDirectory);
        }
        if node.links >= self.limits.links {
            return Err(LayerFault::ManyLinks);
        }
        self.tree.put(dir, name, id);
        self.set(id, entry)?;
        Ok(Action::Link {
            place: place(dir, name),
            old,
            target: place(from, base),
        })
    }

    fn set(&mut self, id: NodeId, entry: &Entry) -> Result<(), LayerFault> {
        let node = self.tree.node_mut(id);
        node.attributes.take(entry, &node.kind, self.limits)?;
        if let NodeKind::Directory { mtime, .. } = &mut node.kind {
            *mtime = Some(entry.mtime);
        }
        Ok(())
    }
}

fn place(dir: NodeId, name: &[u8]) -> DirEntryRef {
    let name = name.to_vec();
    DirEntryRef { dir, name }
}

/// The directory of a path, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b".", path),
    }
}

fn check_length(path: &[u8]) -> Result<(), LayerFault> {
    match path.len() > MAX_PATH {
        true => Err(LayerFault::LongPath),
        false => Ok(()),
    }
}

/// The path below the layer's top that a name means.
fn inside(name: &[u8]) -> Result<Vec<u8>, LayerFault> {
    let path = clean(name);
    if path == b".." || path.starts_with(b"../") {
        return Err(LayerFault::LeadsOut);
    }
    let path = path.strip_prefix(b"/").unwrap_or(&path);
    match path {
        b"" => Ok(b".".to_vec()),
        path if path.contains(&0) => Err(LayerFault::Nul),
        path => Ok(path.to_vec()),
    }
}

#[cfg(test)]
mod tests;
