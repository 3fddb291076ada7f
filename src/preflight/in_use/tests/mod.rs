//! Real processes holding real trees. Without root the mounts cannot be made, and those tests only
//! say that they were skipped.

mod mounts;
mod processes;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{TreeInUse, Use, UseKind, users_of};

/// A shell that does something, says `ready` and lives until it is dropped, also by a panic. What it
/// mounts in a namespace of its own goes with it.
struct Holder {
    child: Child,
    // Kept open so that the shell can go on writing.
    _output: BufReader<ChildStdout>,
}

impl Holder {
    fn start(command: &mut Command, script: &str) -> Holder {
        let mut child = command
            .args(["sh", "-ec", &format!("{script}\necho ready\nread wait")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let holder = Holder {
            child,
            _output: output,
        };
        assert_eq!(line, "ready\n", "{script}");
        holder
    }

    fn run(script: &str) -> Holder {
        Holder::start(&mut Command::new("env"), script)
    }

    /// In a mount namespace of its own.
    fn run_apart(script: &str) -> Holder {
        Holder::start(Command::new("unshare").arg("-m"), script)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it uses the tree, and where.
    fn uses(&self, tree: &Path) -> Vec<(UseKind, PathBuf)> {
        uses(tree)
            .into_iter()
            .filter(|one| one.pid == self.pid())
            .map(|one| (one.how, one.path))
            .collect()
    }

    fn kinds(&self, tree: &Path) -> Vec<UseKind> {
        self.uses(tree).into_iter().map(|(how, _)| how).collect()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn uses(tree: &Path) -> Vec<Use> {
    let top = fs::symlink_metadata(tree).unwrap();
    users_of(&[TreeInUse {
        path: tree.to_owned(),
        dev: top.dev(),
        ino: top.ino(),
    }])
    .unwrap()
}

/// A directory with a tree, `tree/sub/file`, and the same beside it under `other`.
fn scene() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().canonicalize().unwrap();
    for top in ["tree", "other"] {
        fs::create_dir_all(real.join(top).join("sub")).unwrap();
        fs::write(real.join(top).join("sub/file"), top).unwrap();
    }
    (dir, real)
}

/// A scene for who may mount.
fn root_scene() -> Option<(tempfile::TempDir, PathBuf)> {
    is_root().then(scene)
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: mounting takes root");
    }
    is_root
}
