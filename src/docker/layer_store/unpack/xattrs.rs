//! Pure: owner and extended attributes of an inode, as they become with each entry of a layer that gives it some.
//!
//! What the kernel would refuse is refused here (`setxattr(2)`, `fs/xattr.c`, `fs/posix_acl.c`), so that reading a
//! layer tells what unpacking it would.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::super::fault::LayerFault;
use super::super::tar_reader::{Entry, EntryKind};
use super::limits::Limits;
use super::node::NodeKind;
use crate::ownership::{Acl, AclError, Capability, Mode, Ownership, OwnershipXattrs};

pub const CAPABILITY: &[u8] = b"security.capability";
const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// `XATTR_NAME_MAX`
const MAX_NAME: usize = 255;

/// `POSIX_ACL_XATTR_VERSION`
const ACL_VERSION: [u8; 4] = 2u32.to_le_bytes();

/// Owner and extended attributes of an inode.
#[derive(Debug)]
pub struct Attributes {
    ownership: Ownership,
    /// Bytes that each extended attribute takes.
    sizes: BTreeMap<Vec<u8>, usize>,
}

/// Those of root, as directories have them that a tar does not tell of.
impl Default for Attributes {
    fn default() -> Attributes {
        let mode = Mode::from_st_mode(0o755);
        Attributes {
            ownership: Ownership::new(0, 0, mode, OwnershipXattrs::default()),
            sizes: BTreeMap::new(),
        }
    }
}

impl Attributes {
    /// Owner, group, mode, ACLs and capability.
    pub fn ownership(&self) -> &Ownership {
        &self.ownership
    }

    /// Takes the owner of an entry.
    pub fn take_owner(&mut self, entry: &Entry) {
        (self.ownership.uid, self.ownership.gid) = (entry.uid, entry.gid);
    }

    /// Takes all that an entry says of an inode.
    ///
    /// # Errors
    /// An attribute is not valid, or too large.
    pub fn take(
        &mut self,
        entry: &Entry,
        kind: &NodeKind,
        limits: &Limits,
    ) -> Result<(), LayerFault> {
        let owner = (self.ownership.uid, self.ownership.gid);
        if entry.kind != EntryKind::HardLink || owner != (entry.uid, entry.gid) {
            self.take_owner(entry);
            // So does the kernel.
            if !matches!(kind, NodeKind::Directory { .. }) {
                self.sizes.remove(CAPABILITY);
                self.edit(|xattrs| xattrs.capability = None);
            }
        }
        for (name, value) in &entry.xattrs {
            self.set(name, value, kind, limits)
                .map_err(|source| LayerFault::Xattr {
                    name: String::from_utf8_lossy(name).into_owned(),
                    source,
                })?;
        }
        self.ownership.mode = Mode::from_st_mode(entry.mode);
        Ok(())
    }

    fn set(
        &mut self,
        name: &[u8],
        value: &[u8],
        kind: &NodeKind,
        limits: &Limits,
    ) -> Result<(), std::io::Error> {
        if is_left_out(name) {
            return Ok(());
        }
        if name.contains(&0) || matches!(name, b"trusted." | b"security.") {
            return Err(Errno::INVAL.into());
        }
        if name.is_empty() || name.len() > MAX_NAME {
            return Err(Errno::RANGE.into());
        }
        // Of the whole, not of what has room: all filesystems say so.
        if value.len() > 65536 {
            return Err(Errno::TOOBIG.into());
        }
        let is_kept = match name {
            CAPABILITY => self.set_capability(value)?,
            ACCESS_ACL | DEFAULT_ACL => self.set_acl(name, value, kind)?,
            _ => is_kept(name, kind)?,
        };
        if !is_kept {
            return Ok(());
        }
        // An entry of ext4 has 16 bytes beside its name and value, and both are padded.
        let size = 16 + name.len().next_multiple_of(4) + value.len().next_multiple_of(4);
        self.sizes.insert(name.to_vec(), size);
        let is_too_large = name.len() + value.len() > limits.xattr
            || self.sizes.values().sum::<usize>() > limits.xattrs;
        match is_too_large {
            true => Err(Errno::NOSPC.into()),
            false => Ok(()),
        }
    }

    fn set_capability(&mut self, value: &[u8]) -> Result<bool, std::io::Error> {
        let capability = Capability::decode(value).map_err(std::io::Error::other)?;
        if capability.rootid == Some(u32::MAX) {
            return Err(Errno::INVAL.into());
        }
        self.edit(|xattrs| xattrs.capability = Some(capability));
        Ok(true)
    }

    fn set_acl(
        &mut self,
        name: &[u8],
        value: &[u8],
        kind: &NodeKind,
    ) -> Result<bool, std::io::Error> {
        let is_known = value.len() < 4 || value[..4] == ACL_VERSION;
        if !is_known {
            // Not supported, and left out as every attribute that is not.
            return Ok(false);
        }
        // One without entries removes it.
        let acl = match value.len() {
            0 | 4 => Ok(None),
            _ => Acl::decode(value).map(Some),
        };
        let is_default = name == DEFAULT_ACL;
        if let (
            NodeKind::Symlink(_),
            Ok(_)
            | Err(AclError::Order | AclError::Missing(_) | AclError::Perm(_) | AclError::Id { .. }),
        ) = (kind, &acl)
        {
            // The kernel looks at single entries first.
            return Ok(false);
        }
        let acl = acl.map_err(std::io::Error::other)?;
        match kind {
            NodeKind::Symlink(_) | NodeKind::Directory { .. } => {}
            NodeKind::File | NodeKind::Other if is_default && acl.is_some() => {
                return Err(Errno::ACCESS.into());
            }
            NodeKind::File | NodeKind::Other => {}
        }
        if acl.is_none() {
            self.sizes.remove(name);
        }
        let is_kept = acl.is_some();
        self.edit(|xattrs| match is_default {
            true => xattrs.default_acl = acl,
            false => xattrs.acl = acl,
        });
        Ok(is_kept)
    }

    fn edit(&mut self, edit: impl FnOnce(&mut OwnershipXattrs)) {
        let mut xattrs = self
            .ownership
            .xattrs
            .take()
            .map_or_else(Default::default, |it| *it);
        edit(&mut xattrs);
        self.ownership.xattrs = (xattrs != OwnershipXattrs::default()).then(|| Box::new(xattrs));
    }
}

/// Whether an attribute is never given to an inode: it would steer overlayfs, not the container.
pub fn is_left_out(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.")
}

/// Whether an inode keeps an attribute that names no id; what it does not keep is left out.
fn is_kept(name: &[u8], kind: &NodeKind) -> Result<bool, Errno> {
    let is_plain = matches!(kind, NodeKind::File | NodeKind::Directory { .. });
    match name {
        b"user." if is_plain => Err(Errno::INVAL),
        name if name.starts_with(b"user.") => Ok(is_plain),
        name => Ok(name.starts_with(b"trusted.") || name.starts_with(b"security.")),
    }
}
