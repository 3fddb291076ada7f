//! Somebody who changes a tree while the program goes through it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::script;

/// The process of `adversary.py`; ended when dropped.
pub struct Adversary {
    child: Child,
}

impl Adversary {
    pub fn start(tree: &Path, canary: &Path, seed: u64) -> Adversary {
        let mut command = Command::new("python3");
        command.arg(script("adversary.py")).args([tree, canary]);
        command.arg(seed.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Adversary {
            child: command.spawn().expect("python3 starts"),
        }
    }

    /// Ends it; the number of things it did.
    ///
    /// # Panics
    /// When it saw anything outside the tree change.
    #[track_caller]
    pub fn end(mut self) -> u64 {
        drop(self.child.stdin.take());
        let mut text = String::new();
        let stdout = self.child.stdout.as_mut().expect("its stdout");
        stdout.read_to_string(&mut text).expect("what it says");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the adversary failed: {status}\n{text}");
        let done = text.trim().strip_prefix("done ");
        done.and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("{text}"))
    }
}

impl Drop for Adversary {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
