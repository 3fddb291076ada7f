//! What would not be given back is refused: an overlay copies up what changes, ids of 16 bits are cut off, a process
//! without the capabilities loses bits.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Idshift, Kind, MAP, Run, Snapshot, TestFs, assert_same, sh};

/// An overlay inside of a tree, its layers outside.
struct Overlay {
    top: PathBuf,
    merged: PathBuf,
    fs: TestFs,
}

impl Overlay {
    fn new() -> Overlay {
        let fs = TestFs::new(Kind::Ext4);
        let top = fs.path().join("top");
        for dir in ["top/merged", "lower/dir", "upper", "work"] {
            fs::create_dir_all(fs.path().join(dir)).unwrap();
        }
        let lower = fs.path().join("lower");
        fs::write(lower.join("dir/one"), "one").unwrap();
        fs::hard_link(lower.join("dir/one"), lower.join("dir/two")).unwrap();
        let at = |name: &str| fs.path().join(name).display().to_string();
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            at("lower"),
            at("upper"),
            at("work")
        );
        let merged = top.join("merged");
        let args = ["-t", "overlay", "overlay", "-o", &options];
        sh("mount", args.into_iter().chain([merged.to_str().unwrap()]));
        Overlay { top, merged, fs }
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.merged).status();
    }
}

#[test]
fn an_overlay_is_refused_with_what_to_do_instead() {
    let it = Overlay::new();
    let start = Snapshot::of(&it.merged);
    let dir = it.merged.join("dir");
    for path in [&it.merged, &dir] {
        let path = path.to_str().unwrap();
        for args in [
            &["shift", "--map", MAP, path][..],
            &["prepare", "--map", MAP, "--owner", "999:999", path],
        ] {
            let run = Idshift::new().run(args).exits(4);
            run.says(path)
                .says("is on overlay")
                .says("Shift the directories");
        }
    }
    assert_same(&start, &Snapshot::of(&it.merged), "refused");
    assert_eq!(fs::read_dir(it.fs.path().join("upper")).unwrap().count(), 0);
}

#[test]
fn an_overlay_in_the_tree_is_refused_only_if_crossed() {
    let it = Overlay::new();
    let top = it.top.to_str().unwrap();
    let idshift = Idshift::new();
    let args = [
        "shift",
        "--allow-in-use",
        "--cross-mounts",
        "--map",
        MAP,
        top,
    ];
    let run = idshift.run(args).exits(4);
    run.says(it.merged.to_str().unwrap()).says("is on overlay");
    idshift
        .run(["shift", "--allow-in-use", "--map", MAP, top])
        .exits(0);
    assert_eq!(fs::read_dir(it.fs.path().join("upper")).unwrap().count(), 0);
    idshift.rollback();
}

#[test]
fn unmounted_overlay_layers_are_shifted_and_restored() {
    let it = Overlay::new();
    sh("umount", [&it.merged]);
    let lower = it.fs.path().join("lower");
    let start = Snapshot::of(&lower);
    let idshift = Idshift::new();
    idshift
        .run(["shift", "--map", MAP, lower.to_str().unwrap()])
        .exits(0);
    assert!(Snapshot::of(&lower).lines() != start.lines());
    idshift.rollback();
    assert_same(&start, &Snapshot::of(&lower), "brought back");
}

#[test]
fn a_filesystem_that_keeps_half_of_an_id_is_refused() {
    let refused = |fs: &TestFs| {
        let tree = fs.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let run = Idshift::new().run(["shift", "--map", MAP, tree.to_str().unwrap()]);
        run.exits(4).says("ids have 16 bits").says("nouid32");
    };
    let asked = TestFs::new(Kind::Ext4);
    sh(
        "mount",
        ["-o", "remount,nouid32", asked.path().to_str().unwrap()],
    );
    refused(&asked);
    // The mount table does not show what is the filesystem's own default.
    let by_default = TestFs::new(Kind::NarrowExt4);
    refused(&by_default);
}

#[test]
fn who_lacks_what_giving_back_takes_is_refused() {
    let fs = TestFs::new(Kind::Ext4);
    let file = fs.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = |options: &[&str], lacks: &str| {
        let idshift = Idshift::new();
        let command = idshift.command(["shift", "--map", MAP, file.to_str().unwrap()]);
        let mut without = Command::new("setpriv");
        without.args(options);
        without.arg(command.get_program()).args(command.get_args());
        let run = Run::of(&mut without).exits(4);
        run.says(&format!("needs root, and this process lacks {lacks}. "));
    };
    let all = ["chown", "dac_override", "fowner", "fsetid", "setfcap"];
    for capability in all {
        let drop = format!("-{capability}");
        let lacks = format!("CAP_{}", capability.to_uppercase());
        refused(&["--bounding-set", &drop, "--inh-caps", &drop], &lacks);
    }
    // Somebody who has them, and whose the journal would be.
    let has = all.map(|capability| format!("+{capability}")).join(",");
    let somebody = ["--reuid", "1000", "--clear-groups"];
    let keeping = [
        "--securebits",
        "+no_setuid_fixup",
        "--inh-caps",
        &has,
        "--ambient-caps",
        &has,
    ];
    refused(&[&somebody[..], &keeping].concat(), "uid 0");
}
