//! Host directories to check and to prepare.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::{Idshift, MAP, Run, need_root, output};

/// A directory that everybody may enter.
pub fn place() -> TempDir {
    need_root();
    let place = tempfile::Builder::new()
        .prefix("idshift-volume-")
        .tempdir_in("/var/tmp")
        .unwrap();
    mode(place.path(), 0o755);
    place
}

pub fn mode(path: &Path, bits: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(bits)).unwrap();
}

pub fn owned(path: &Path, owner: (u32, u32), bits: u32) {
    chown(path, Some(owner.0), Some(owner.1)).unwrap();
    mode(path, bits);
}

pub fn directory(path: &Path, owner: (u32, u32), bits: u32) -> PathBuf {
    fs::create_dir_all(path).unwrap();
    owned(path, owner, bits);
    path.to_path_buf()
}

/// `idshift check` with the usual map.
pub fn check(path: &Path, args: &[&str]) -> Run {
    let mut command = Command::new(Idshift::program());
    Run::of(
        command
            .arg("check")
            .arg(path)
            .args(["--map", MAP])
            .args(args),
    )
}

/// `idshift prepare` with the usual map.
pub fn prepare(idshift: &Idshift, path: &Path, args: &[&str]) -> Run {
    let mut command = idshift.command(["prepare", "--map", MAP]);
    Run::of(command.arg(path).args(args))
}

/// Every inode of a tree; without the access times of directories below, which a check lists as anybody
/// would.
pub fn snapshot(top: &Path) -> Vec<String> {
    let strip = |line: &String| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if value["type"] == "directory" {
            value.as_object_mut().unwrap().remove("atime_ns");
        }
        value.to_string()
    };
    super::docker::snapshot(top).iter().map(strip).collect()
}

pub fn acl(path: &Path) -> String {
    let out = output("getfacl", ["-cnpE".as_ref(), path.as_os_str()]).stdout;
    String::from_utf8(out).unwrap()
}

pub fn set_acl(path: &Path, entries: &str) {
    output(
        "setfacl",
        [
            "-n".as_ref(),
            "-m".as_ref(),
            entries.as_ref(),
            path.as_os_str(),
        ],
    );
}
