use super::*;

const SMALL: Limits = Limits {
    links: 2,
    symlink: 3,
    file: 10,
    minor: 3,
    xattr: 40,
    xattrs: 100,
};

fn entry(name: &str, kind: EntryKind, link_name: &str) -> Entry {
    Entry {
        name: name.into(),
        link_name: link_name.into(),
        kind,
        size: 0,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: (0, 0),
        device: (1, 3),
        xattrs: Vec::new(),
        sparse: None,
    }
}

#[test]
fn what_the_filesystem_does_not_keep_is_refused() {
    let file = || entry("f", EntryKind::File, "");
    let planner = || {
        let mut planner = Planner::new(&SMALL);
        planner.plan(&file()).unwrap();
        planner
    };
    let refused = |planner: &mut Planner<'_>, entry: Entry| {
        let refused = planner.plan(&entry).unwrap_err();
        refused.to_string()
    };
    let mut links = planner();
    links.plan(&entry("g", EntryKind::HardLink, "f")).unwrap();
    // One name gives way to another.
    links.plan(&entry("g", EntryKind::HardLink, "f")).unwrap();
    let told = refused(&mut links, entry("h", EntryKind::HardLink, "g"));
    assert!(told.contains("as many as the filesystem"), "{told}");

    let mut symlinks = planner();
    symlinks
        .plan(&entry("s", EntryKind::Symlink, "abc"))
        .unwrap();
    let told = refused(&mut symlinks, entry("s", EntryKind::Symlink, "abcd"));
    assert!(told.contains("its target is longer"), "{told}");

    let large = Entry {
        sparse: Some((Vec::new(), 11)),
        ..file()
    };
    assert!(refused(&mut planner(), large).contains("larger"));
    let device = entry("device", EntryKind::CharDevice, "");
    assert!(refused(&mut planner(), device).contains("device number"));

    let with = |name: &str, size: usize| Entry {
        xattrs: vec![(name.into(), vec![b'x'; size])],
        ..entry("f", EntryKind::HardLink, "f2")
    };
    let mut xattrs = planner();
    xattrs.plan(&entry("f2", EntryKind::HardLink, "f")).unwrap();
    let told = refused(&mut xattrs, with("user.long", 32));
    assert!(told.contains("user.long"), "{told}");
    let mut xattrs = planner();
    xattrs.plan(&entry("f2", EntryKind::HardLink, "f")).unwrap();
    for name in ["user.a", "user.a", "user.b"] {
        xattrs.plan(&with(name, 16)).unwrap();
    }
    let told = refused(&mut xattrs, with("user.c", 16));
    assert!(told.contains("user.c"), "{told}");
}

#[test]
fn what_is_replaced_is_gone_with_all_in_it() {
    let mut planner = Planner::new(&SMALL);
    planner.plan(&entry("a/b/f", EntryKind::File, "")).unwrap();
    planner.plan(&entry("a", EntryKind::File, "")).unwrap();
    let lost = planner.plan(&entry("l", EntryKind::HardLink, "a/b/f"));
    assert!(lost.unwrap_err().to_string().contains("not a directory"));
    planner.plan(&entry("a", EntryKind::Directory, "")).unwrap();
    let lost = planner.plan(&entry("l", EntryKind::HardLink, "a/b/f"));
    assert!(lost.unwrap_err().to_string().contains("not in the layer"));
    assert_eq!(planner.tree.owners().count(), 1);
}
