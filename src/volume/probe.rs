//! Asks a child process in a user namespace, which tries as a container's user what can be done with
//! a directory or file that is already open: the way a runtime hands a bind mount over.

use std::ffi::CString;
use std::io::{self, BufRead, BufReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::VolumeError;
use super::user::ContainerUser;
use crate::fs::PinnedFile;
use crate::fs::access_probe::{self, AccessResult};
use crate::fs::times_guard::TimesGuard;
use crate::idmap::{IdMap, RangeMap};
use crate::journal::Name;

/// The hidden subcommand that is the child.
pub const SUBCOMMAND: &str = "probe";

/// What the child is to try with the handle on its standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Question {
    /// As whom.
    pub user: ContainerUser,
    /// What.
    pub what: What,
}

/// What is tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// To go through a directory.
    Search,
    /// To search and list it, or to read it. The kernel is asked whether it could be written;
    /// nothing is created.
    Look,
    /// All that a container does with a volume.
    Use {
        /// Also to write, with this probe file; `None` where nothing is written.
        probe: Option<ProbeFile>,
        /// How many levels of entries below are looked at; `None` for all.
        depth: Option<usize>,
    },
}

/// Why the child could not try.
#[derive(Debug, Error)]
pub enum ProbeFailure {
    /// The question is invalid.
    #[error(transparent)]
    Question(#[from] serde_json::Error),
    /// A system call on the way to being the user.
    #[error("{call}: {errno}")]
    Call {
        /// Which, and what may be the matter.
        call: &'static str,
        /// Its error.
        errno: nix::Error,
    },
    /// The parent did not write the map.
    #[error("the map of the user namespace was not written")]
    NoMap,
    /// The directory or file itself cannot be looked at.
    #[error("{0}")]
    Handle(rustix::io::Errno),
    /// An entry below it cannot be looked at.
    #[error("{path}: {errno}")]
    Entry {
        /// From there.
        path: String,
        /// Why not.
        errno: rustix::io::Errno,
    },
    /// The answer cannot be written.
    #[error("{0}")]
    Answer(io::Error),
}

/// One line of the child's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Something tried with the handle itself.
    Tried(AccessResult),
    /// An entry below that the user cannot use, by its path from there.
    Unusable {
        /// The path.
        path: Name,
        /// What is missing: `r`, `w`, `x` of them.
        lacks: String,
    },
    /// How many entries were looked at.
    Looked(u64),
    /// The child failed.
    Failed(String),
}

/// A file that is made, renamed and deleted: what its two names begin with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFile(String);

/// What every such name begins with.
const PROBE: &str = ".idshift-probe-";

impl ProbeFile {
    /// One that no other check has: told by process and moment.
    pub fn of_this_process() -> ProbeFile {
        let now = jiff::Timestamp::now().as_nanosecond();
        ProbeFile(format!("{PROBE}{}-{now:x}-", std::process::id()))
    }

    /// Its names, one after the other.
    pub(super) fn names(&self) -> [CString; 2] {
        // No name that is made of digits and these letters holds a NUL.
        ["a", "b"].map(|part| CString::new(format!("{}{part}", self.0)).unwrap_or_default())
    }
}

/// Asks what a container's user can do with a pinned inode, under this map.
///
/// # Errors
/// The child could not be started, or made a user of the namespace.
pub fn ask(
    pin: &PinnedFile,
    question: &Question,
    map: &IdMap,
    mut each: impl FnMut(Answer),
) -> Result<(), VolumeError> {
    let failed = |what: &str, error: io::Error| VolumeError::Probe(format!("{what}: {error}"));
    let handle: OwnedFd = pin
        .as_fd()
        .try_clone_to_owned()
        .map_err(|error| failed("dup", error))?;
    let json = serde_json::to_string(question).map_err(|error| failed("json", error.into()))?;
    let probe = match &question.what {
        What::Use { probe, .. } => probe.as_ref().map(ProbeFile::names),
        _ => None,
    };
    let has_probe = probe.is_some();
    if has_probe {
        access_probe::sweep_probes(pin.as_fd(), PROBE.as_bytes());
    }
    let times = TimesGuard::of(pin);
    let mut child = Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .arg(json)
        // What a terminal sends to this process' group is not meant for one that has a file to
        // remove.
        .process_group(0)
        .stdin(Stdio::from(handle))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| failed("/proc/self/exe", error))?;
    let stdout = child.stdout.take();
    let answered = stdout.map_or(Ok(()), |stdout| {
        let mut lines = BufReader::new(stdout).lines();
        // Its first line says that it is in its namespace, whose map only its parent may write.
        match lines.next() {
            Some(Ok(line)) if line == READY => write_maps(child.id(), map)
                .map_err(|error| failed("the map of its user namespace", error))?,
            Some(Ok(line)) => return Err(VolumeError::Probe(line)),
            _ => return Err(VolumeError::Probe("ended before it began".into())),
        }
        for line in lines {
            let line = line.map_err(|error| failed("its answer", error))?;
            match serde_json::from_str(&line) {
                Ok(Answer::Failed(why)) => return Err(VolumeError::Probe(why)),
                Ok(answer) => each(answer),
                Err(_) => return Err(VolumeError::Probe(line)),
            }
        }
        Ok(())
    });
    if answered.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().map_err(|error| failed("wait", error))?;
    let names = probe.unwrap_or_default();
    let names = names.each_ref().map(CString::as_c_str);
    if has_probe && !status.success() {
        access_probe::remove_probe(pin.as_fd(), &names);
    }
    if let Some(times) = times {
        times.put_back(&names);
    }
    answered?;
    match status.success() {
        true => Ok(()),
        false => Err(VolumeError::Probe(format!("ended by {status}"))),
    }
}

/// Tests whether a user namespace with this map can be made.
///
/// # Errors
/// Why it cannot be made.
pub fn try_namespace(map: &IdMap) -> Result<(), VolumeError> {
    let top = Path::new("/");
    let pin = PinnedFile::path(top).map_err(|errno| VolumeError::io(top)(errno.into()))?;
    let question = Question {
        user: ContainerUser::ROOT,
        what: What::Search,
    };
    ask(&pin, &question, map, |_| ())
}

/// What the child says first.
pub(super) const READY: &str = "ready";

/// As a runtime writes them (`user_namespaces(7)`, "defining user and group ID mappings").
fn write_maps(pid: u32, map: &IdMap) -> io::Result<()> {
    let lines = |ranges: &RangeMap| {
        let line = |range: &crate::idmap::Range| {
            let (container, host, size) = (range.container(), range.host(), range.size());
            format!("{container} {host} {size}\n")
        };
        ranges.ranges().iter().map(line).collect::<String>()
    };
    std::fs::write(format!("/proc/{pid}/uid_map"), lines(&map.uids))?;
    // Last: the child waits for it.
    std::fs::write(format!("/proc/{pid}/gid_map"), lines(&map.gids))
}
