//! Attributes that a filesystem keeps in ways of its own.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::support::mounted::Mounted;
use crate::support::{Idshift, Kind, PYTHON, Snapshot, TestFs, assert_same, output, sh};

/// What a program writes.
fn text(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    String::from_utf8(output(program, args).stdout).unwrap()
}

fn attribute(path: &Path, name: &str) -> String {
    let asked = ["--only-values", "--absolute-names", "-n", name];
    let words = asked.map(OsStr::new).into_iter();
    text("getfattr", words.chain([path.as_os_str()]))
}

/// btrfs writes the property anew, with the algorithm of the mount, when flags are set as `chattr(1)` sets them.
#[test]
fn compression_of_an_immutable_file_stays() {
    let fs = TestFs::new(Kind::Btrfs);
    let tree = fs.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let file = tree.join("file");
    fs::write(&file, "content").unwrap();
    let property = ["-n", "btrfs.compression", "-v", "zstd"].map(OsStr::new);
    sh("setfattr", property.into_iter().chain([file.as_os_str()]));
    // `chattr +i` would write it anew, too.
    let immutable = "import fcntl, os, sys\n\
                     file = os.open(sys.argv[1], os.O_RDONLY)\n\
                     fcntl.ioctl(file, 0x401C5820, bytes([8]) + bytes(27))  # FS_IOC_FSSETXATTR, FS_XFLAG_IMMUTABLE";
    sh(
        PYTHON,
        ["-c".as_ref(), immutable.as_ref(), file.as_os_str()],
    );
    assert_eq!(attribute(&file, "btrfs.compression"), "zstd");
    let flags = text("lsattr", [file.as_os_str()]);
    let idshift = Idshift::new();
    idshift.shift_with(&tree, &["--immutable=clear"]).exits(0);
    assert_eq!(attribute(&file, "btrfs.compression"), "zstd");
    assert_eq!(text("lsattr", [file.as_os_str()]), flags);
    idshift.rollback().exits(0);
    assert_eq!(attribute(&file, "btrfs.compression"), "zstd");
    assert_eq!(text("lsattr", [file.as_os_str()]), flags);
    sh("chattr", ["-i".as_ref(), file.as_os_str()]);
}

/// `listxattr(2)` gives no list above 64 KiB, and a container's root can make one.
#[test]
fn more_names_than_the_kernel_lists_stop_no_run() {
    for kind in [Kind::Xfs, Kind::Btrfs] {
        let fs = TestFs::new(kind);
        let tree = fs.path().join("tree");
        fs::create_dir(&tree).unwrap();
        for name in ["file", "plain"] {
            let file = tree.join(name);
            fs::write(&file, "").unwrap();
            for n in 0..300 {
                let long = format!("user.{n:0>240}");
                sh("setfattr", ["-n".as_ref(), long.as_ref(), file.as_os_str()]);
            }
        }
        let file = tree.join("file");
        sh(
            "setfacl",
            ["-m".as_ref(), "u:33:rw".as_ref(), file.as_os_str()],
        );
        sh("setcap", ["cap_net_raw+ep".as_ref(), file.as_os_str()]);
        let start = acl_and_capability(&file);
        let idshift = Idshift::new();
        idshift.shift(&tree);
        let there = acl_and_capability(&file);
        assert!(there.contains("user:100033:rw-"), "{kind:?}: {there}");
        assert!(there.contains("[rootid=100000]"), "{kind:?}: {there}");
        idshift.run(["verify", "latest"]).exits(0);
        idshift.rollback().exits(0);
        assert_eq!(acl_and_capability(&file), start, "{kind:?}");
    }
}

fn acl_and_capability(file: &Path) -> String {
    let acl = text("getfacl", ["-pn".as_ref(), file.as_os_str()]);
    acl + &text("getcap", ["-n".as_ref(), file.as_os_str()])
}

/// A bind mount shows the journals in the tree, under another path than that of `--journal-dir`.
#[test]
fn journals_that_a_bind_mount_shows_in_the_tree_are_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let (tree, shown) = (fs.path().join("tree"), fs.path().join("shown"));
    fs::create_dir_all(tree.join("journals")).unwrap();
    fs::create_dir(&shown).unwrap();
    fs::write(tree.join("file"), "").unwrap();
    let mounted = Mounted::bind(&tree.join("journals"), &shown);
    let idshift = Idshift::with_journals_in(&shown);
    let before = Snapshot::of(&tree);
    let run = idshift.shift_with(&tree, &["--allow-in-use"]).exits(4);
    run.says("the journal directory lies inside")
        .says("--journal-dir DIR");
    assert_same(&before, &Snapshot::of(&tree), "refused");
    // What is shown from beside the tree is none of it.
    let beside = fs.path().join("beside");
    fs::create_dir(&beside).unwrap();
    drop((idshift, mounted));
    let _mounted = Mounted::bind(&beside, &shown);
    Idshift::with_journals_in(&shown).shift(&tree);
}
