//! Somebody who changes a tree while the program goes through it.

use super::PYTHON;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::script;

/// The process of `adversary.py`; ended when dropped.
pub struct Adversary {
    child: Child,
}

impl Adversary {
    pub fn start(tree: &Path, canary: &Path, seed: u64) -> Adversary {
        Adversary::start_with(&[], &File::open(tree).unwrap(), canary, seed, &[])
    }

    /// With options, and with places that it puts something else into. Its tree is open: another one may be at its
    /// path by now.
    pub fn start_with(
        options: &[&str],
        tree: &File,
        canary: &Path,
        seed: u64,
        places: &[PathBuf],
    ) -> Adversary {
        let mut command = Command::new(PYTHON);
        command.arg(script("adversary.py")).args(options);
        command.current_dir(format!("/proc/self/fd/{}", tree.as_raw_fd()));
        command.arg(".").arg(canary).arg(seed.to_string());
        command.args(places);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Adversary {
            child: command.spawn().expect("python3 starts"),
        }
    }

    /// Does something while it stands still.
    pub fn at_rest<T>(all: &[Adversary], what: impl FnOnce() -> T) -> T {
        let tell = |signal| {
            for one in all {
                kill(Pid::from_raw(one.child.id() as i32), signal).expect("it is there");
            }
        };
        tell(Signal::SIGSTOP);
        for one in all {
            // `T`: stopped (`proc_pid_stat(5)`); it may be in a system call until then.
            let stat = format!("/proc/{}/stat", one.child.id());
            while !std::fs::read_to_string(&stat).is_ok_and(|text| text.contains(") T ")) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let result = what();
        tell(Signal::SIGCONT);
        result
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
