use super::*;

fn xattrs(all: &[(&str, &[u8])]) -> OverlayXattrs {
    let all = all.iter();
    OverlayXattrs::new(all.map(|(name, value)| (name.to_string(), value.to_vec())))
}

const HANDLE: &[u8] = &[0, 0xfb, 29, 0, 0x81, 7, 7];

#[test]
fn only_overlayfs_attributes_are_listed_and_all_of_them_are_moved() {
    let list =
        b"user.mine\0trusted.overlay.opaque\0trusted.overlayfs\0trusted.overlay.overlay.redirect\0";
    let names: Vec<&str> = OverlayXattrs::names_in(list).collect();
    assert_eq!(
        names,
        ["trusted.overlay.opaque", "trusted.overlay.overlay.redirect"]
    );
    let found = xattrs(&[
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.origin", HANDLE),
        ("trusted.overlay.overlay.redirect", b"/x"),
    ]);
    let moved = found.moved_to(OverlayNamespace::User).unwrap();
    let expected = xattrs(&[
        ("user.overlay.opaque", b"y"),
        ("user.overlay.origin", HANDLE),
        ("user.overlay.overlay.redirect", b"/x"),
    ]);
    assert_eq!(moved, expected);
    let back = xattrs(&[
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.overlay.redirect", b"/x"),
    ]);
    assert_eq!(moved.moved_to(OverlayNamespace::Trusted).unwrap(), back);
    let planted = xattrs(&[("user.overlay.redirect", b"/../../etc")]);
    let refused = NotMoved::Refused("user.overlay.redirect".into());
    assert_eq!(planted.moved_to(OverlayNamespace::Trusted), Err(refused));
}

#[test]
fn what_overlayfs_did_not_write_is_not_moved() {
    let to_user = |name: &str, value: &[u8]| {
        let moved = xattrs(&[(name, value)]).moved_to(OverlayNamespace::User);
        moved.map(|_| ())
    };
    let strange = |name: &str| Err(NotMoved::Strange(name.into()));
    for (name, good, bad) in [
        ("trusted.overlay.opaque", &b"y"[..], &b"yes"[..]),
        ("trusted.overlay.impure", b"y", b""),
        ("trusted.overlay.nlink", b"U+1", b"U+1/../x"),
        ("trusted.overlay.nlink", b"L-ff", b"5"),
        ("trusted.overlay.uuid", &[7; 16], &[7; 17]),
        ("trusted.overlay.origin", b"", b"/etc/shadow"),
        ("trusted.overlay.protattr", b"ia", b"i a"),
    ] {
        assert_eq!(to_user(name, good), Ok(()), "{name}");
        assert_eq!(to_user(name, bad), strange(name), "{name} {bad:?}");
    }
    let unknown = "trusted.overlay.of-a-later-kernel";
    assert_eq!(to_user(unknown, b"y"), strange(unknown));
    let taken = NotMoved::Taken("user.overlay.origin".into());
    assert_eq!(to_user("user.overlay.origin", HANDLE), Err(taken));
    for name in ["trusted.overlay.redirect", "trusted.overlay.metacopy"] {
        let refused = NotMoved::Refused(name.into());
        assert_eq!(to_user(name, b""), Err(refused));
    }
}

#[test]
fn each_attribute_is_under_one_of_its_names_on_the_way_or_under_none() {
    let before = xattrs(&[
        ("trusted.overlay.opaque", b"y"),
        ("trusted.overlay.origin", HANDLE),
    ]);
    let after = before.moved_to(OverlayNamespace::User).unwrap();
    for (now, expected) in [
        (before.clone(), true),
        (after.clone(), true),
        (xattrs(&[]), true),
        (xattrs(&[("user.overlay.opaque", b"y")]), true),
        (xattrs(&[("user.overlay.opaque", b"x")]), false),
        (xattrs(&[("user.overlay.metacopy", b"")]), false),
    ] {
        assert_eq!(now.is_between(&before, &after), expected, "{now:?}");
    }
    let now = xattrs(&[
        ("user.overlay.opaque", b"y"),
        ("user.overlay.redirect", b"z"),
    ]);
    let back = xattrs(&[
        ("trusted.overlay.opaque", b"y"),
        ("user.overlay.redirect", b"z"),
    ]);
    assert_eq!(before.given_back(&now), back);
    let changed = xattrs(&[("user.overlay.opaque", b"x")]);
    assert_eq!(before.given_back(&changed), changed);
}

#[test]
fn a_record_cannot_name_other_attributes() {
    for (name, value) in [
        ("security.capability", "eQ=="),
        ("trusted.overlay.", "eQ=="),
        ("user.overlay", "eQ=="),
        ("user.overlay.a\0b", "eQ=="),
        ("user.overlay.a", "?"),
    ] {
        let all = BTreeMap::from([(name.to_string(), value.to_string())]);
        assert!(OverlayXattrs::try_from(all).is_err(), "{name:?} {value}");
    }
}
