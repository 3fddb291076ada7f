//! The steps of a preparation.

use std::path::{Path, PathBuf};

use super::paths::can_be_changed;
use crate::engine::{PlannedSteps, ShiftRequest};
use crate::fs::dir::open_dir;
use crate::fs::escape::shell_word;
use crate::fs::file_ops::mtime_ns;
use crate::fs::{Ancestor, attributes};
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::grant_search;
use crate::volume::VolumeError;

/// Steps, and the directories they are taken in.
pub(super) struct StepList {
    trees: usize,
    roots: Vec<PathBuf>,
    steps: Vec<Step>,
}

impl StepList {
    pub fn after(trees: usize) -> StepList {
        StepList {
            trees,
            roots: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn root(&mut self, path: &Path) -> usize {
        let known = self.roots.iter().position(|root| root == path);
        let n = known.unwrap_or_else(|| {
            self.roots.push(path.to_path_buf());
            self.roots.len() - 1
        });
        self.trees + n
    }

    /// Lets the container's root through a directory. The step says which inode is meant: whatever
    /// else has the path by then is left alone.
    pub fn open(
        &mut self,
        above: &Ancestor,
        shift: &ShiftRequest,
    ) -> Result<(PathBuf, u32), VolumeError> {
        let Ancestor { path, pin, stat } = above;
        if !attributes::keeps_acls(pin) {
            let help = format!(
                "is on a filesystem without ACLs, so only the mode could let the container in. Use another place for the \
                volume, or run `chmod o+x {}` if everybody may search it",
                shell_word(path)
            );
            return Err(VolumeError::path(path, help));
        }
        can_be_changed(pin, path)?;
        let before = attributes::read(pin, stat)
            .map_err(|error| VolumeError::path(path, error.to_string()))?;
        let (uid, _) = shift
            .map
            .container_root()
            .ok_or_else(|| VolumeError::path(path, "the map has no id for the container's root"))?;
        let after = grant_search(&before, uid).ok_or_else(|| {
            let help = format!(
                "belongs to {uid} itself, for whom an ACL entry has no effect. Run `chmod u+x {}`",
                shell_word(path)
            );
            VolumeError::path(path, help)
        })?;
        let number = self.root(path);
        self.steps.push(Step::SetOwnership {
            at: StepPath {
                root: number,
                path: Vec::new(),
            },
            identity: stat.identity,
            before,
            after,
        });
        Ok((path.clone(), uid))
    }

    /// Makes a directory, and puts the times of the one above back when that is undone.
    pub fn make(&mut self, path: &Path, made: NewDirectory) -> Result<(), VolumeError> {
        let there = path.ancestors().find(|dir| dir.is_dir()).unwrap_or(path);
        let below = path.strip_prefix(there).unwrap_or(Path::new(""));
        if below.as_os_str().is_empty() {
            let reason = "was made just now by another program. Run the command again";
            return Err(VolumeError::path(path, reason));
        }
        let names: Vec<&[u8]> = below
            .iter()
            .map(std::ffi::OsStr::as_encoded_bytes)
            .collect();
        let root = self.root(there);
        let above = StepPath::new(root, [""; 0]);
        let is_known = |step: &Step| matches!(step, Step::Times { at, .. } if *at == above);
        if !self.steps.iter().any(is_known) {
            let dir = open_dir(rustix::fs::CWD, there)
                .map_err(|errno| VolumeError::io(there)(errno.into()))?;
            self.steps.push(Step::Times {
                at: above,
                mtime_ns: mtime_ns(dir).map_err(VolumeError::io(there))?,
            });
        }
        let at = StepPath::new(root, names);
        self.steps.push(Step::MakeDir { at, made });
        Ok(())
    }

    /// All of them. Owners may change first.
    pub fn finish(self) -> PlannedSteps {
        PlannedSteps::new(Vec::new(), self.steps, self.roots)
    }
}
