use super::*;

#[test]
fn steps_come_back_from_json() {
    let at = StepPath::new(0, ["a", "b"]);
    let made = NewDirectory {
        uid: 0,
        gid: 100_000,
        mode: Mode::from_st_mode(0o710),
    };
    let content = |text: &str| FileContent {
        text: text.into(),
        mtime_ns: Some(5),
        owner: (text == "x").then_some((7, 8)),
    };
    for step in [
            Step::MakeDir {
                at: at.clone(),
                made,
            },
            Step::RemoveDir {
                at: at.clone(),
                made,
            },
            Step::Rename {
                from: at.clone(),
                to: StepPath::new(0, [b"\xff"]),
                identity: Identity { ino: 7, born: 9 },
            },
            Step::Rewrite {
                at: at.clone(),
                before: content("x"),
                after: content("y\n"),
            },
            Step::Relink {
                at: at.clone(),
                before: Name(b"../x".to_vec()),
                after: Name(b"/y\xff".to_vec()),
                mtime_ns: 7,
                owners: Some([(1, 2), (3, 4)]),
            },
            Step::SetOwnership {
                at: at.clone(),
                identity: Identity { ino: 7, born: 9 },
                before: serde_json::from_str(r#"{"uid":0,"gid":7,"mode":"0700"}"#).unwrap(),
                after: serde_json::from_str(
                    r#"{"uid":0,"gid":7,"mode":"0710","acl":"u::rwx,u:100000:--x,g::---,m::--x,o::---"}"#,
                )
                .unwrap(),
            },
            Step::Create {
                at: at.clone(),
                content: "z".to_string().into(),
                made,
            },
            Step::Create {
                at: at.clone(),
                content: Content(b"SQLite\0\xff".to_vec()),
                made,
            },
            Step::Remove {
                at: at.clone(),
                content: "z".into(),
                made,
            },
            Step::Block {
                from: at.clone(),
                to: StepPath::new(0, ["c"]),
                identity: Identity { ino: 7, born: 9 },
                content: "guard".into(),
            },
            Step::Unblock {
                from: StepPath::new(0, ["c"]),
                to: at.clone(),
                identity: Identity { ino: 7, born: 9 },
                content: "guard".into(),
            },
            Step::HandOver {
                from: at.clone(),
                to: StepPath::new(0, ["c"]),
                entry: Name(b"image".to_vec()),
                identity: Identity { ino: 7, born: 9 },
                closed: made,
                open: made,
            },
            Step::Staged {
                at: at.clone(),
                identity: Identity { ino: 7, born: 9 },
                whole: false,
            },
            Step::Staged {
                at: at.clone(),
                identity: Identity { ino: 7, born: 9 },
                whole: true,
            },
            Step::Expect {
                at: at.clone(),
                sha256: sha256(b"x"),
            },
            Step::MakeMountPoint {
                at: at.clone(),
                made,
            },
            Step::RemoveMountPoint {
                at: at.clone(),
                made,
            },
            Step::MountExchanged {
                source: at.clone(),
                at: StepPath::new(0, ["c"]),
                mtime_ns: 5,
            },
            Step::UnmountExchanged {
                source: at.clone(),
                at: StepPath::new(0, ["c"]),
            },
            Step::Times { at, mtime_ns: 5 },
        ] {
            let json = serde_json::to_string(&step).unwrap();
            assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), step, "{json}");
        }
}

#[test]
fn a_place_that_leads_out_of_its_root_is_refused() {
    for bad in [&["..", "etc"][..], &[], &["a/b"], &["."], &[""]] {
        let at = StepPath::new(0, bad);
        let step = Step::RemoveDir {
            at,
            made: NewDirectory {
                uid: 0,
                gid: 0,
                mode: Mode::from_st_mode(0),
            },
        };
        assert!(step.check(1).is_err(), "{bad:?}");
    }
    let other_root = StepPath::new(1, ["a"]);
    assert!(other_root.check(1).is_err());
}
