//! Copying by coreutils' `cp -a`: it keeps owners, modes, times, xattrs, hard links, holes, devices and whiteouts, and
//! shares content where the filesystem can (`FICLONE`).

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::thread::Builder;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use thiserror::Error;

use crate::sys::end_with_parent;

/// Why a copy failed.
#[derive(Debug, Error)]
pub enum CpError {
    /// It cannot be started.
    #[error("cp: {0}")]
    Start(#[from] io::Error),
    /// Its error messages.
    #[error("{0}")]
    Failed(String),
    /// Somebody asked to stop.
    #[error("it was interrupted")]
    Stopped,
}

/// Runs it in a directory; it ends when this process does, also if that is killed. `goes_on` gets how many inodes were copied
/// since it was asked last, and says whether to go on; it is asked also while a large file is copied.
///
/// # Errors
/// [`CpError`]; what was copied by then is left.
pub fn cp<'a>(
    dir: &Path,
    args: impl IntoIterator<Item = &'a OsStr>,
    goes_on: impl Fn(u64) -> bool,
) -> Result<(), CpError> {
    run(dir, Stdio::null(), args, goes_on)
}

/// Copies these names of one directory into another one. Both are open: whatever has their paths meanwhile, nothing else is
/// read or written. Its error messages name the second one [`TARGET`].
///
/// # Errors
/// As [`cp`].
pub fn cp_into<'a>(
    (from, to): (impl AsFd, OwnedFd),
    names: impl Iterator<Item = &'a OsStr>,
    goes_on: impl Fn(u64) -> bool,
) -> Result<(), CpError> {
    // `cp` reads nothing from its standard input: that is the directory.
    let target = ["-t", TARGET, "--"].map(OsStr::new);
    let args = target.into_iter().chain(names);
    run(&in_child(&from), to.into(), args, goes_on)
}

/// The standard input of a process.
pub const TARGET: &str = "/proc/self/fd/0";

/// The path by which a child opens what is open here, before it runs another program.
fn in_child(handle: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd()))
}

fn run<'a>(
    dir: &Path,
    stdin: Stdio,
    args: impl IntoIterator<Item = &'a OsStr>,
    goes_on: impl Fn(u64) -> bool,
) -> Result<(), CpError> {
    let mut command = Command::new("cp");
    // What it would go on to write is removed by whoever runs this again.
    end_with_parent(&mut command);
    let mut child = command
        // That xattrs cannot be kept is an error only when they are asked for by name.
        .args(["-a", "--preserve=xattr", "--reflink=auto"])
        .args(["--one-file-system", "--verbose"])
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let complaints = match Builder::new().spawn(move || first_lines(stderr)) {
        Ok(complaints) => complaints,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error.into());
        }
    };
    let mut stdout = stdout.expect("piped");
    let mut stopped = false;
    while let Some(copied) = lines(&mut stdout) {
        if !goes_on(copied) {
            stopped = true;
            let _ = child.kill();
            break;
        }
    }
    let status = child.wait()?;
    let complaints = complaints.join().unwrap_or_default();
    match (stopped || !goes_on(0), status.success()) {
        (true, _) => Err(CpError::Stopped),
        (false, true) => Ok(()),
        (false, false) => Err(CpError::Failed(complaints.trim().replace('\n', "; "))),
    }
}

/// How many lines came, one for each inode, in a while; `None` at the end.
fn lines(stdout: &mut ChildStdout) -> Option<u64> {
    let mut bytes = [0; 4096];
    let mut ready = [PollFd::new(stdout, PollFlags::IN)];
    match poll(&mut ready, Some(&TICK)) {
        Ok(0) | Err(Errno::INTR) => return Some(0),
        // What is wrong with it, reading tells.
        Ok(_) | Err(_) => {}
    }
    match stdout.read(&mut bytes) {
        Ok(0) => None,
        Ok(len) => Some(bytes[..len].iter().filter(|&&byte| byte == b'\n').count() as u64),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Some(0),
        Err(_) => None,
    }
}

/// How often it is asked whether to go on, at least.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// The first error messages of a program. The rest is read and dropped, so that the program does
/// not block.
fn first_lines(stderr: Option<impl Read>) -> String {
    let mut text = Vec::new();
    if let Some(mut stderr) = stderr {
        let _ = stderr.by_ref().take(2000).read_to_end(&mut text);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    String::from_utf8_lossy(&text).into_owned()
}
