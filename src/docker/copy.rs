//! A copy of a plain docker root, made beside it for a migration that leaves the original alone.
//!
//! Copying is coreutils' `cp -a`: it keeps owners, modes, times, xattrs, hard links, holes, devices
//! and whiteouts, and shares content where the filesystem can.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::Builder;

use super::DockerError;
use super::data_root::{COPY, DockerRoot, plain_names};
use crate::engine::{Phase, RunControl};
use crate::fs::escape::{escaped, shell_word};
use crate::fs::space::{self, Amount};
use crate::journal::{Journal, Step};

/// A copy that can be made.
pub struct PlannedCopy {
    data_root: PathBuf,
    names: Vec<String>,
    /// Its name in the data-root.
    pub name: String,
    /// What is to be copied.
    pub amount: Amount,
    /// Content is shared, not copied.
    pub shares_content: bool,
}

/// Bytes that an inode without content takes.
const BARE_INODE: u64 = 1024;

impl PlannedCopy {
    /// Looks at what is there and whether there is room for it twice.
    ///
    /// # Errors
    /// There is not, or a copy would not be whole, or an earlier one is in the way.
    pub fn of(data_root: &Path, range: &str) -> Result<PlannedCopy, DockerError> {
        let top = fs::canonicalize(data_root).map_err(DockerError::io(data_root))?;
        check_is_closed(&top)?;
        let name = format!("{COPY}{range}");
        let staging = top.join(&name);
        check_is_free(&staging)?;
        if DockerRoot::at(&top)
            .drivers()?
            .iter()
            .any(|driver| driver == "btrfs")
        {
            return Err(DockerError::in_the_way(
                top.join("btrfs"),
                "layers of the btrfs driver are subvolumes, and copies of them would be none. Migrate without --copy, \
                 after a snapshot of the data-root if you want one",
            ));
        }
        let (names, _) = plain_names(&top)?;
        let trees: Vec<PathBuf> = names.iter().map(|name| top.join(name)).collect();
        let amount = space::used(&trees).map_err(DockerError::io(&top))?;
        let free = space::free(&top).map_err(DockerError::io(&top))?;
        let shares_content = space::can_reflink(&top);
        let bytes = match shares_content {
            true => amount.inodes * BARE_INODE,
            false => amount.bytes,
        };
        // A twentieth more: no two copies take up quite the same.
        let bytes = bytes + bytes / 20;
        if bytes > free.bytes || amount.inodes > free.inodes {
            return Err(DockerError::in_the_way(
                &top,
                format!(
                    "a copy takes {bytes} bytes and {} inodes, and only {} bytes and {} inodes are free. \
                     Without --copy nothing is copied, and `idshift rollback` undoes it",
                    amount.inodes, free.bytes, free.inodes
                ),
            ));
        }
        Ok(PlannedCopy {
            data_root: top,
            names,
            name,
            amount,
            shares_content,
        })
    }

    /// Makes it. What is left of one that fails is removed.
    ///
    /// # Errors
    /// It cannot be made, or somebody asked to stop.
    pub fn make(&self, control: RunControl<'_>) -> Result<(), DockerError> {
        control
            .monitor
            .phase(Phase::Copying, Some(self.amount.inodes));
        let staging = self.data_root.join(&self.name);
        let mut builder = fs::DirBuilder::new();
        // Nobody but root gets in before its owners are right.
        let made = builder.mode(0o700).create(&staging);
        made.map_err(DockerError::io(&staging))?;
        let copied = self.copy_into(&staging, control);
        if copied.is_err() {
            self.remove();
        }
        copied
    }

    /// Takes a copy away again that was made and that nothing was done with.
    pub fn remove(&self) {
        // What is still there then is found in the way by the next run, which says how to remove it.
        let _ = fs::remove_dir_all(self.data_root.join(&self.name));
    }

    fn copy_into(&self, staging: &Path, control: RunControl<'_>) -> Result<(), DockerError> {
        let device = fs::metadata(staging)
            .map_err(DockerError::io(staging))?
            .dev();
        for name in &self.names {
            let path = self.data_root.join(name);
            let found = path.symlink_metadata().map_err(DockerError::io(&path))?;
            if found.dev() != device {
                return Err(DockerError::in_the_way(
                    path,
                    "is a mount point; move it into the data-root's filesystem first",
                ));
            }
        }
        let cp = Path::new("cp");
        let mut child = Command::new(cp)
            // That xattrs cannot be kept is an error only when they are asked for by name.
            .args(["-a", "--preserve=xattr", "--reflink=auto"])
            .args(["--one-file-system", "--verbose", "-t"])
            .arg(staging)
            .arg("--")
            .args(&self.names)
            .current_dir(&self.data_root)
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(DockerError::io(cp))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let complaints = match Builder::new().spawn(move || first_lines(stderr)) {
            Ok(complaints) => complaints,
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(DockerError::io(cp)(error));
            }
        };
        // A line an inode.
        for _ in BufReader::new(stdout.expect("piped")).split(b'\n') {
            control.monitor.progress(1, 0);
            if control.is_cancelled() {
                let _ = child.kill();
                break;
            }
        }
        let status = child.wait().map_err(DockerError::io(cp))?;
        let complaints = complaints.join().unwrap_or_default();
        if control.is_cancelled() || !status.success() {
            let why = match control.is_cancelled() {
                true => "the copy was interrupted".to_string(),
                false => complaints.trim().replace('\n', "; "),
            };
            let why = format!("{why}. Nothing was changed, and the copy is removed");
            return Err(DockerError::in_the_way(staging, why));
        }
        Ok(())
    }
}

/// The copy that is left where a migration of it was undone: it is as it was when it was made, with what a daemon has
/// added since. In words, with the command that removes it.
pub fn left(journal: &Journal) -> Option<String> {
    let place = journal.steps.iter().find_map(|step| match step {
        Step::RemoveDir { at, .. } => {
            let name = at.path.last().filter(|_| at.path.len() == 1)?;
            name.0.starts_with(COPY.as_bytes()).then_some(at)
        }
        _ => None,
    })?;
    let path = place.to_path(&journal.header.roots);
    path.is_dir().then(|| {
        format!(
            "The copy that the migration made is left as {}. When nothing in it is missed, `rm -rf {}` removes it.",
            escaped(&path),
            shell_word(&path)
        )
    })
}

/// The place of a copy that is to be made.
fn check_is_free(staging: &Path) -> Result<(), DockerError> {
    match staging.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(DockerError::in_the_way(
            staging,
            format!(
                "is left of an earlier --copy and belongs to nobody: `rm -rf {}`, then again",
                shell_word(staging)
            ),
        )),
    }
}

/// `cp` goes by paths. Somebody who can write in a volume meanwhile could let it into any directory of the host,
/// and what it reads there would be theirs in the copy. Who is in the data-root is found out before; this keeps
/// everybody else out.
fn check_is_closed(top: &Path) -> Result<(), DockerError> {
    let found = fs::metadata(top).map_err(DockerError::io(top))?;
    let others = found.mode() & 0o001 != 0;
    let group = found.mode() & 0o010 != 0 && found.gid() != 0;
    match found.uid() == 0 && !others && !group {
        true => Ok(()),
        false => Err(DockerError::in_the_way(
            top,
            format!(
                "can be entered by others than root (it is {}:{} {:04o}), who could have a copy hold more than is here. \
                 Close it with `chown root:root {path} && chmod 0710 {path}`, as a daemon that is not remapped has it",
                found.uid(),
                found.gid(),
                found.mode() & 0o7777,
                path = shell_word(top),
            ),
        )),
    }
}

/// As much of a program's complaints as a person reads; the rest is read and dropped, so that it
/// does not wait.
fn first_lines(stderr: Option<impl Read>) -> String {
    let mut text = Vec::new();
    if let Some(mut stderr) = stderr {
        let _ = stderr.by_ref().take(2000).read_to_end(&mut text);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_removes_the_old_copy_only() {
        let dir = tempfile::tempdir().unwrap();
        let staging = dir.path().join("docker data").join("idshift-copy-1.1");
        fs::create_dir_all(&staging).unwrap();
        let told = check_is_free(&staging).unwrap_err().to_string();
        let command = format!("`rm -rf '{}'`", staging.display());
        assert!(told.contains(&command), "{told}");
    }
}
