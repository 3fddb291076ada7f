//! `idshift mount` and its kin, and what the kernel says of it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::Value;

use super::{Idshift, MAP, Run};

/// `idshift mount` with the usual map.
pub fn mount(path: &Path, more: &[&str]) -> Run {
    let idshift = Idshift::new();
    let mut command = std::process::Command::new(Idshift::installed());
    let journals = ["--journal-dir".as_ref(), idshift.journals().as_os_str()];
    let mount = command.args(["mount", "--map", MAP]).args(journals);
    Run::of(mount.arg(path).args(more))
}

/// `idshift umount`
pub fn umount(target: &Path, more: &[&str]) -> Run {
    let mut command = std::process::Command::new(Idshift::program());
    Run::of(command.arg("umount").arg(target).args(more))
}

/// What `idshift mounts` lists at this path.
pub fn listed(target: &Path) -> Vec<Value> {
    let mut command = std::process::Command::new(Idshift::program());
    let run = Run::of(command.args(["mounts", "--json"])).exits(0);
    let all = run.json()["mounts"].as_array().unwrap().clone();
    all.into_iter()
        .filter(|one| one["target"] == target.to_str().unwrap())
        .collect()
}

/// The mount options of every mount on a path, as the kernel lists them.
pub fn mounted_at(target: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    let lines = table
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>());
    lines
        .filter(|words| words[4] == target.to_str().unwrap())
        .map(|words| words[5].to_string())
        .collect()
}

pub fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap();
    (found.uid(), found.gid())
}
