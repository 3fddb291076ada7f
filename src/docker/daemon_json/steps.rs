//! The steps of a plan that rewrite `daemon.json`, or make it.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::rewrite::{not_plain, with_userns_remap, without_containerd_store};
use crate::docker::{DockerError, Reason};
use crate::fs::Root;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::{read_file, stat_entry};
use crate::journal::Step;
use crate::journal::step::{FileContent, NewDirectory, StepPath};
use crate::ownership::Mode;

/// The steps that set `userns-remap` in a configuration file, or remove it where `remap` is none, and the directory in
/// which they are done. There are none where the file says so already. A symlink is followed to the file that is meant; a
/// directory that is missing is made.
///
/// # Errors
/// The file cannot be read or is no JSON object.
pub fn step(
    path: &Path,
    remap: Option<&str>,
    root_number: usize,
) -> Result<(PathBuf, Vec<Step>), DockerError> {
    let path = &std::fs::canonicalize(path)
        .or_else(|_| std::path::absolute(path))
        .map_err(DockerError::io(path))?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    match dir.parent() {
        Some(above) if !dir.exists() => {
            let root = open(path, above)?;
            let steps = match remap {
                Some(remap) => make_with_directory(path, dir, remap, root_number)?,
                None => Vec::new(),
            };
            Ok((root.path, steps))
        }
        _ => {
            let root = open(path, dir)?;
            let step = make_or_rewrite(path, &root.path, remap, root_number)?;
            Ok((root.path, step.into_iter().collect()))
        }
    }
}

fn make_with_directory(
    path: &Path,
    dir: &Path,
    remap: &str,
    root_number: usize,
) -> Result<Vec<Step>, DockerError> {
    let dir_name = dir.file_name().unwrap_or_default().as_encoded_bytes();
    let make_dir = Step::MakeDir {
        at: StepPath::new(root_number, [dir_name]),
        made: made_by_root(0o755),
    };
    let at = StepPath::new(root_number, [dir_name, file_name(path)]);
    Ok(vec![make_dir, create(at, path, remap)?])
}

fn make_or_rewrite(
    path: &Path,
    dir: &Path,
    remap: Option<&str>,
    root_number: usize,
) -> Result<Option<Step>, DockerError> {
    let name = file_name(path);
    let at = StepPath::new(root_number, [name]);
    let handle = std::fs::File::open(dir).map_err(DockerError::io(dir))?;
    let found = stat_entry(handle.as_fd(), name).map_err(DockerError::errno(path))?;
    let Some(found) = found else {
        return remap.map(|remap| create(at, path, remap)).transpose();
    };
    let (bytes, mtime) = read_file(handle.as_fd(), name).map_err(DockerError::io(path))?;
    let before = String::from_utf8(bytes).map_err(|_| not_plain(path))?;
    let after = with_userns_remap(&before, remap, path)?;
    let after = match remap {
        Some(_) => without_containerd_store(&after, path)?,
        None => after,
    };
    if before == after {
        return Ok(None);
    }
    if found.nlink > 1 {
        let reason = Reason::HardLinked {
            names: found.nlink,
            word: shell_word(path).to_string(),
        };
        return Err(DockerError::in_the_way(path, reason));
    }
    Ok(Some(Step::Rewrite {
        at,
        before: FileContent {
            text: before,
            mtime_ns: Some(mtime),
            owner: None,
        },
        after: FileContent {
            text: after,
            mtime_ns: None,
            owner: None,
        },
    }))
}

fn create(at: StepPath, path: &Path, remap: &str) -> Result<Step, DockerError> {
    Ok(Step::Create {
        at,
        content: with_userns_remap("", Some(remap), path)?.into(),
        made: made_by_root(0o644),
    })
}

fn file_name(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

fn made_by_root(mode: u32) -> NewDirectory {
    NewDirectory {
        uid: 0,
        gid: 0,
        mode: Mode::from_st_mode(mode),
    }
}

fn open(path: &Path, dir: &Path) -> Result<Root, DockerError> {
    Root::open(dir).map_err(|error| {
        let help = format!("{error}. `mkdir -p {}` makes it", shell_word(dir));
        DockerError::in_the_way(path, help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_makes_the_missing_directory() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("a b").join("c");
        let error = open(&missing.join("daemon.json"), &missing).err().unwrap();
        let command = format!("`mkdir -p '{}'`", missing.display());
        assert!(error.to_string().contains(&command), "{error}");
    }
}
