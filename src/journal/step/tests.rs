use super::*;

const MADE: NewDirectory = NewDirectory {
    uid: 0,
    gid: 100_000,
    mode: Mode::from_st_mode(0o710),
};

const IDENTITY: Identity = Identity { ino: 7, born: 9 };

fn at() -> StepPath {
    StepPath::new(0, ["a", "b"])
}

#[test]
fn steps_come_back_from_json() {
    for step in [on_entries(), on_files(), on_directories()].concat() {
        let json = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&json).unwrap(), step, "{json}");
    }
}

/// Steps that move an entry or set what it has.
fn on_entries() -> Vec<Step> {
    vec![
            Step::Rename {
                from: at(),
                to: StepPath::new(0, [b"\xff"]),
                identity: IDENTITY,
            },
            Step::SetOwnership {
                at: at(),
                identity: IDENTITY,
                before: serde_json::from_str(r#"{"uid":0,"gid":7,"mode":"0700"}"#).unwrap(),
                after: serde_json::from_str(
                    r#"{"uid":0,"gid":7,"mode":"0710","acl":"u::rwx,u:100000:--x,g::---,m::--x,o::---"}"#,
                )
                .unwrap(),
            },
            Step::Block {
                from: at(),
                to: StepPath::new(0, ["c"]),
                identity: IDENTITY,
                content: "guard".into(),
            },
            Step::Unblock {
                from: StepPath::new(0, ["c"]),
                to: at(),
                identity: IDENTITY,
                content: "guard".into(),
            },
            Step::HandOver {
                from: at(),
                to: StepPath::new(0, ["c"]),
                entry: Name(b"image".to_vec()),
                identity: IDENTITY,
                closed: MADE,
                open: MADE,
            },
            Step::Staged {
                at: at(),
                identity: IDENTITY,
                whole: false,
            },
            Step::Staged {
                at: at(),
                identity: IDENTITY,
                whole: true,
            },
            Step::Times { at: at(), mtime_ns: 5 },
    ]
}

/// Steps on what a file or a symlink holds.
fn on_files() -> Vec<Step> {
    let content = |text: &str| FileContent {
        text: text.into(),
        mtime_ns: Some(5),
        owner: (text == "x").then_some((7, 8)),
    };
    vec![
        Step::Rewrite {
            at: at(),
            before: content("x"),
            after: content("y\n"),
        },
        Step::Relink {
            at: at(),
            before: Name(b"../x".to_vec()),
            after: Name(b"/y\xff".to_vec()),
            mtime_ns: 7,
            owners: Some([(1, 2), (3, 4)]),
        },
        Step::Create {
            at: at(),
            content: "z".to_string().into(),
            made: MADE,
        },
        Step::Create {
            at: at(),
            content: Content(b"SQLite\0\xff".to_vec()),
            made: MADE,
        },
        Step::Remove {
            at: at(),
            content: "z".into(),
            made: MADE,
        },
        Step::Expect {
            at: at(),
            sha256: sha256(b"x"),
        },
    ]
}

/// Steps that make and remove directories and mounts.
fn on_directories() -> Vec<Step> {
    vec![
        Step::MakeDir {
            at: at(),
            made: MADE,
        },
        Step::RemoveDir {
            at: at(),
            made: MADE,
        },
        Step::MakeMountPoint {
            at: at(),
            made: MADE,
        },
        Step::RemoveMountPoint {
            at: at(),
            made: MADE,
        },
        Step::MountExchanged {
            source: at(),
            at: StepPath::new(0, ["c"]),
            mtime_ns: 5,
        },
        Step::UnmountExchanged {
            source: at(),
            at: StepPath::new(0, ["c"]),
        },
    ]
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
