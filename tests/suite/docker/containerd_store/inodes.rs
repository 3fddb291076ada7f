//! A rollback gives back the operator's own directories and files, not new ones that look like them.

use crate::support::PYTHON;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::docker::store_kills::{Store, host_with_managed_store};
use crate::support::docker::same;
use crate::support::{Idshift, Run, isolation, need_root, output, script, sh};

/// Every inode of the data-root, in which containerd has its directory, with its number and its time. Files of containers that a
/// run rewrites are new ones.
fn inodes(root: &Path) -> Vec<String> {
    let lines = output(PYTHON, [script("snapshot.py").as_path(), root]).stdout;
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        let is_rewritten = value["path"].as_str().is_some_and(|path| {
            path.ends_with("config.v2.json") || path.ends_with("hostconfig.json")
        });
        let object = value.as_object_mut().unwrap();
        object.remove("atime_ns");
        if is_rewritten {
            object.remove("ino");
        }
        value.to_string()
    };
    String::from_utf8(lines)
        .unwrap()
        .lines()
        .map(line)
        .collect()
}

/// What Docker 29 and the operator have in `image` beside a storage driver that was tried, and what the operator gave it.
fn fill_image(root: &Path) {
    sh(
        "sh",
        [
            "-euc".as_ref(),
            "cd \"$0\"; mkdir -p image/overlay2/layerdb overlay2/l; chmod 750 image
             echo cache > image/identity-cache.db; echo mine > image/notes
             setfattr -n user.mine -v 1 image; setfacl -m u:7:rx image; touch -d 2001-02-03 image"
                .as_ref(),
            root.as_os_str(),
        ],
    );
}

fn rolled_back(store: &Store, way: &[&str], has_image: bool) {
    let when = format!("{way:?}, with an image directory: {has_image}");
    let idshift = Idshift::new();
    let start = inodes(&store.root);
    Run::of(&mut store.command(&idshift, way)).exits(0);
    let root = store.root.join("100000.100000");
    assert!(root.exists(), "{when}");
    let run = idshift.run(["rollback", "latest"]).exits(0);
    // Of the copy, which stays, nothing is called new.
    assert!(!run.stderr.contains("may be nowhere else"), "{when}: {run}");
    let copy = store.root.join("idshift-copy-100000.100000");
    assert_eq!(copy.exists(), way == ["--copy"], "{when}: {run}");
    if copy.exists() {
        assert_eq!(copy.join("image").exists(), has_image, "{when}");
        let time = fs::metadata(&store.root).unwrap().modified().unwrap();
        fs::remove_dir_all(copy).unwrap();
        fs::File::open(&store.root)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
    let mut end = inodes(&store.root);
    if way == ["--copy"] {
        // The copy came into it.
        end[0].clone_from(&start[0]);
    }
    same(&start, &end, &when);
}

#[test]
fn a_rollback_gives_back_the_same_inodes() {
    need_root();
    isolation::isolate();
    let host = host_with_managed_store();
    let store = Store::of(&host);
    let ways: [&[&str]; 3] = [&[], &["--copy"], &["--idmapped"]];
    assert!(!store.root.join("image").exists());
    for way in ways {
        rolled_back(&store, way, false);
    }
    fill_image(&store.root);
    for way in ways {
        rolled_back(&store, way, true);
    }
}
