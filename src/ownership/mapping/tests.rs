use proptest::prelude::*;

use super::*;
use crate::idmap::tests::map;
use crate::ownership::Mode;
use crate::ownership::acl::tests::acls;
use crate::ownership::capability::tests::capabilities;

#[test]
fn host_ids_are_given_back_and_others_stay() {
    let map = map("b:0:100000:65536");
    for (before, given, exchanged) in [
        ((0, 7), (0, 7), Some((100_000, 100_007))),
        ((100_000, 0), (0, 0), Some((0, 100_000))),
        ((100_033, 100_034), (33, 34), Some((33, 34))),
        ((70_000, 100_000), (70_000, 0), None),
    ] {
        let of = |(uid, gid): (u32, u32)| {
            ownership(&format!(r#"{{"uid":{uid},"gid":{gid},"mode":"4755"}}"#))
        };
        let back = match give_back_ownership(&of(before), &map) {
            Mapping::Already => of(before),
            Mapping::Change(after) => after,
            Mapping::Unmapped(why) => panic!("{before:?}: {why}"),
        };
        assert_eq!(back, of(given), "{before:?}");
        let why = Undated::Copied;
        let undated = undated_ownership(&of(before), &map, why);
        let is_told = matches!(undated, Mapping::Unmapped(_));
        assert_eq!(is_told, back != of(before), "{before:?}");
        // A host id would not be told from one that this made.
        match (exchange_in_range(&of(before), &map), exchanged) {
            (Mapping::Change(after), Some(exchanged)) if before == (0, 7) => {
                assert_eq!(after, of(exchanged));
            }
            (Mapping::Unmapped(_), _) if before != (0, 7) => {}
            (other, _) => panic!("{before:?}: {other:?}"),
        }
        match exchange_undated(&of(before), &map, why) {
            Mapping::Unmapped(Unmapped::Undated { .. }) => assert!(is_told, "{before:?}"),
            stays => assert_eq!(stays, exchange_ownership(&of(before), &map)),
        }
        match (exchange_ownership(&of(before), &map), exchanged) {
            (Mapping::Change(after), Some(exchanged)) => assert_eq!(after, of(exchanged)),
            (Mapping::Unmapped(_), None) => {}
            (other, _) => panic!("{before:?}: {other:?}"),
        }
    }
}

proptest! {
    /// What is seen through a mount with exchanged owners leads back to what is on disk, ACLs and capability
    /// included.
    #[test]
    fn an_exchange_of_an_exchange_is_nothing(
        uid in prop_oneof![0u32..65_536, 100_000u32..165_536],
        gid in prop_oneof![0u32..65_536, 100_000u32..165_536],
        capability in proptest::option::of(capabilities(prop_oneof![Just(None), Just(Some(100_000))])),
    ) {
        let map = map("b:0:100000:65536");
        let xattrs = OwnershipXattrs { capability, ..OwnershipXattrs::default() };
        let before = Ownership::new(uid, gid, Mode::from_st_mode(0o755), xattrs);
        let Mapping::Change(seen) = exchange_ownership(&before, &map) else {
            return Err(TestCaseError::fail("nothing is exchanged"));
        };
        let Mapping::Change(after) = exchange_ownership(&seen, &map) else {
            return Err(TestCaseError::fail("nothing is exchanged back"));
        };
        prop_assert_eq!(after, before);
    }
}

fn ownership(json: &str) -> Ownership {
    serde_json::from_str(json).unwrap()
}

#[test]
fn already_shifted_is_on_the_target_side() {
    let map = map("b:0:50:100");
    for (uid, direction, is_there) in [
        (49, Direction::Into, false),
        (50, Direction::Into, true),
        (149, Direction::Into, true),
        (150, Direction::Into, false),
        (99, Direction::OutOf, true),
        (100, Direction::OutOf, false),
    ] {
        let before = ownership(&format!(r#"{{"uid":{uid},"gid":60,"mode":"0644"}}"#));
        let outcome = expect_ownership(&before, &map, direction);
        assert_eq!(outcome == Mapping::Already, is_there, "{uid} {direction}");
    }
}

#[test]
fn an_id_of_one_side_is_not_taken_for_the_other() {
    let map = map("b:0:100000:65536");
    for (json, field) in [
        (r#"{"uid":100050,"gid":0,"mode":"0644"}"#, "uid 100050"),
        (r#"{"uid":0,"gid":100050,"mode":"0644"}"#, "gid 100050"),
        (
            r#"{"uid":0,"gid":0,"mode":"0644","acl":"u::rw-,u:100050:r--,g::r--,m::r--,o::r--"}"#,
            "ACL user 100050",
        ),
        (
            r#"{"uid":0,"gid":0,"mode":"0755","default_acl":"u::rw-,g::r--,g:100050:r--,m::r--,o::r--"}"#,
            "default ACL group 100050",
        ),
        (
            r#"{"uid":0,"gid":0,"mode":"0644","capability":{"version":3,"effective":true,"permitted":"0x1","inheritable":"0x0","rootid":100050}}"#,
            "capability rootid 100050",
        ),
    ] {
        let before = ownership(json);
        let Mapping::Unmapped(why) = map_all_of_ownership(&before, &map, Direction::Into) else {
            panic!("{json}")
        };
        assert_eq!(why.to_string(), format!("{field} is outside the map"));
        let lenient = map_ownership(&before, &map, Direction::Into);
        assert!(!matches!(lenient, Mapping::Unmapped(_)), "{json}");
    }
    let plain = ownership(r#"{"uid":7,"gid":8,"mode":"0644"}"#);
    assert_eq!(
        map_all_of_ownership(&plain, &map, Direction::Into),
        map_ownership(&plain, &map, Direction::Into)
    );
}

/// Ownerships as they are on a host before a shift, over ids below `ids`.
fn unshifted(ids: u32) -> impl Strategy<Value = Ownership> {
    let acl = || proptest::option::of(acls(0..ids));
    let capability = proptest::option::of(capabilities(Just(None)));
    (0..ids, 0..ids, 0u32..0o10000, acl(), acl(), capability).prop_map(
        |(uid, gid, mode, acl, default_acl, capability)| {
            let xattrs = OwnershipXattrs {
                acl,
                default_acl,
                capability,
                ..OwnershipXattrs::default()
            };
            Ownership::new(uid, gid, Mode::from_st_mode(mode), xattrs)
        },
    )
}

const MAPS: [&str; 3] = [
    "b:0:100000:65536",
    // The first half goes behind the second: entries change their order.
    "b:0:500000:500 b:500:400000:65036",
    "u:0:100000:65536 g:0:300000:65536",
];

proptest! {
    #[test]
    fn out_of_gives_back_what_into_was_given(before in unshifted(1000), which in 0..MAPS.len()) {
        let map = map(MAPS[which]);
        let Mapping::Change(inside) = map_ownership(&before, &map, Direction::Into) else {
            panic!("{before:?}");
        };
        prop_assert_eq!(map_ownership(&inside, &map, Direction::Into), Mapping::Already);
        prop_assert_eq!(map_ownership(&before, &map, Direction::OutOf), Mapping::Already);
        prop_assert_eq!(map_ownership(&inside, &map, Direction::OutOf), Mapping::Change(before));
    }

    #[test]
    fn entries_stay_in_the_kernels_order(before in unshifted(1000), which in 0..MAPS.len()) {
        if let Mapping::Change(after) = map_ownership(&before, &map(MAPS[which]), Direction::Into) {
            for acl in [after.acl(), after.default_acl()].into_iter().flatten() {
                let read = Acl::decode(&acl.encode());
                prop_assert_eq!(read.as_ref(), Ok(acl));
            }
        }
    }
}

const RANGES: [&str; 6] = [
    "b:0:100000:65536",
    "b:0:165536:65536",
    // As of a privileged container.
    "b:0:0:65536",
    // An id that is passed through.
    "b:0:300000:500 b:500:500:1 b:501:300501:65035",
    // Entries change their order.
    "b:0:500000:500 b:500:400000:65036",
    "u:0:100000:65536 g:0:300000:65536",
];

proptest! {
    #[test]
    fn from_one_range_is_out_of_it_and_into_the_other(
        inside in unshifted(1000), from in 0..RANGES.len(), to in 0..RANGES.len(),
    ) {
        let (from, to) = (map(RANGES[from]), map(RANGES[to]));
        let into = |map: &IdMap| match map_all_of_ownership(&inside, map, Direction::Into) {
            Mapping::Change(after) => after,
            Mapping::Already => inside.clone(),
            Mapping::Unmapped(why) => panic!("{why}"),
        };
        let (before, after) = (into(&from), into(&to));
        let moved = from.onto(&to);
        let outcome = map_all_of_ownership(&before, &moved, Direction::Into);
        match before == after {
            true => prop_assert_eq!(outcome, Mapping::Already),
            false => prop_assert_eq!(outcome, Mapping::Change(after.clone())),
        }
        if moved.sides_overlap().is_none() {
            prop_assert_eq!(map_ownership(&after, &moved, Direction::Into), Mapping::Already);
            let back = map_ownership(&after, &moved, Direction::OutOf);
            if moved.uids.map(0, Direction::Into) == Mapped::Unmapped && before != after {
                prop_assert_eq!(back, Mapping::Change(before));
            }
        }
    }
}

#[test]
fn all_that_names_ids_is_mapped_and_nothing_else() {
    let before = ownership(
        r#"{"uid":0,"gid":7,"mode":"4755","acl":"u::rwx,u:5:r--,u:1000:-w-,g::r-x,g:7:--x,m::rwx,o::r-x","default_acl":"u::rwx,u:9:---,g::r-x,m::rwx,o::---","capability":{"version":2,"effective":true,"permitted":"0x2000","inheritable":"0x1"}}"#,
    );
    let after = ownership(
        r#"{"uid":100000,"gid":300007,"mode":"4755","acl":"u::rwx,u:100005:r--,u:101000:-w-,g::r-x,g:300007:--x,m::rwx,o::r-x","default_acl":"u::rwx,u:100009:---,g::r-x,m::rwx,o::---","capability":{"version":3,"effective":true,"permitted":"0x2000","inheritable":"0x1","rootid":100000}}"#,
    );
    // Apart, so that a gid that goes through the map of uids is seen.
    let map = map("u:0:100000:65536 g:0:300000:65536");
    assert_eq!(
        map_ownership(&before, &map, Direction::Into),
        Mapping::Change(after)
    );
}

#[test]
fn a_nested_rootid_is_mapped_and_kept() {
    let cap = |rootid: u32| {
        ownership(&format!(
            r#"{{"uid":100000,"gid":100000,"mode":"0755","capability":{{"version":3,"effective":false,"permitted":"0x1","inheritable":"0x0","rootid":{rootid}}}}}"#
        ))
    };
    let map = map("b:0:100000:65536");
    let mut expected = cap(101_000);
    assert_eq!(
        map_ownership(&cap(1000), &map, Direction::Into),
        Mapping::Change(expected.clone())
    );
    expected = cap(1000);
    (expected.uid, expected.gid) = (0, 0);
    assert_eq!(
        map_ownership(&cap(101_000), &map, Direction::OutOf),
        Mapping::Change(expected)
    );
}

#[test]
fn what_is_outside_the_map_is_named() {
    let map = map("b:0:100000:1000");
    let said = |json: &str| match map_ownership(&ownership(json), &map, Direction::Into) {
        Mapping::Unmapped(unmapped) => unmapped.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        said(r#"{"uid":1000,"gid":0,"mode":"0644"}"#),
        "uid 1000 is outside the map"
    );
    assert_eq!(
        said(r#"{"uid":0,"gid":70000,"mode":"0644"}"#),
        "gid 70000 is outside the map"
    );
    assert_eq!(
        said(r#"{"uid":0,"gid":0,"mode":"0644","acl":"u::rwx,g::r-x,g:5000:r--,m::rwx,o::r-x"}"#),
        "ACL group 5000 is outside the map"
    );
    assert_eq!(
        said(
            r#"{"uid":0,"gid":0,"mode":"0755","default_acl":"u::rwx,u:5000:r--,g::r-x,m::rwx,o::r-x"}"#
        ),
        "default ACL user 5000 is outside the map"
    );
    assert_eq!(
        said(
            r#"{"uid":0,"gid":0,"mode":"0755","capability":{"version":3,"effective":true,"permitted":"0x1","inheritable":"0x0","rootid":5000}}"#
        ),
        "capability rootid 5000 is outside the map"
    );
    assert_eq!(
        said(
            r#"{"uid":0,"gid":0,"mode":"0644","acl":"u::rwx,u:5:r--,u:100005:r--,g::r-x,m::rwx,o::r-x"}"#
        ),
        "two entries of its ACL would be for the same id"
    );
}

#[test]
fn a_capability_of_host_root_stays_as_shown() {
    let map = map("b:0:0:1 b:1:100000:1000");
    let cap = |uid: u32| {
        ownership(&format!(
            r#"{{"uid":{uid},"gid":0,"mode":"0755","capability":{{"version":2,"effective":true,"permitted":"0x1","inheritable":"0x0"}}}}"#
        ))
    };
    let outcome = map_ownership(&cap(0), &map, Direction::Into);
    assert_eq!(outcome, Mapping::Already);
    let outcome = map_ownership(&cap(1), &map, Direction::Into);
    assert_eq!(outcome, Mapping::Change(cap(100_000)));
}

#[test]
fn a_capability_needs_a_container_root() {
    let map = map("b:1:100001:1000");
    let before = ownership(
        r#"{"uid":5,"gid":5,"mode":"0755","capability":{"version":2,"effective":true,"permitted":"0x1","inheritable":"0x0"}}"#,
    );
    let outcome = map_ownership(&before, &map, Direction::Into);
    assert_eq!(outcome, Mapping::Unmapped(Unmapped::NoContainerRoot));
}

#[test]
fn a_named_id_on_both_sides_is_told() {
    let map = map("b:0:1000:1 b:1:200000:65536");
    let acl = |id: u32| format!(r#""acl":"u::rwx,u:{id}:r--,g::r-x,m::rwx,o::r-x""#);
    let capability = |id: u32| {
        format!(
            r#""capability":{{"version":3,"effective":true,"permitted":"0x1","inheritable":"0x0","rootid":{id}}}"#
        )
    };
    for (xattrs, told) in [
        (acl(999), None),
        (acl(200_999), None),
        (acl(1000), Some("ACL user 1000")),
        (
            acl(1000).replace("u:1000", "g:1000"),
            Some("ACL group 1000"),
        ),
        (capability(200_999), None),
        (capability(1000), Some("capability rootid 1000")),
    ] {
        // The owner is given, and tells nothing.
        let before = ownership(&format!(
            r#"{{"uid":1000,"gid":1000,"mode":"0755",{xattrs}}}"#
        ));
        let found = named_on_both_sides(&before, &map).map(|it| it.to_string());
        let begins = found
            .as_deref()
            .map(|it| it.split(" is on").next().unwrap());
        assert_eq!(begins, told, "{xattrs}");
    }
    let other = crate::idmap::tests::map("b:0:0:1 b:1:200000:65536");
    let own = ownership(&format!(r#"{{"uid":0,"gid":0,"mode":"0755",{}}}"#, acl(0)));
    assert_eq!(named_on_both_sides(&own, &other), None, "an id that stays");
}
