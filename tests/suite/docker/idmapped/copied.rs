//! A data-root that is remapped by a mount is copied to another disk. All its inodes are new then, and no time tells which ids
//! of the range containers had before: nothing is guessed.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use super::{INNER, content, tiny, unmount};
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::filesystem::{Kind, TestFs};
use crate::support::{Idshift, Run, need_root, output, sh};

/// Had by a container before, and made by root of the host since.
const OLD: &str = "volumes/vol/_data/old";
const OF_ROOT: &str = "volumes/vol/_data/of-root";

const CP: &str = "cp -a \"$1\"/. \"$2\"";
const TAR: &str = "tar -C \"$1\" -c --numeric-owner --acls --xattrs --xattrs-include='*' . | \
                   tar -C \"$2\" -xp --numeric-owner --acls --xattrs --xattrs-include='*'";

/// Owners of all inodes, as find(1) has them.
fn owners(top: &Path) -> Vec<String> {
    let found = output("find", [top.to_str().unwrap(), "-printf", "%P %U:%G\n"]).stdout;
    let mut lines: Vec<String> = String::from_utf8(found)
        .unwrap()
        .lines()
        .map(String::from)
        .collect();
    lines.sort();
    lines
}

/// Migrated, used by a daemon, and with one file of each kind.
fn used_host(idshift: &Idshift) -> Host {
    let host = Host::new();
    tiny(&host);
    fs::write(host.data_root.join(OLD), "").unwrap();
    chown(host.data_root.join(OLD), Some(100_033), Some(100_033)).unwrap();
    migrate(idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    fs::write(host.data_root.join(INNER).join(OF_ROOT), "").unwrap();
    host
}

/// Copies all to a new filesystem, which takes the place of the data-root.
fn move_to_another_disk(host: &Host, kind: Kind, copy: &str) -> TestFs {
    unmount(host);
    let old = host.beside().join("old");
    fs::rename(&host.data_root, &old).unwrap();
    fs::create_dir(&host.data_root).unwrap();
    let fs = TestFs::mount_inside(kind, &host.data_root);
    let paths = [&old, &host.data_root].map(|path| path.as_os_str());
    sh(
        "sh",
        [&["-ec", copy, "sh"].map(|it| it.as_ref())[..], &paths].concat(),
    );
    // Else it could not be removed with the host.
    sh("chattr", ["-i".as_ref(), old.join(INNER).as_os_str()]);
    fs
}

fn mount(host: &Host) {
    let root = host.data_root.to_str().unwrap();
    let mut command = std::process::Command::new(Idshift::program());
    Run::of(command.args(["docker", "mount", "--data-root", root])).exits(0);
}

fn owner(path: PathBuf) -> (u32, u32) {
    let found = path.symlink_metadata().unwrap();
    (found.uid(), found.gid())
}

/// What helps where times do not tell: only one of the two commands can be told what to do.
pub(super) fn help_of(command: &str) -> &'static str {
    match command {
        "revert" => "`idshift docker revert --undated keep`",
        _ => "Give each such file its right owner with chown, then run this again",
    }
}

fn nothing_is_guessed(kind: Kind, copy: &str) -> (Host, TestFs, Idshift) {
    need_root();
    let idshift = Idshift::new();
    let host = used_host(&idshift);
    let fs = move_to_another_disk(&host, kind, copy);
    let copied = "was copied or restored file by file since it was migrated";
    let told = audit(&host).exits(3).text();
    assert!(told.contains(copied), "{told}");
    mount(&host);
    let told = audit(&host).exits(3).text();
    assert!(
        told.contains(copied) && told.contains("--undated"),
        "{told}"
    );
    let before = owners(&content(&host));
    for (what, more) in [
        ("revert", &["--dry-run"][..]),
        ("revert", &[]),
        ("migrate", &["--dry-run"]),
        ("migrate", &[]),
    ] {
        let run = idshift.run([&docker_args(what, &host)[..], more].concat());
        assert!(matches!(run.code, Some(1 | 3)), "{run}");
        let said = format!("{run}");
        for said_of in [OLD, OF_ROOT, copied, help_of(what)] {
            assert!(said.contains(said_of), "{what} {said_of} {said}");
        }
        assert_eq!(said.contains("--undated"), what == "revert", "{said}");
        let (uid, gid) = owner(content(&host).join(OLD));
        assert_eq!((uid, gid), (100_033, 100_033), "{what}");
        assert_eq!(before, owners(&content(&host)), "{what} {more:?}");
    }
    (host, fs, idshift)
}

/// The plain daemon has all of it.
fn is_plain_again(host: &Host) {
    let metadata = ["image", "containers", "overlay2/l", "volumes/metadata.db"];
    for name in metadata {
        let found = super::in_range(&host.data_root.join(name));
        assert_eq!(found, Vec::<PathBuf>::new());
    }
    let plain = host.start(&[]);
    plain.docker(&["start", "-a", "one"]);
    plain.stop();
}

#[test]
fn a_copy_is_given_back_or_kept_as_its_operator_says() {
    let (host, _fs, idshift) = nothing_is_guessed(Kind::Ext4, CP);
    // One is known: the other one is of before.
    chown(content(&host).join(OF_ROOT), Some(0), Some(0)).unwrap();
    revert(&idshift, &host, &["--undated", "keep"]).exits(0);
    assert_eq!(owner(host.data_root.join(OLD)), (100_033, 100_033));
    assert_eq!(owner(host.data_root.join(OF_ROOT)), (0, 0));
    is_plain_again(&host);
    let refused = revert(&idshift, &host, &["--undated", "keep"]).exits(4);
    refused.says("without --undated");
}

#[test]
fn a_backup_that_was_restored_is_given_back() {
    let (host, _fs, idshift) = nothing_is_guessed(Kind::Xfs, TAR);
    revert(&idshift, &host, &["--undated", "give-back"]).exits(0);
    assert_eq!(owner(host.data_root.join(OLD)), (33, 33));
    assert_eq!(owner(host.data_root.join(OF_ROOT)), (0, 0));
    is_plain_again(&host);
}

/// Only what is in question needs an answer: the work directories of layers, which overlayfs makes as root, are not.
#[test]
fn a_copy_in_which_nothing_is_in_question_goes_back() {
    need_root();
    let idshift = Idshift::new();
    let host = Host::new();
    tiny(&host);
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    remapped.docker(&["start", "-a", "one"]);
    remapped.stop();
    let _fs = move_to_another_disk(&host, Kind::Ext4, CP);
    mount(&host);
    revert(&idshift, &host, &[]).exits(0);
    assert_eq!(super::in_range(&host.data_root), Vec::<PathBuf>::new());
    is_plain_again(&host);
}

/// The inode is of before, and its last change is not: the change may have been its owner's.
#[test]
fn a_file_that_was_changed_since_is_in_question() {
    need_root();
    let idshift = Idshift::new();
    let host = used_host(&idshift);
    fs::remove_file(content(&host).join(OF_ROOT)).unwrap();
    let old = content(&host).join(OLD);
    sh("chmod", ["o+w".as_ref(), old.as_os_str()]);
    for more in [&["--dry-run"][..], &[]] {
        let run = revert(&idshift, &host, more);
        assert!(matches!(run.code, Some(1 | 3)), "{run}");
        let said = format!("{run}");
        assert!(
            said.contains(OLD) && said.contains("was changed since"),
            "{said}"
        );
        assert_eq!(owner(old.clone()), (100_033, 100_033));
    }
    revert(&idshift, &host, &["--undated", "keep"]).exits(0);
    assert_eq!(owner(host.data_root.join(OLD)), (100_033, 100_033));
    is_plain_again(&host);
}
