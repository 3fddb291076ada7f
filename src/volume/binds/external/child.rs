//! What a child prints, read to its end.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::volume::binds::compose::yaml::MOST_BYTES;

/// How long to wait for it: a remote file may never arrive.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a child printed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    pub stdout: String,
    pub stderr: String,
}

/// Runs `docker compose config`, and reads what it prints, of so much and for so long; and whether it succeeded.
pub(super) fn output(mut command: Command) -> Result<(Printed, bool), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("docker: {error}"))?;
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
                return Err("`docker compose config` does not end".into());
            }
            Err(error) => return Err(format!("docker: {error}")),
        }
    };
    let stdout = stdout.join().unwrap_or_default();
    let stderr = stderr.join().unwrap_or_default();
    Ok((Printed { stdout, stderr }, status.success()))
}
