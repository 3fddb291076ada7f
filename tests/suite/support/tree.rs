//! Trees to shift.

use std::path::{Path, PathBuf};

use super::{output, script};

/// One of every kind of inode, name, mode and xattr, in `at`, which is made.
pub fn zoo(at: &Path) -> PathBuf {
    build("zoo.py", &[], at)
}

/// As [`zoo`], and a chain of directories in it that is much deeper than `PATH_MAX`.
pub fn deep_zoo(at: &Path) -> PathBuf {
    build("zoo.py", &["--deep"], at)
}

/// As [`zoo`], without ACLs, capabilities and other xattrs.
pub fn plain_zoo(at: &Path) -> PathBuf {
    build("zoo.py", &["--plain"], at)
}

fn build(builder: &str, options: &[&str], at: &Path) -> PathBuf {
    let mut args = vec![script(builder).into_os_string()];
    args.extend(options.iter().map(Into::into));
    args.push(at.into());
    output("python3", args);
    settle(at);
    at.to_path_buf()
}

/// So many small inodes.
pub fn wide(at: &Path, inodes: usize) -> PathBuf {
    let count = inodes.to_string();
    output(
        "python3",
        [
            script("wide.py").as_os_str(),
            at.as_os_str(),
            count.as_ref(),
        ],
    );
    at.to_path_buf()
}

/// Waits until the filesystem has written everything: only then does it say how many blocks a file
/// takes.
fn settle(at: &Path) {
    let dir = std::fs::File::open(at).expect("the tree");
    nix::unistd::syncfs(dir).expect("syncfs");
}

/// Few inodes, of each kind of change one.
pub fn specimens(at: &Path) -> PathBuf {
    build("specimens.py", &[], at)
}
