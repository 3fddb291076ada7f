//! A file in the place of the directory `containers`: no daemon starts while it is there.

use std::path::Path;

use super::{CONTAINERS, StepList, root_only};
use crate::docker::DockerError;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};

/// The text in the guard file.
pub(in crate::docker) const GUARD: &str = "idshift is moving this Docker data-root, or was interrupted while it did.\n\
    This file keeps a Docker daemon from starting on half of its data. Do not remove it.\n\
    `idshift resume` finishes the move and `idshift rollback` undoes it; both remove this file.\n";

/// Its owner and mode, and those of other files that are made.
pub(in crate::docker) const GUARD_OWNER: NewDirectory = root_only(0o644);

impl StepList<'_> {
    /// A guard takes the place of `containers` in the docker root at `root`, and `containers` is parked until the owners
    /// are changed.
    pub fn park_containers(&mut self, root: &[&str]) -> Result<(), DockerError> {
        let parked = self.parked_containers.clone();
        let parked: Vec<&str> = parked.iter().map(String::as_str).collect();
        self.replace_by_guard(root, &parked)
    }

    /// A guard takes the place of `containers` in the docker root at `root`, and `containers` is renamed to `to`. Where
    /// there is none, a guard is made.
    pub(super) fn replace_by_guard(
        &mut self,
        root: &[&str],
        to: &[&str],
    ) -> Result<(), DockerError> {
        let from = [root, &[CONTAINERS]].concat();
        let path = self.path(&from);
        if path.symlink_metadata().is_err() {
            self.add_guard(root);
            return Ok(());
        }
        let stat = self.renameable(&path)?;
        self.keep_mtime(&from)?;
        self.early.push(Step::Block {
            from: StepPath::new(0, from),
            to: StepPath::new(0, to),
            identity: stat.identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// A guard where a daemon would make `containers`.
    pub fn add_guard(&mut self, root: &[&str]) {
        self.early.push(Step::Create {
            at: StepPath::new(0, [root, &[CONTAINERS]].concat()),
            content: GUARD.to_string().into(),
            made: GUARD_OWNER,
        });
    }

    /// The parked `containers`, which is `containers` today, takes the place of the guard in the docker root at `root`.
    /// Where there is none, the guard is removed.
    pub fn unpark_containers(
        &mut self,
        containers: &Path,
        root: &[&str],
    ) -> Result<(), DockerError> {
        if containers.symlink_metadata().is_err() {
            self.remove_guard(root);
            return Ok(());
        }
        let stat = self.renameable(containers)?;
        self.late.push(Step::Unblock {
            from: StepPath::new(0, &self.parked_containers),
            to: StepPath::new(0, [root, &[CONTAINERS]].concat()),
            identity: stat.identity,
            content: GUARD.to_string(),
        });
        Ok(())
    }

    /// Removes the guard of a docker root that does not exist any more.
    pub fn remove_guard(&mut self, root: &[&str]) {
        self.late.push(Step::Remove {
            at: StepPath::new(0, [root, &[CONTAINERS]].concat()),
            content: GUARD.to_string(),
            made: GUARD_OWNER,
        });
    }
}
