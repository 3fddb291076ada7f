//! A layer's tar unpacked into a directory, as overlay2's `diff`.
//!
//! What comes of it is what Docker makes of the same tar (`archive.Unpack` of moby, with overlay whiteouts, in a root of
//! its own): symlinks on the way are followed as if the directory were `/`, names that lead out of it are refused, what is
//! there is replaced. Otherwise than Docker does it:
//!
//! - `trusted.overlay.*` of the tar are left out: they would steer the kernel, not the container.
//! - `.wh..wh.*`, which only AUFS knows, are left out but for `.wh..wh..opq`.
//! - GNU sparse files are unpacked, which Docker refuses.
//!
//! [`plan`] says what each entry does, from the entries alone: for [`unpack_layer`], which does it, and for
//! [`check_layer`], which does not. `tree`, `xattrs`, [`limits`]: what it keeps in mind for that.

mod inode;
pub mod limits;
mod node;
mod plan;
mod tree;
mod xattrs;

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};

use super::digest::{Digest, HashingReader};
use super::fault::LayerFault;
use super::tar_reader::{Entry, EntryKind, TarError, TarFault, TarReader};
use crate::fs::remove_tree;
use limits::{Limits, MAX_PATH};
use node::{NodeId, NodeKind};
use plan::{Action, DirEntryRef, Old, Planned, Planner};
pub use tree::LayerTree;

/// A layer whose tar was read.
#[derive(Debug)]
pub struct ReadLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// Entries.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// What it becomes.
    pub tree: LayerTree,
}

/// Reads a tar that is not compressed. `carry_out` gets each entry with what it does, and the tree as it is then; content
/// that it does not read is passed over.
fn read_layer<R: Read>(
    tar: R,
    limits: &Limits,
    mut carry_out: impl FnMut(
        (&Entry, &Planned),
        &LayerTree,
        &mut TarReader<&mut HashingReader<R>>,
    ) -> Result<(), TarError>,
) -> Result<ReadLayer, TarError> {
    let mut hashing = HashingReader::new(tar);
    let mut reader = TarReader::new(&mut hashing);
    let mut planner = Planner::new(limits);
    let (mut entries, mut bytes) = (0, 0);
    while let Some(entry) = reader.next(&mut ())? {
        let planned = planner.plan(&entry);
        let planned = planned.map_err(|reason| reader.bad(TarFault::unpack(reason)))?;
        carry_out((&entry, &planned), &planner.tree, &mut reader)?;
        entries += 1;
        bytes += entry.size;
    }
    reader.finish(&mut ())?;
    drop(reader);
    Ok(ReadLayer {
        diff_id: hashing.drain()?,
        entries,
        bytes,
        tree: planner.tree,
    })
}

/// Reads a tar as [`unpack_layer`] does, for a filesystem with these limits, and makes nothing of it.
///
/// # Errors
/// Those of [`unpack_layer`], but for what the disk itself refuses.
pub fn check_layer(tar: impl Read, limits: &Limits) -> Result<ReadLayer, TarError> {
    read_layer(tar, limits, |_, _, _| Ok(()))
}

/// Unpacks a tar that is not compressed into `diff`, an empty directory that the caller made; nothing is written
/// elsewhere. Owners are those of the tar, container ids. Tells the digest of the tar, which must be the layer's diff id.
///
/// Memory grows with the number of names, not with their content.
///
/// # Errors
/// The tar is none, lies, leads out of the directory, or cannot be written. What is in the directory then is of no use.
pub fn unpack_layer(tar: impl Read, diff: BorrowedFd<'_>) -> Result<Digest, TarError> {
    let limits = Limits::of(diff)?;
    let mut unpacker = Unpacker {
        top: diff,
        parent: None,
        buffer: vec![0; 128 << 10],
    };
    let read = read_layer(tar, &limits, |(entry, planned), tree, reader| {
        unpacker.carry_out((entry, planned), tree, reader)
    })?;
    unpacker.set_times(&read.tree)?;
    Ok(read.diff_id)
}

struct Unpacker<'a> {
    top: BorrowedFd<'a>,
    /// The directory that was worked in last.
    parent: Option<(NodeId, OwnedFd)>,
    buffer: Vec<u8>,
}

impl Unpacker<'_> {
    fn carry_out<R: Read>(
        &mut self,
        (entry, planned): (&Entry, &Planned),
        tree: &LayerTree,
        reader: &mut TarReader<R>,
    ) -> Result<(), TarError> {
        let made = planned
            .parents
            .iter()
            .try_for_each(|id| self.make_parent(tree, *id))
            .and_then(|()| self.act(entry, &planned.action, tree));
        let file = made.map_err(|error| reader.bad(TarFault::unpack(error)))?;
        if let Some(file) = file {
            inode::fill(&file, entry, reader, &mut self.buffer)?;
        }
        if let Action::Make(place, _) | Action::Keep(place) | Action::Link { place, .. } =
            &planned.action
        {
            let set = self.enter(tree, place.dir).map_err(LayerFault::from);
            let set = set.and_then(|dir| inode::set_attributes(dir, &place.name, entry));
            set.map_err(|error| reader.bad(TarFault::unpack(error)))?;
        }
        Ok(())
    }

    /// Does what an entry does, but for content and attributes. A file that was made for it is given back.
    fn act(
        &mut self,
        entry: &Entry,
        action: &Action,
        tree: &LayerTree,
    ) -> Result<Option<std::fs::File>, LayerFault> {
        match action {
            Action::Nothing | Action::Keep(_) => Ok(None),
            Action::SetOpaque(dir) => {
                let flags = rustix::fs::XattrFlags::empty();
                let dir = self.enter(tree, *dir)?;
                rustix::fs::fsetxattr(dir, c"trusted.overlay.opaque", b"y", flags)?;
                Ok(None)
            }
            // A deleted file is a character device 0:0.
            Action::Whiteout(DirEntryRef { dir, name }) => {
                let (dir, kind) = (self.enter(tree, *dir)?, FileType::CharacterDevice);
                rustix::fs::mknodat(dir, &name[..], kind, Mode::empty(), 0)?;
                inode::chown(dir, name, entry)?;
                Ok(None)
            }
            Action::Make(DirEntryRef { dir, name }, old) => {
                let dir = self.enter(tree, *dir)?;
                remove(dir, name, *old)?;
                match entry.kind {
                    EntryKind::File => Ok(Some(inode::new_file(dir, name)?)),
                    _ => inode::make(dir, name, entry).map(|()| None),
                }
            }
            Action::Link { place, old, target } => {
                let dir = self.enter(tree, place.dir)?;
                remove(dir, &place.name, *old)?;
                let from = open(self.top, tree, target.dir)?;
                let dir = self.enter(tree, place.dir)?;
                let flags = AtFlags::empty();
                rustix::fs::linkat(from, &target.name[..], dir, &place.name[..], flags)?;
                Ok(None)
            }
        }
    }

    /// A directory of the tree.
    fn enter(&mut self, tree: &LayerTree, id: NodeId) -> io::Result<&OwnedFd> {
        let dir = match self.parent.take() {
            Some((known, dir)) if known == id => dir,
            _ => open(self.top, tree, id)?,
        };
        Ok(&self.parent.insert((id, dir)).1)
    }

    /// Directories that the tar does not tell of belong to root and have mode 0755.
    fn make_parent(&mut self, tree: &LayerTree, id: NodeId) -> Result<(), LayerFault> {
        let NodeKind::Directory { above, name, .. } = &tree.node(id).kind else {
            return Ok(());
        };
        let above = self.enter(tree, *above)?;
        rustix::fs::mkdirat(above, &name[..], Mode::RWXU)?;
        let dir = open_below(above.as_fd(), name)?;
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755))?;
        self.parent = Some((id, dir));
        Ok(())
    }

    fn set_times(&self, tree: &LayerTree) -> Result<(), TarError> {
        for (id, _) in tree.entries() {
            if let NodeKind::Directory {
                mtime: Some(mtime), ..
            } = &tree.node(id).kind
            {
                let dir = open(self.top, tree, id)?;
                rustix::fs::futimens(&dir, &inode::times(*mtime)).map_err(io::Error::from)?;
            }
        }
        Ok(())
    }
}

/// Removes what has the name of a new inode.
fn remove(dir: &OwnedFd, name: &[u8], old: Old) -> io::Result<()> {
    match old {
        Old::None => Ok(()),
        Old::File => Ok(rustix::fs::unlinkat(dir, name, AtFlags::empty())?),
        Old::Directory => remove_tree(dir.as_fd(), name),
    }
}

/// Opens a directory of the tree. A path that is longer than the kernel takes is opened piece by piece.
fn open(top: BorrowedFd<'_>, tree: &LayerTree, id: NodeId) -> io::Result<OwnedFd> {
    let mut dir = open_below(top, b".")?;
    let mut path: Vec<u8> = Vec::new();
    for name in tree.names(id) {
        if path.len() + name.len() >= MAX_PATH {
            dir = open_below(dir.as_fd(), &path)?;
            path.clear();
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    match path.is_empty() {
        true => Ok(dir),
        false => open_below(dir.as_fd(), &path),
    }
}

fn open_below(dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    Ok(rustix::fs::openat2(
        dir,
        path,
        flags,
        Mode::empty(),
        resolve,
    )?)
}
