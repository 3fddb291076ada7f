//! POSIX ACLs as the kernel stores them (`acl(5)`, `include/uapi/linux/posix_acl_xattr.h`).

use thiserror::Error;

/// `POSIX_ACL_XATTR_VERSION`
const VERSION: u32 = 2;

/// `ACL_UNDEFINED_ID`: what entries without an id carry.
const NO_ID: u32 = u32::MAX;

/// Whom an entry is for. The order is that of entries in an ACL: by tag, which the kernel demands,
/// and by id within a tag, as libacl writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Who {
    /// The owner.
    UserObj,
    /// A named user.
    User(u32),
    /// The owning group.
    GroupObj,
    /// A named group.
    Group(u32),
    /// The most that named users and all groups can have.
    Mask,
    /// Everybody else.
    Other,
}

impl Who {
    const fn tag(self) -> u16 {
        match self {
            Who::UserObj => 0x01,
            Who::User(_) => 0x02,
            Who::GroupObj => 0x04,
            Who::Group(_) => 0x08,
            Who::Mask => 0x10,
            Who::Other => 0x20,
        }
    }

    const fn id(self) -> u32 {
        match self {
            Who::User(id) | Who::Group(id) => id,
            _ => NO_ID,
        }
    }
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AclEntry {
    /// For whom.
    pub who: Who,
    /// Read 4, write 2, execute 1.
    pub perm: u8,
}

/// An access ACL or a default ACL, valid as the kernel has it (`fs/posix_acl.c`, `posix_acl_valid`)
/// and in one order only. The short text form is `u::rwx,u:5:r--,g::r-x,m::rwx,o::r-x`.
///
/// The kernel orders tags, but leaves named ids as they were set, even the same one twice; what
/// `setfacl` writes is sorted and names each once. Only that is a value of this type: a record
/// keeps an ACL as text, which has no way to say in which odd order its bytes were.
///
/// One that has no entry at all is not the same as none: the kernel removes an ACL that is set to
/// it (`posix_acl_from_xattr` gives none for it). It cannot be read back, so it is no value either.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    entries: Vec<AclEntry>,
}

/// Why bytes or text are not a valid ACL.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AclError {
    /// Not a header and whole entries.
    #[error("{0} bytes are not the size of an ACL")]
    Size(usize),
    /// Another version than 2.
    #[error("ACL version {0}; only version 2 is known")]
    Version(u32),
    /// A tag that is none of the six.
    #[error("unknown ACL tag {0:#x}")]
    Tag(u16),
    /// More than rwx.
    #[error("ACL permission bits {0:#x} are more than rwx")]
    Perm(u16),
    /// A named user or group whose id the kernel does not show (`posix_acl_to_xattr`, `from_kuid`).
    #[error(
        "its ACL names {0} with id 4294967295 (-1), which is not an id: it stands for one that this user \
        namespace, or an idmapped mount, does not map. Run idshift on the host, on the path where the files \
        are on disk. If you did that, `getfacl -n` shows the entry, and `setfacl -b` removes the ACL"
    )]
    NoId(&'static str),
    /// An entry that takes no id has one.
    #[error("ACL tag {tag:#x} with id {id}")]
    Id {
        /// The tag.
        tag: u16,
        /// The id.
        id: u32,
    },
    /// Tags or named ids not ascending, or twice the same. Of the ids the kernel takes it; `setfacl`
    /// sorts them, but only where the ACL is not already there.
    #[error(
        "ACL entries are out of order, or an entry is there twice; remove the ACL with setfacl -b and set it \
        again"
    )]
    Order,
    /// An entry that every ACL has is not there.
    #[error("the ACL lacks its entry for {0}")]
    Missing(&'static str),
    /// Not the short text form.
    #[error("{0:?} is not an ACL entry, as in u:1000:rw-")]
    Text(String),
}

impl Acl {
    /// From entries in any order.
    ///
    /// # Errors
    /// When they are no valid ACL.
    pub fn new(mut entries: Vec<AclEntry>) -> Result<Acl, AclError> {
        entries.sort_by_key(|entry| entry.who);
        Acl::in_order(entries)
    }

    fn in_order(entries: Vec<AclEntry>) -> Result<Acl, AclError> {
        for &AclEntry { who, perm } in &entries {
            if perm > 0o7 {
                return Err(AclError::Perm(perm.into()));
            }
            match who {
                Who::User(NO_ID) => return Err(AclError::NoId("a user")),
                Who::Group(NO_ID) => return Err(AclError::NoId("a group")),
                _ => {}
            }
        }
        if entries.windows(2).any(|pair| pair[0].who >= pair[1].who) {
            return Err(AclError::Order);
        }
        let has = |who: Who| entries.iter().any(|entry| entry.who == who);
        let is_named = |entry: &AclEntry| matches!(entry.who, Who::User(_) | Who::Group(_));
        if !has(Who::UserObj) {
            return Err(AclError::Missing("the owner"));
        }
        if !has(Who::GroupObj) {
            return Err(AclError::Missing("the owning group"));
        }
        if !has(Who::Other) {
            return Err(AclError::Missing("others"));
        }
        if entries.iter().any(is_named) && !has(Who::Mask) {
            return Err(AclError::Missing(
                "the mask, which named users and groups need",
            ));
        }
        Ok(Acl { entries })
    }

    /// The entries in the kernel's order.
    pub fn entries(&self) -> &[AclEntry] {
        &self.entries
    }

    /// From the value of `system.posix_acl_access` or `system.posix_acl_default`.
    ///
    /// # Errors
    /// For every value that [`encode`](Acl::encode) would not give back byte for byte.
    pub fn decode(bytes: &[u8]) -> Result<Acl, AclError> {
        let size = AclError::Size(bytes.len());
        let Some((version, rest)) = bytes.split_first_chunk::<4>() else {
            return Err(size);
        };
        let version = u32::from_le_bytes(*version);
        if version != VERSION {
            return Err(AclError::Version(version));
        }
        let (chunks, []) = rest.as_chunks::<8>() else {
            return Err(size);
        };
        let entries: Result<Vec<_>, _> = chunks.iter().map(decode_entry).collect();
        Acl::in_order(entries?)
    }

    /// The value for the extended attribute.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 8 * self.entries.len());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        for entry in &self.entries {
            bytes.extend_from_slice(&entry.who.tag().to_le_bytes());
            bytes.extend_from_slice(&u16::from(entry.perm).to_le_bytes());
            bytes.extend_from_slice(&entry.who.id().to_le_bytes());
        }
        bytes
    }
}

fn decode_entry(&[t0, t1, p0, p1, i0, i1, i2, i3]: &[u8; 8]) -> Result<AclEntry, AclError> {
    let tag = u16::from_le_bytes([t0, t1]);
    let perm = u16::from_le_bytes([p0, p1]);
    let id = u32::from_le_bytes([i0, i1, i2, i3]);
    let who = match tag {
        0x01 => Who::UserObj,
        0x02 => Who::User(id),
        0x04 => Who::GroupObj,
        0x08 => Who::Group(id),
        0x10 => Who::Mask,
        0x20 => Who::Other,
        _ => return Err(AclError::Tag(tag)),
    };
    // The kernel takes any id where none belongs and writes back its own: only that one is kept.
    if who.id() != id {
        return Err(AclError::Id { tag, id });
    }
    let perm = u8::try_from(perm).map_err(|_| AclError::Perm(perm))?;
    Ok(AclEntry { who, perm })
}

#[cfg(test)]
pub(super) mod tests;
