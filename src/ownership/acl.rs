//! POSIX ACLs as the kernel stores them (`acl(5)`, `include/uapi/linux/posix_acl_xattr.h`).

use thiserror::Error;

/// `POSIX_ACL_XATTR_VERSION`
const VERSION: u32 = 2;

/// `ACL_UNDEFINED_ID`: what entries without an id carry.
const NO_ID: u32 = u32::MAX;

/// Whom an entry is for. The order is the kernel's: by tag, and by id within a tag.
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

/// An access ACL or a default ACL: entries in the kernel's order, as it demands them
/// (`fs/posix_acl.c`, `posix_acl_valid`). The short text form is `u::rwx,u:5:r--,g::r-x,m::rwx,o::r-x`.
///
/// One that has no entry at all is not the same as none: the kernel removes an ACL that is set to
/// it. It cannot be read back, so it is not a value of this type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Acl {
    entries: Vec<AclEntry>,
}

/// Why bytes or text are no ACL.
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
    /// An entry that takes no id has one, or the reserved id is named.
    #[error("ACL tag {tag:#x} with id {id}")]
    Id {
        /// The tag.
        tag: u16,
        /// The id.
        id: u32,
    },
    /// Not in the kernel's order, or twice the same.
    #[error("ACL entries are out of order, or for the same one twice")]
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
    let is_named = matches!(who, Who::User(_) | Who::Group(_));
    if is_named == (id == NO_ID) {
        return Err(AclError::Id { tag, id });
    }
    match u8::try_from(perm) {
        Ok(perm @ 0..=7) => Ok(AclEntry { who, perm }),
        _ => Err(AclError::Perm(perm)),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any valid ACL over ids from `ids`.
    pub fn acls(ids: impl Strategy<Value = u32> + Clone) -> impl Strategy<Value = Acl> {
        let named = |ids| proptest::collection::btree_map(ids, 0u8..8, 0..5);
        (
            named(ids.clone()),
            named(ids),
            proptest::array::uniform4(0u8..8),
            any::<bool>(),
        )
            .prop_map(|(users, groups, [user, group, mask, other], with_mask)| {
                let mut entries = vec![
                    AclEntry {
                        who: Who::UserObj,
                        perm: user,
                    },
                    AclEntry {
                        who: Who::GroupObj,
                        perm: group,
                    },
                    AclEntry {
                        who: Who::Other,
                        perm: other,
                    },
                ];
                if with_mask || !users.is_empty() || !groups.is_empty() {
                    entries.push(AclEntry {
                        who: Who::Mask,
                        perm: mask,
                    });
                }
                entries.extend(users.into_iter().map(|(id, perm)| AclEntry {
                    who: Who::User(id),
                    perm,
                }));
                entries.extend(groups.into_iter().map(|(id, perm)| AclEntry {
                    who: Who::Group(id),
                    perm,
                }));
                Acl::new(entries).unwrap()
            })
    }

    /// What `setfacl -m u:5:r,u:1000:rw,g:7:x` made of a 0644 file, as `getfattr -e hex` shows it.
    pub const FROM_SETFACL: &str = "0x0200000001000600ffffffff020004000500000002000600e803000004000400ffffffff080001000700000010000700ffffffff20000400ffffffff";

    pub fn unhex(text: &str) -> Vec<u8> {
        let digits = text.strip_prefix("0x").unwrap().as_bytes();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn what_setfacl_wrote_is_read_and_written_back() {
        let bytes = unhex(FROM_SETFACL);
        let acl = Acl::decode(&bytes).unwrap();
        assert_eq!(
            acl.to_string(),
            "u::rw-,u:5:r--,u:1000:rw-,g::r--,g:7:--x,m::rwx,o::r--"
        );
        assert_eq!(acl.encode(), bytes);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = unhex(FROM_SETFACL);
        let with = |place: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[place] = byte;
            Acl::decode(&bytes).unwrap_err()
        };
        assert_eq!(Acl::decode(&good[..7]), Err(AclError::Size(7)));
        assert_eq!(Acl::decode(&[]), Err(AclError::Size(0)));
        assert_eq!(with(0, 3), AclError::Version(3));
        assert_eq!(with(4, 3), AclError::Tag(3));
        assert_eq!(with(6, 8), AclError::Perm(8));
        assert_eq!(
            with(8, 0),
            AclError::Id {
                tag: 1,
                id: 0xffff_ff00
            }
        );
        // Byte 17 makes the first named user 0xff05, which is behind the second, 1000.
        assert_eq!(with(17, 0xff), AclError::Order);
        assert_eq!(Acl::decode(&good[..4]), Err(AclError::Missing("the owner")));
    }

    proptest! {
        #[test]
        fn every_acl_comes_back(acl in acls(0u32..u32::MAX)) {
            prop_assert_eq!(Acl::decode(&acl.encode()), Ok(acl));
        }

        #[test]
        fn any_bytes_come_back_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(acl) = Acl::decode(&bytes) {
                prop_assert_eq!(acl.encode(), bytes);
            }
        }

        #[test]
        fn one_changed_byte_comes_back_or_is_refused(acl in acls(0u32..2000), place: prop::sample::Index, byte: u8) {
            let mut bytes = acl.encode();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            if let Ok(acl) = Acl::decode(&bytes) {
                prop_assert_eq!(acl.encode(), bytes);
            }
        }
    }
}
