//! The tests' own tools: a snapshot sees whatever could be changed, and an expectation is right for
//! a shift made by hand.

use std::fs::{self, File, FileTimes};
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::support;
use crate::support::isolation::isolate;
use crate::support::{Kind, MAP, Snapshot, TestFs, assert_same, output, sh, tree};

fn in_tree(program: &str, args: &[&str], tree: &Path) {
    let status = std::process::Command::new(program)
        .args(args)
        .current_dir(tree)
        .status();
    assert!(status.unwrap().success(), "{program} {args:?}");
}

fn set_times(path: &Path, times: impl Fn(FileTimes, SystemTime) -> FileTimes) {
    let file = File::open(path).unwrap();
    let when = SystemTime::UNIX_EPOCH + Duration::from_secs(77);
    file.set_times(times(FileTimes::new(), when)).unwrap();
}

type Touch = fn(&Path);

/// Something that the program must not do, what it changes, and in which field.
const TOUCHES: &[(&str, &str, Touch)] = &[
    ("owners/0-0", "uid", |tree| {
        chown(tree.join("owners/0-0"), Some(7), None).unwrap();
    }),
    ("kinds/dangling", "gid", |tree| {
        lchown(tree.join("kinds/dangling"), None, Some(7)).unwrap();
    }),
    ("modes/file-4755", "mode", |tree| {
        in_tree("chmod", &["u-s", "modes/file-4755"], tree);
    }),
    ("modes/dir-2755", "mode", |tree| {
        in_tree("chmod", &["g-s", "modes/dir-2755"], tree);
    }),
    ("links/b/one-more", "ino", |tree| {
        in_tree(
            "cp",
            &[
                "-pr",
                "--remove-destination",
                "links/a/one",
                "links/b/one-more",
            ],
            tree,
        );
    }),
    ("links/a/one", "nlink", |tree| {
        fs::remove_file(tree.join("links/b/one-more")).unwrap();
    }),
    ("kinds/sparse", "data", |tree| {
        in_tree("cp", &["-p", "--sparse=never", "kinds/sparse", "s"], tree);
    }),
    ("kinds/null", "rdev", |tree| {
        in_tree("sh", &["-c", "rm kinds/null; mknod kinds/null c 1 5"], tree);
    }),
    ("kinds/dangling", "target", |tree| {
        in_tree("ln", &["-sfn", "elsewhere", "kinds/dangling"], tree);
    }),
    ("owners/0-0", "sha256", |tree| {
        fs::write(tree.join("owners/0-0"), "CONTENT\n").unwrap();
    }),
    ("owners/0-0", "mtime_ns", |tree| {
        set_times(&tree.join("owners/0-0"), FileTimes::set_modified);
    }),
    ("owners", "atime_ns", |tree| {
        set_times(&tree.join("owners"), FileTimes::set_accessed);
    }),
    ("owners", "atime_ns", |tree| {
        assert!(fs::read_dir(tree.join("owners")).unwrap().count() > 0);
    }),
    ("acls/file", "xattrs", |tree| {
        in_tree("setfacl", &["-x", "u:65535", "acls/file"], tree);
    }),
    ("acls/dir", "xattrs", |tree| {
        in_tree("setfacl", &["-x", "d:g:0", "acls/dir"], tree);
    }),
    ("capabilities/nested", "xattrs", |tree| {
        in_tree("setcap", &["cap_net_raw+ep", "capabilities/nested"], tree);
    }),
    ("xattrs/opaque", "xattrs", |tree| {
        in_tree(
            "setfattr",
            &["-x", "trusted.overlay.opaque", "xattrs/opaque"],
            tree,
        );
    }),
    ("xattrs/symlink", "xattrs", |tree| {
        in_tree(
            "setfattr",
            &["-h", "-x", "trusted.note", "xattrs/symlink"],
            tree,
        );
    }),
];

#[test]
fn a_snapshot_sees_each_kind_of_change() {
    for (path, field, touch) in TOUCHES {
        let fs = TestFs::new(Kind::Ext4);
        let tree = tree::zoo(&fs.path().join("tree"));
        let before = Snapshot::of(&tree);
        assert_same(
            &before,
            &Snapshot::of(&tree),
            "taking a snapshot changes nothing",
        );
        touch(&tree);
        let (before, after) = (before.at(path), Snapshot::of(&tree));
        let after = match *field {
            // The copy has no holes; nothing else can fill them in place without changing times.
            "data" => after.at("s"),
            _ => after.at(path),
        };
        assert_ne!(before[field], after[field], "{field} of {path}");
    }
}

#[test]
fn an_expectation_is_what_the_tools_make_by_hand() {
    let fs = TestFs::new(Kind::Ext4);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let make = |ids: [u32; 3], root_id: Option<&str>, nested: &str| {
        let file = tree.join("file");
        let program = tree.join("program");
        for path in [&file, &program] {
            fs::write(path, "content").unwrap();
            chown(path, Some(ids[1]), Some(ids[2])).unwrap();
        }
        let [a, b, c] = ids;
        let acl = format!("u::rw,u:{c}:r,u:{a}:rw,u:{b}:x,g::r,g:{b}:r,g:{a}:-,m::rwx,o::-");
        in_tree("setfacl", &["--set", &acl, "file"], &tree);
        let default = format!("d:u::rwx,d:u:{a}:r,d:g::r,d:g:{c}:rw,d:m::rwx,d:o::-");
        in_tree("setfacl", &["-k", "."], &tree);
        in_tree("setfacl", &["-n", "-m", &default, "."], &tree);
        chown(&tree, Some(a), Some(b)).unwrap();
        match root_id {
            Some(id) => in_tree("setcap", &["-n", id, "cap_net_raw+ep", "program"], &tree),
            None => in_tree("setcap", &["cap_net_raw+ep", "program"], &tree),
        }
        // Made anew, so that it inherits the default ACL that the directory has now.
        let _ = fs::remove_file(tree.join("nested"));
        fs::write(tree.join("nested"), "").unwrap();
        chown(tree.join("nested"), Some(a), Some(a)).unwrap();
        in_tree(
            "setcap",
            &["-n", nested, "cap_net_admin+p", "nested"],
            &tree,
        );
        Snapshot::of(&tree)
    };
    let shifted_by_hand = make([100_000, 101_000, 165_535], Some("100000"), "101000");
    let start = make([0, 1000, 65_535], None, "1000");
    let expected = start.shifted(&[MAP]);
    let back = shifted_by_hand.shifted_back(&[MAP]);
    // Writing it twice took time.
    let timeless = |snapshot: Snapshot| {
        snapshot.edited(|lines| {
            for line in lines.values_mut() {
                line["mtime_ns"] = 0.into();
                line["atime_ns"] = 0.into();
            }
        })
    };
    let [start, expected, by_hand, back] = [start, expected, shifted_by_hand, back].map(timeless);
    assert_same(&by_hand, &expected, "into");
    assert_same(&start, &back, "out of");
}

/// Two ranges whose order on the host is not that in the container: ACL entries change places.
#[test]
fn an_expectation_keeps_the_order_of_acl_entries() {
    let fs = TestFs::new(Kind::Ext4);
    let maps = ["b:0:200000:1000", "b:1000:100000:1000"];
    let make = |ids: [u32; 2]| {
        let file = fs.path().join("file");
        fs::write(&file, "").unwrap();
        chown(&file, Some(ids[0]), Some(ids[1])).unwrap();
        let acl = format!(
            "u:{}:r,u:{}:rw,g:{}:r,g:{}:x,m::rwx",
            ids[0], ids[1], ids[0], ids[1]
        );
        sh(
            "setfacl",
            ["-b".as_ref(), "-m".as_ref(), acl.as_ref(), file.as_os_str()],
        );
        let xattrs = Snapshot::of(&fs.path()).at("file")["xattrs"].clone();
        (
            xattrs,
            Snapshot::of(&fs.path()).without(|path| path != b"file"),
        )
    };
    let (by_hand, _) = make([200_005, 100_007]);
    let (_, start) = make([5, 1007]);
    assert_eq!(start.shifted(&maps).at("file")["xattrs"], by_hand);
}

#[test]
fn a_deep_tree_is_deeper_than_path_max() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::deep_zoo(&fs.path().join("tree"));
    let longest = Snapshot::of(&tree)
        .lines()
        .keys()
        .map(Vec::len)
        .max()
        .unwrap();
    assert!(longest > 2 * 4096, "{longest}");
}

#[test]
fn a_wide_tree_has_as_many_names_as_asked() {
    let fs = TestFs::new(Kind::Tmpfs);
    let tree = tree::many(&fs.path().join("tree"), 2_000);
    let snapshot = Snapshot::of(&tree);
    assert_eq!(snapshot.lines().len(), 2_001);
    assert!(
        snapshot.inodes().len() < 2_001,
        "some are names of the same inode"
    );
}

#[test]
fn mounts_are_gone_after_a_test() {
    let before = output("losetup", ["--list"]).stdout;
    let image = {
        let fs = TestFs::new(Kind::Ext4);
        let image = fs.path().with_file_name("image");
        assert!(fs::metadata(&image).unwrap().blocks() > 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _fs = fs;
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        image
    };
    assert!(!image.exists());
    assert!(
        !String::from_utf8_lossy(&output("losetup", ["--list"]).stdout)
            .contains(image.to_str().unwrap())
    );
    drop(before);
}

#[test]
fn what_a_test_changes_of_the_host_is_its_own() {
    support::need_root();
    isolate();
    sh(
        "useradd",
        ["-m", "-k", "/nonexistent", "-b", "/run", "idshift-someone"],
    );
    for path in [
        "/etc/docker/daemon.json",
        "/etc/subuid",
        "/run/idshift-mine",
    ] {
        fs::write(path, "idshift-someone").unwrap();
    }
    // The first process has the host's own view.
    let host = |path: &str| fs::read_to_string(format!("/proc/1/root{path}")).unwrap_or_default();
    for path in [
        "/etc/passwd",
        "/etc/group",
        "/etc/docker/daemon.json",
        "/etc/subuid",
    ] {
        let own = fs::read_to_string(path).unwrap();
        assert!(own.contains("idshift-someone"), "{path}");
        assert!(!host(path).contains("idshift-someone"), "{path}");
    }
    assert_eq!(host("/run/idshift-mine"), "");
    // A test that is to begin anew can.
    support::isolation::own_etc();
    assert!(
        !fs::read_to_string("/etc/passwd")
            .unwrap()
            .contains("someone")
    );
    assert!(!Path::new("/etc/docker/daemon.json").exists());
}
