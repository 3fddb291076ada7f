//! A container writes to a file of an image that had an id of the range before its root was remapped by a mount: overlayfs makes
//! a new inode with the old owner. It is not taken for what the host made since.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::tiny;
use crate::support::daemon::Host;
use crate::support::docker::*;
use crate::support::{Idshift, need_root, output};

/// All files of this name below the layers.
fn files(data_root: &Path, name: &str) -> Vec<PathBuf> {
    let layers = data_root.join("overlay2");
    let found = output("find", [layers.to_str().unwrap(), "-name", name]).stdout;
    let found = String::from_utf8(found).unwrap();
    found.lines().map(PathBuf::from).collect()
}

#[test]
fn a_copy_in_the_upper_layer_keeps_an_id_of_before() {
    need_root();
    let host = Host::new();
    tiny(&host);
    let [busybox] = &files(&host.data_root, "busybox")[..] else {
        panic!("one layer of the image has it");
    };
    let old = busybox.parent().unwrap().with_file_name("old");
    fs::write(&old, "").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o666)).unwrap();
    chown(&old, Some(100_050), Some(100_050)).unwrap();
    let idshift = Idshift::new();
    migrate(&idshift, &host, &["--idmapped"]).exits(0);
    let remapped = host.start(REMAPPED);
    let write = ["sh", "-c", "echo x >> /old"];
    remapped.docker(
        &[
            &["run", "--network=none", "--name", "writes", "tiny:1"],
            &write[..],
        ]
        .concat(),
    );
    remapped.stop();
    for (what, more) in [
        ("revert", &["--dry-run"][..]),
        ("revert", &[]),
        ("migrate", &["--dry-run"]),
        ("migrate", &[]),
    ] {
        let run = idshift.run([&docker_args(what, &host)[..], more].concat());
        assert!(matches!(run.code, Some(1 | 3)), "{run}");
        let said = format!("{run}");
        assert!(
            said.contains("/old") && said.contains(super::copied::help_of(what)),
            "{what}: {said}"
        );
    }
    revert(&idshift, &host, &["--undated", "keep"]).exits(0);
    let found = files(&host.data_root, "old");
    assert_eq!(found.len(), 2, "{found:?}");
    for file in found {
        let found = file.metadata().unwrap();
        assert_eq!((found.uid(), found.gid()), (100_050, 100_050), "{file:?}");
    }
}
