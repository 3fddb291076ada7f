//! Trees to shift, all made by `tree.py`, which lists them.

use super::PYTHON;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{output, script};

/// One of every kind of inode, name, mode and xattr, in `at`, which is made.
pub fn zoo(at: &Path) -> PathBuf {
    make("zoo", at, &[])
}

/// As [`zoo`], and a chain of directories in it that is much deeper than `PATH_MAX`.
pub fn deep_zoo(at: &Path) -> PathBuf {
    make("zoo", at, &["--deep"])
}

/// As [`zoo`], without ACLs, capabilities and other xattrs.
pub fn plain_zoo(at: &Path) -> PathBuf {
    make("zoo", at, &["--plain"])
}

/// Few inodes, of each kind of change one.
pub fn specimens(at: &Path) -> PathBuf {
    make("specimens", at, &[])
}

/// So many small inodes, in directories of 500.
pub fn many(at: &Path, inodes: usize) -> PathBuf {
    shape("many", at, inodes)
}

/// A tree of an extreme shape, and of that size.
pub fn shape(shape: &str, at: &Path, size: usize) -> PathBuf {
    make(shape, at, &[&size.to_string()])
}

/// How many inodes of it belong to somebody else.
pub fn strangers(at: &Path, uid: u32) -> u64 {
    let told = run("strangers", at, &[&uid.to_string()]);
    told.trim().parse().expect("a number")
}

/// The filesystem has written everything when it is made: only then does it say how many blocks a file
/// takes.
fn make(what: &str, at: &Path, options: &[&str]) -> PathBuf {
    run(what, at, options);
    let dir = std::fs::File::open(at).expect("the tree");
    nix::unistd::syncfs(dir).expect("syncfs");
    at.to_path_buf()
}

fn run(what: &str, at: &Path, options: &[&str]) -> String {
    let program = script("tree.py");
    let args = [program.as_os_str(), what.as_ref(), at.as_os_str()];
    let options = options.iter().map(OsStr::new);
    let told = output(PYTHON, args.into_iter().chain(options)).stdout;
    String::from_utf8(told).expect("text")
}
