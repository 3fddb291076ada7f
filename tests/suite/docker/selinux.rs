//! SELinux labels of a data-root: kept, and what is to be done for a relabel. A label is an attribute like any other where SELinux is
//! not active.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::handmade_root::Root;
use crate::support::{Idshift, Kind, Run, need_root, output, scene};

/// Labels everything in a tree, each path with a label of its own; symlinks too.
fn label(top: &Path) {
    for (n, path) in all(top).iter().enumerate() {
        let label = format!("system_u:object_r:container_file_t:s0:c{n}");
        let args = [
            "-h",
            "-n",
            "security.selinux",
            "-v",
            &label,
            path.to_str().unwrap(),
        ];
        output("setfattr", args);
    }
}

fn all(top: &Path) -> Vec<PathBuf> {
    let found = output("find", [top]).stdout;
    let text = String::from_utf8(found).unwrap();
    text.lines().map(Into::into).collect()
}

/// The label of each path, whichever docker root it is in.
fn labels(top: &Path) -> BTreeMap<PathBuf, String> {
    let of_path = |path: &PathBuf| {
        let args = ["-h", "-n", "security.selinux", "--only-values"];
        let found = Command::new("getfattr")
            .args(args)
            .arg(path)
            .output()
            .unwrap();
        let below = path.strip_prefix(top).unwrap();
        let label = String::from_utf8_lossy(&found.stdout).into_owned();
        (
            below
                .strip_prefix("100000.100000")
                .unwrap_or(below)
                .to_path_buf(),
            label,
        )
    };
    let roots = [PathBuf::new(), "100000.100000".into()].map(|root| top.join(root));
    let paths = all(top).into_iter().filter(|path| !roots.contains(path));
    paths.map(|path| of_path(&path)).collect()
}

#[test]
fn a_migration_keeps_labels() {
    need_root();
    let scene = scene::migrate(Kind::Ext4);
    label(&scene.top);
    let before = labels(&scene.top);
    let idshift = Idshift::new();
    Run::of(&mut scene.command(&idshift)).exits(0);
    let after = labels(&scene.top);
    assert!(before.len() > 10, "{before:?}");
    assert!(scene.top.join("100000.100000/image").exists());
    for (path, label) in &before {
        assert_eq!(after.get(path), Some(label), "{}", path.display());
    }
    idshift.rollback();
    assert_eq!(labels(&scene.top), before);
}

#[test]
fn an_audit_of_labelled_files_names_the_rule_they_need() {
    let root = Root::new();
    let finding = || {
        let (_, told) = root.audit();
        let all = told["findings"].as_array().unwrap().clone();
        all.into_iter().find(|finding| finding["what"] == "SELinux")
    };
    assert!(finding().is_none());
    label(root.dir.path());
    let found = finding().unwrap();
    let remedy = found["remedy"].as_str().unwrap();
    let range = format!("{}/100000.100000", root.dir.path().display());
    let rule = format!("semanage fcontext -a -e /var/lib/docker {range} && restorecon -R {range}");
    assert!(remedy.contains(&rule), "{found}");
}
