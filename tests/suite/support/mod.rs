//! What the tests that run the real program share.
//!
//! - [`adversary`]: somebody who changes a tree while the program goes through it
//! - [`bolt_write`]: databases of bbolt, also for unit tests
//! - [`compose`]: a Compose project, resolved by Docker Compose and by the program
//! - [`daemon`]: a real Docker daemon of the test's own
//! - [`data_root`]: data-roots made by hand
//! - [`docker`]: data-roots to carry, and what a user sees of them
//! - [`engine_host`]: a whole host with systemd and a Docker of another release, booted and rebooted
//! - [`engine_scenario`]: what every engine is put through, whatever its image store
//! - [`filesystem`]: real filesystems to work on, gone again when dropped
//! - [`fleet`]: hosts that Ansible reaches by ssh
//! - [`hostile`]: what must not change, hang or be steered while somebody is at work
//! - [`idshift`]: the program, run with a journal directory of its own
//! - [`killed`]: a command killed anywhere, and then finished or undone
//! - [`mounted`]: mounts that are gone again when dropped
//! - [`mounts`]: the commands that make idmapped mounts, and what the kernel says of them
//! - [`inputs`]: what must hold of whatever bytes come in from outside
//! - [`isolation`]: a test's own `/etc` and `/run`: no test touches the host
//! - [`tree`]: trees to shift: one of every kind of inode, or many inodes
//! - [`scene`]: small runs of every kind, to be cut short at every place
//! - [`snapshot`]: what a tree is, and what it must be after a shift
//! - [`terminal`]: commands on a terminal of their own
//! - [`journal`]: the frames of a journal file, read and made without the program's own code
//! - [`power`]: what a power cut leaves of a journal
//! - [`device`]: a block device that can be told to fail
//! - `machinery`, `layout`: tests of all this
//! - [`podman_host`]: a host with real Podman, and a user with a rootless one
//! - [`promise`]: the rows of `docs/reliability.md`
//! - [`rootless`]: a user with a real rootless Docker daemon
//! - [`switched_off`]: a whole host that does not run, worked on from here
//! - [`trace`]: commands followed from one change of the disk to the next, and killed there
//! - [`volume`]: host directories to check and to prepare
//! - [`userns`]: a command inside a user namespace, with a tree as its root
//!
//! Snapshots, expectations and trees are made by the Python programs beside this file, so that the
//! program is not measured with its own code.

pub mod adversary;
pub mod bolt_write;
pub mod compose;
pub mod daemon;
pub mod data_root;
pub mod device;
pub mod docker;
pub mod engine_host;
pub mod engine_scenario;
pub mod filesystem;
pub mod fleet;
pub mod hostile;
pub mod idshift;
pub mod inputs;
pub mod isolation;
pub mod journal;
pub mod killed;
mod layout;
mod machinery;
pub mod mounted;
pub mod mounts;
pub mod place;
pub mod podman_host;
pub mod power;
pub mod promise;
pub mod rootless;
pub mod scene;
pub mod seccomp;
pub mod snapshot;
pub mod switched_off;
pub mod terminal;
pub mod trace;
pub mod tree;
pub mod userns;
pub mod volume;
pub mod zoo;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub use filesystem::{Kind, TestFs};
pub use idshift::{Idshift, Run};
pub use mounted::Mounted;
pub use promise::Promise;
pub use snapshot::{Snapshot, assert_same};

/// The map of most tests.
pub const MAP: &str = "b:0:100000:65536";

/// The map of a rootless engine: its sides overlap.
pub const ROOTLESS: [&str; 2] = ["b:0:1000:1", "b:1:100000:65535"];

/// Debian's own: one of a version manager, found first in `PATH`, starts many times slower, and tests start thousands.
pub const PYTHON: &str = "/usr/bin/python3";

/// Stops a test that cannot work here, instead of letting it pass without having tested anything; gives
/// it its own view of the host.
pub fn need_root() {
    isolation::isolate();
    let root = nix::unistd::geteuid().is_root();
    assert!(root, "mounts and owners take root: run tests/run as root");
}

/// A program's output; the test stops where it is missing or fails.
pub fn output(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let mut command = Command::new(program);
    command.args(args);
    let output = command.output().unwrap_or_else(|error| {
        panic!("{program}: {error}; tests/run installs what the tests need")
    });
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a program that has nothing to say.
pub fn sh(program: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) {
    output(program, args);
}

/// One of the programs beside this file.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/suite/support")
        .join(name)
}

/// Whether the slow variants are asked for too: `tests/run --long`.
pub fn long() -> bool {
    std::env::var_os("IDSHIFT_TEST_LONG").is_some()
}

/// A number sequence that is the same in every run, for places to cut and moments to kill at.
pub struct Numbers(u64);

impl Numbers {
    pub fn seeded(seed: u64) -> Numbers {
        Numbers(seed)
    }

    /// The next one, below `limit` (splitmix64).
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}
