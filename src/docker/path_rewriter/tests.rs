use super::*;

fn moved(from: &str) -> PathRewriter {
    let from = Path::new(from);
    PathRewriter::new(
        from,
        &from.join("100000.100000"),
        vec!["200000.200000".into()],
    )
    .unwrap()
}

#[test]
fn only_what_goes_along_gets_another_path() {
    let moved = moved("/none/docker");
    for (path, expected) in [
        ("/none/docker", Some("/none/docker/100000.100000")),
        ("/none/docker/", Some("/none/docker/100000.100000/")),
        (
            "/none/docker/volumes/v",
            Some("/none/docker/100000.100000/volumes/v"),
        ),
        ("/none/docker/200000.200000/volumes", None),
        ("/none/docker//200000.200000", None),
        ("/none/dockerfiles", None),
        ("/none", None),
        ("named", None),
        ("", None),
    ] {
        assert_eq!(moved.path(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn dots_and_symlinks_lead_to_the_same_inode_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let top = canonicalize(dir.path()).unwrap();
    let root = top.join("dr");
    std::fs::create_dir_all(root.join("volumes/v/_data")).unwrap();
    std::fs::create_dir_all(root.join("appdata/web")).unwrap();
    std::fs::create_dir_all(top.join("out/big")).unwrap();
    let link = |target: &str, at: &str| {
        std::os::unix::fs::symlink(target, root.join(at)).unwrap();
    };
    link("web", "appdata/current");
    link("../../out", "appdata/out");
    link(root.join("appdata/web").to_str().unwrap(), "appdata/abs");
    link("../../../out/big", "volumes/v/far");
    let moved = moved(root.to_str().unwrap());
    let text = |path: &str| path.replace('T', top.to_str().unwrap());
    for (path, expected) in [
        ("T/dr/../dr/volumes", Some("T/dr/100000.100000/volumes")),
        (
            "T/out/../dr/appdata/web",
            Some("T/dr/100000.100000/appdata/web"),
        ),
        ("T/dr/volumes/../../out", Some("T/out")),
        ("T/dr/../out", None),
        ("T/out/big", None),
        (
            "T/dr/appdata/current",
            Some("T/dr/100000.100000/appdata/current"),
        ),
        ("T/dr/appdata/abs", Some("T/dr/100000.100000/appdata/web")),
        ("T/dr/appdata/out/big", Some("T/out/big")),
        ("T/dr/../dr/200000.200000/volumes", None),
    ] {
        // What means the same as it is may be written otherwise.
        let found = moved.path(&text(path));
        let as_is = found.as_deref().unwrap_or(path) == path && expected.is_none();
        assert!(as_is || found == expected.map(text), "{path}: {found:?}");
    }
}

#[test]
fn a_volume_symlink_leads_to_the_same_inode() {
    let dir = tempfile::tempdir().unwrap();
    let top = canonicalize(dir.path()).unwrap();
    let root = top.join("dr");
    for below in [
        "dr/volumes/v/other",
        "dr/volumes/w",
        "dr/shared",
        "dr/200000.200000",
        "out",
    ] {
        std::fs::create_dir_all(top.join(below)).unwrap();
    }
    let moved = moved(root.to_str().unwrap());
    let text = |path: &str| path.replace('T', top.to_str().unwrap());
    let at = root.join("volumes/v/_data");
    for (target, expected) in [
        ("../../../out", Some("../../../../out")),
        ("T/out", None),
        ("../../shared", None),
        ("../w", None),
        ("T/dr/shared", Some("T/dr/100000.100000/shared")),
        ("../../../dr/shared", Some("../../shared")),
        ("../../200000.200000", Some("../../../200000.200000")),
        ("T/dr/200000.200000", None),
        ("nowhere", None),
    ] {
        std::os::unix::fs::symlink(text(target), &at).unwrap();
        let expected = expected.map(|path| PathBuf::from(text(path)));
        assert_eq!(moved.link(&at), expected, "{target}");
        std::fs::remove_file(&at).unwrap();
    }
}

#[test]
fn symlinks_are_seen_through() {
    let dir = tempfile::tempdir().unwrap();
    let top = canonicalize(dir.path()).unwrap();
    let root = top.join("root");
    std::fs::create_dir_all(root.join("volumes")).unwrap();
    let link = top.join("link");
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let moved = moved(root.to_str().unwrap());
    for below in ["volumes", "volumes/not/there/yet"] {
        let path = link.join(below).to_str().unwrap().to_string();
        let expected = root.join("100000.100000").join(below);
        assert_eq!(moved.path(&path).as_deref(), expected.to_str());
    }
}
