//! The steps of a migration: what it does besides changing owners.
//!
//! [`StepList`] collects them in order. Each file below adds the steps of one kind:
//! - [`guard`]: keeps a daemon from starting on half of its data
//! - [`rename`]: entries of the docker root are renamed into the other one
//! - [`metadata`]: files and symlinks of containers and volumes are rewritten
//! - [`root_dir`]: docker roots are made and removed; the owner of the data-root
//! - [`left_root`]: one that everything was renamed out of
//! - [`unused`]: what an unused daemon left is set aside
//! - [`snapshots`]: snapshots of containerd become layers
//! - [`idmapped_root`]: a root that is remapped by a mount
//! - [`host_config`]: `daemon.json` and systemd units

mod guard;
mod host_config;
mod idmapped_root;
mod left_root;
mod metadata;
mod rename;
mod root_dir;
mod snapshots;
mod unused;

use std::path::{Path, PathBuf};

use super::DockerError;
use super::data_root::MOVING;
use crate::engine::{PlannedSteps, Rule};
use crate::fs::{PinnedFile, Stat};
use crate::idmap::IdMap;
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::Mode;
use crate::store_move::mtime::mtime_step;
pub(super) use guard::{GUARD, GUARD_OWNER};
pub use rename::why_not_renamed;

/// The directory of a docker root without which no daemon starts.
pub(super) const CONTAINERS: &str = "containers";

/// An empty mount point: nobody needs to enter it or to put anything into it.
pub(super) const MOUNT_POINT: NewDirectory = root_only(0o700);

/// Steps in order, as they are added. Root 0 of their paths is the data-root.
///
/// The order of a migration: a guard takes the place of `containers` in both docker roots; everything else is renamed.
/// Then owners change, metadata is rewritten, and `containers` is renamed into its new root last. At any moment no
/// daemon starts, or one does that finds everything.
pub(super) struct StepList<'a> {
    data_root: &'a Path,
    /// Where `containers` is while the owners change: the names that lead there from the data-root.
    parked_containers: Vec<String>,
    /// What the owners of rewritten files become; none: they stay.
    owners: Option<(Rule, IdMap)>,
    /// The steps before the owners change.
    pub early: Vec<Step>,
    /// The steps after that.
    pub late: Vec<Step>,
    /// How many trees the plan walks. The roots of steps are numbered after them.
    trees: usize,
    step_roots: Vec<PathBuf>,
}

impl<'a> StepList<'a> {
    /// For a plan that walks so many trees, the first of which is the data-root. `copy`: the name of the copy of the
    /// docker root that is migrated instead of it. `range_dir`: the name of the remapped root.
    ///
    /// # Errors
    /// The data-root cannot be read.
    pub fn new(
        data_root: &'a Path,
        trees: usize,
        copy: Option<&str>,
        range_dir: &str,
    ) -> Result<StepList<'a>, DockerError> {
        let mut steps = StepList {
            data_root,
            parked_containers: match copy {
                Some(copy) => vec![copy.to_string(), CONTAINERS.to_string()],
                None => vec![format!("{MOVING}{range_dir}")],
            },
            owners: None,
            early: Vec::new(),
            late: Vec::new(),
            trees,
            step_roots: Vec::new(),
        };
        steps.keep_mtime(&[])?;
        Ok(steps)
    }

    /// Has rewritten files get new owners, by this rule and map.
    pub fn change_owners(&mut self, rule: Rule, map: IdMap) {
        self.owners = Some((rule, map));
    }

    /// The number that the next root of steps gets.
    pub fn next_root(&self) -> usize {
        self.trees + self.step_roots.len()
    }

    /// Adds late steps in a directory outside the trees, whose number is [`StepList::next_root`].
    pub fn add_late_in(&mut self, root: PathBuf, steps: Vec<Step>) {
        if !steps.is_empty() {
            self.step_roots.push(root);
            self.late.extend(steps);
        }
    }

    /// The mtime of this directory of the data-root is restored when the steps are undone.
    pub fn keep_mtime(&mut self, dir: &[&str]) -> Result<(), DockerError> {
        let step = mtime_step(StepPath::new(0, dir), &self.path(dir))?;
        self.early.push(step);
        Ok(())
    }

    /// All of them in order.
    pub fn finish(self) -> PlannedSteps {
        PlannedSteps::new(self.early, self.late, self.step_roots)
    }

    fn path(&self, names: &[&str]) -> PathBuf {
        let mut path = self.data_root.to_path_buf();
        path.extend(names);
        path
    }
}

fn stat(path: &Path) -> Result<Stat, DockerError> {
    PinnedFile::path(path)
        .and_then(|pin| pin.stat())
        .map_err(DockerError::errno(path))
}

/// Owner and mode of something that belongs to root of the host alone.
const fn root_only(mode: u32) -> NewDirectory {
    NewDirectory {
        uid: 0,
        gid: 0,
        mode: Mode::from_st_mode(mode),
    }
}
