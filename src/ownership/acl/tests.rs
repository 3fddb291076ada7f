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

/// What `setfacl -d -m u:5:r,g:7:x` made of a 0755 directory.
const DEFAULT_FROM_SETFACL: &str = "0x0200000001000700ffffffff020004000500000004000500ffffffff080001000700000010000500ffffffff20000500ffffffff";

/// Bytes of one entry.
fn raw(tag: u16, perm: u16, id: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&tag.to_le_bytes());
    bytes[2..4].copy_from_slice(&perm.to_le_bytes());
    bytes[4..].copy_from_slice(&id.to_le_bytes());
    bytes
}

fn raw_acl(entries: &[[u8; 8]]) -> Vec<u8> {
    [&[2, 0, 0, 0], entries.as_flattened()].concat()
}

/// Bytes that come near an ACL: some are one, most are wrong in a way or two.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let odd = (
        prop::sample::select(vec![1u16, 2, 4, 8, 16, 32, 0, 3, 64, 0x201]),
        prop::sample::select(vec![0u16, 4, 7, 8, 0x104]),
        prop::sample::select(vec![0u32, 5, 6, NO_ID]),
    )
        .prop_map(|(tag, perm, id)| raw(tag, perm, id));
    let maybe = |entry| prop::option::weighted(0.9, Just(entry));
    let named = |tag| {
        let entry = (0u16..8, 0u32..4).prop_map(move |(perm, id)| raw(tag, perm, id));
        proptest::collection::vec(entry, 0..3)
    };
    let none = |tag| maybe(raw(tag, 6, NO_ID));
    let odd = proptest::collection::vec((any::<prop::sample::Index>(), odd), 0..2);
    (
        none(1),
        named(2),
        none(4),
        named(8),
        none(16),
        none(32),
        odd,
    )
        .prop_map(|(user, users, group, groups, mask, other, odd)| {
            let mut entries: Vec<_> = user.into_iter().chain(users).collect();
            entries.extend(group.into_iter().chain(groups).chain(mask).chain(other));
            for (place, entry) in odd {
                entries.insert(place.index(entries.len() + 1), entry);
            }
            raw_acl(&entries)
        })
}

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

    let bytes = unhex(DEFAULT_FROM_SETFACL);
    let acl = Acl::decode(&bytes).unwrap();
    assert_eq!(
        acl.to_string(),
        "u::rwx,u:5:r--,g::r-x,g:7:--x,m::r-x,o::r-x"
    );
    assert_eq!(acl.encode(), bytes);
}

#[test]
fn entries_that_do_not_make_an_acl_are_refused() {
    let [user, group, mask, other] = [1, 4, 16, 32].map(|tag| raw(tag, 6, NO_ID));
    let named = |id| raw(2, 4, id);
    let error = |entries: &[[u8; 8]]| Acl::decode(&raw_acl(entries)).unwrap_err();
    let missing = |entries: &[[u8; 8]]| match error(entries) {
        AclError::Missing(what) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(missing(&[group, other]), "the owner");
    assert_eq!(missing(&[user, other]), "the owning group");
    assert_eq!(missing(&[user, group]), "others");
    assert!(missing(&[user, named(5), group, other]).starts_with("the mask"));
    // A mask is allowed where nobody is named: `setfacl -m m::rw`.
    assert!(Acl::decode(&raw_acl(&[user, group, mask, other])).is_ok());

    assert_eq!(error(&[user, user, group, other]), AclError::Order);
    assert_eq!(
        error(&[user, group, named(5), mask, other]),
        AclError::Order
    );
    // The kernel takes both of these.
    assert_eq!(
        error(&[user, named(6), named(5), group, mask, other]),
        AclError::Order
    );
    assert_eq!(
        error(&[user, named(5), named(5), group, mask, other]),
        AclError::Order
    );
    assert_eq!(
        error(&[user, named(NO_ID), group, mask, other]),
        AclError::NoId("a user")
    );
}

#[test]
fn foreign_acl_entries_are_sorted_and_checked() {
    let entry = |who, perm| AclEntry { who, perm };
    let base = [
        entry(Who::Other, 0),
        entry(Who::Mask, 7),
        entry(Who::GroupObj, 5),
        entry(Who::UserObj, 7),
    ];
    let with = |more: AclEntry| Acl::new([&base[..], &[more]].concat());
    assert_eq!(
        with(entry(Who::User(5), 4)).unwrap().to_string(),
        "u::rwx,u:5:r--,g::r-x,m::rwx,o::---"
    );
    assert_eq!(with(entry(Who::User(5), 8)), Err(AclError::Perm(8)));
    assert_eq!(
        with(entry(Who::Group(NO_ID), 4)),
        Err(AclError::NoId("a group"))
    );
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
    fn bytes_near_an_acl_come_back_or_are_refused(bytes in nearly()) {
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
