//! Who may keep a file of a tree where no table of open files shows it: in a process that was not looked at in time, or on its
//! way from one process to another.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process that may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub command: String,
    /// The first of its user ids that is meant.
    pub uid: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

/// Processes that have a user id for which this is true: real, effective, saved or that for files.
pub fn processes_with(is_meant: impl Fn(u32) -> bool) -> io::Result<Vec<Holder>> {
    let mut found = Vec::new();
    for process in processes()? {
        // One that ended meanwhile holds nothing.
        let Ok(status) = process.status() else {
            continue;
        };
        let mut ids = [status.ruid, status.euid, status.suid, status.fuid].into_iter();
        if let (Some(uid), Ok(pid)) = (ids.find(|uid| is_meant(*uid)), process.pid.try_into()) {
            found.push(Holder {
                pid,
                command: status.name,
                uid,
            });
        }
    }
    Ok(found)
}

fn processes() -> io::Result<impl Iterator<Item = procfs::process::Process>> {
    let all = procfs::process::all_processes().map_err(io::Error::other)?;
    Ok(all.filter_map(Result::ok))
}

/// What is received at once is looked at again so often, with this pause.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// A process with a socket to which open files were sent that it has not received (`SCM_RIGHTS`, `unix(7)`): which ones
/// these are the kernel does not tell.
pub fn files_in_flight() -> io::Result<Option<Holder>> {
    let mut found = None;
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::sleep(PAUSE);
        }
        found = receiver()?;
        if found.is_none() {
            break;
        }
    }
    Ok(found)
}

fn receiver() -> io::Result<Option<Holder>> {
    for process in processes()? {
        let directory = PathBuf::from(format!("/proc/{}", process.pid));
        if holds_files_in_flight(&directory) {
            let command = fs::read_to_string(directory.join("comm")).unwrap_or_default();
            return Ok(Some(Holder {
                pid: process.pid.try_into().unwrap_or_default(),
                command: command.trim_end().to_string(),
                uid: 0,
            }));
        }
    }
    Ok(None)
}

/// Whether one of its sockets has open files that nobody has received: `scm_fds` in `/proc/PID/fdinfo` (Linux 5.5).
fn holds_files_in_flight(process: &Path) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let mut open = open.filter_map(Result::ok);
    open.any(|entry| {
        let target = fs::read_link(entry.path());
        let is_socket =
            target.is_ok_and(|it| it.as_os_str().as_encoded_bytes().starts_with(b"socket:"));
        is_socket && {
            let info = fs::read_to_string(process.join("fdinfo").join(entry.file_name()));
            in_flight(&info.unwrap_or_default()) > 0
        }
    })
}

fn in_flight(info: &str) -> u64 {
    let mut counts = info
        .lines()
        .filter_map(|line| line.strip_prefix("scm_fds:"));
    counts
        .next()
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}
