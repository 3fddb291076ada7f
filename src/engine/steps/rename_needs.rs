//! What the renames of a plan's steps need of the filesystems they are in.

use std::os::fd::AsFd;

use crate::fs::Root;
use crate::journal::Step;
use crate::preflight::PermanentBlocker;
use crate::preflight::rename_flags::{self, Needs, UntestedRename};

/// A plan's steps and the roots they are taken in.
pub(in crate::engine) struct RenameNeeds<'a> {
    pub steps: &'a [Step],
    pub roots: &'a [Root],
    /// How many of the roots are trees in which owners are changed; they come first.
    pub trees: usize,
}

impl<'a> RenameNeeds<'a> {
    /// Refuses a filesystem that is known not to rename as the steps need it. Gives those of which only a run can
    /// tell.
    pub fn check_known(&self) -> Result<Vec<UntestedRename>, PermanentBlocker> {
        let mut untested = Vec::new();
        for (root, needs, is_tree) in self.each() {
            let fd = root.pin.as_fd();
            untested.extend(rename_flags::check_known(fd, &root.path, needs, is_tree)?);
        }
        Ok(untested)
    }

    /// Tries what only a try tells; to be asked under the lock.
    pub fn check_tried(&self) -> Result<(), PermanentBlocker> {
        for (root, needs, is_tree) in self.each() {
            rename_flags::check_tried(root.pin.as_fd(), &root.path, needs, is_tree)?;
        }
        Ok(())
    }

    /// What the steps in each root need of its filesystem.
    fn each(&self) -> impl Iterator<Item = (&'a Root, Needs, bool)> {
        let all = self.roots.iter().enumerate().map(|(n, root)| {
            let needs = steps_need(self.steps, n);
            (root, needs, n < self.trees)
        });
        all.filter(|(_, needs, _)| *needs != Needs::default())
    }
}

/// What the steps in one root need of its filesystem, to be taken and to be undone.
fn steps_need(steps: &[Step], root: usize) -> Needs {
    let mut needs = Needs::default();
    let here = |step: &&Step| step.places().iter().any(|place| place.root == root);
    for step in steps.iter().filter(here) {
        match step {
            Step::Block { .. } | Step::Unblock { .. } => {
                needs = Needs {
                    exchange: true,
                    no_replace: true,
                };
            }
            Step::Rename { .. }
            | Step::HandOver { .. }
            | Step::Create { .. }
            | Step::Remove { .. } => {
                needs.no_replace = true;
            }
            _ => {}
        }
    }
    needs
}
