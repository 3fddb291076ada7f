//! What a child prints, read to its end.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::volume::binds::compose::yaml::MOST_BYTES;

/// How long to wait for it: a remote file may never arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why `docker compose config` says nothing.
#[derive(Debug, Error)]
pub(super) enum ComposeCommandError {
    /// It cannot be started, or its end is not known.
    #[error("docker: {0}")]
    Start(#[from] io::Error),
    /// It failed; with what it said.
    #[error("`docker compose config`: {0}")]
    Failed(String),
    /// It takes longer than [`PATIENCE`].
    #[error("`docker compose config` does not end")]
    TimedOut,
}

/// What a child printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    pub stdout: String,
    pub stderr: String,
}

/// Runs `docker compose config`, and reads what it prints, of so much and for so long; and whether it succeeded.
pub(super) fn output(mut command: Command) -> Result<(Printed, bool), ComposeCommandError> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let read = |from: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(from) = from {
                let _ = from.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes);
            }
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = read(child.stdout.take().map(|it| Box::new(it) as _));
    let stderr = read(child.stderr.take().map(|it| Box::new(it) as _));
    let start = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(ComposeCommandError::TimedOut);
            }
            Err(error) => return Err(error.into()),
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok((Printed { stdout, stderr }, status.success()))
}
