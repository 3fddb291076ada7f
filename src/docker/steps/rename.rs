//! Entries of a docker root are renamed, never copied.

use std::path::Path;

use super::{StepList, stat};
use crate::docker::{DockerError, Reason};
use crate::fs::Stat;
use crate::fs::escape::escaped;
use crate::journal::Step;
use crate::journal::step::StepPath;
use crate::ownership::FileType;

/// Why an entry of a docker root cannot be renamed into the other one; `None` when it can.
pub fn why_not_renamed(path: &Path, stat: &Stat) -> Option<String> {
    if stat.mount_root {
        return Some("is a mount point, and idshift cannot rename across filesystems".into());
    }
    (stat.file_type == FileType::Symlink).then(|| {
        let target = std::fs::read_link(path).unwrap_or_default();
        format!(
            "is a symlink to {}, which idshift does not follow",
            escaped(&target)
        )
    })
}

impl StepList<'_> {
    /// An entry is renamed within the data-root.
    pub fn rename(&mut self, from: &[&str], to: &[&str]) -> Result<(), DockerError> {
        let stat = self.renameable(&self.path(from))?;
        self.early.push(Step::Rename {
            from: StepPath::new(0, from),
            to: StepPath::new(0, to),
            identity: stat.identity,
        });
        Ok(())
    }

    /// What is at a path, if it can be renamed.
    pub(super) fn renameable(&self, path: &Path) -> Result<Stat, DockerError> {
        let stat = stat(path)?;
        match why_not_renamed(path, &stat) {
            None => Ok(stat),
            Some(why) => Err(DockerError::in_the_way(path, Reason::NotRenamed(why))),
        }
    }
}
