//! Copying by coreutils' `cp -a`: it keeps owners, modes, times, xattrs, hard links, holes, devices and whiteouts, and
//! shares content where the filesystem can (`FICLONE`).

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::Builder;

use thiserror::Error;

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

/// Runs it in a directory. `goes_on` is called for each inode, and says whether to go on.
///
/// # Errors
/// [`CpError`]; what was copied by then is left.
pub fn cp<'a>(
    dir: &Path,
    args: impl IntoIterator<Item = &'a OsStr>,
    goes_on: impl Fn() -> bool,
) -> Result<(), CpError> {
    let mut child = Command::new("cp")
        // That xattrs cannot be kept is an error only when they are asked for by name.
        .args(["-a", "--preserve=xattr", "--reflink=auto"])
        .args(["--one-file-system", "--verbose"])
        .args(args)
        .current_dir(dir)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
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
    let mut stopped = false;
    // A line an inode.
    for _ in BufReader::new(stdout.expect("piped")).split(b'\n') {
        if !goes_on() {
            stopped = true;
            let _ = child.kill();
            break;
        }
    }
    let status = child.wait()?;
    let complaints = complaints.join().unwrap_or_default();
    match (stopped || !goes_on(), status.success()) {
        (true, _) => Err(CpError::Stopped),
        (false, true) => Ok(()),
        (false, false) => Err(CpError::Failed(complaints.trim().replace('\n', "; "))),
    }
}

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
