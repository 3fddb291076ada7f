//! What is renamed when a user's docker root becomes the plain daemon's.
//!
//! The order: the user's data-root is closed, so that only root enters it. Then what is taken over is renamed into a
//! directory of root's in the plain data-root, while a guard has the place of `containers` there. There the owners change
//! and metadata is rewritten, and then everything gets its place, `containers` last.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, names};
use crate::docker::rootless::steps::MoveSteps;
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER};
use crate::journal::Step;
use crate::journal::step::StepPath;
use crate::store_move::mtime::mtime_step;
use crate::store_move::place::stat_of;
use crate::store_move::steps::{
    CLOSED, Held, UNUSED, close_step, hold, make_holder, place_all, restrict_step, set_aside,
};

impl MoveSteps<'_> {
    /// The user's data-root is closed.
    pub fn close(&mut self) -> Result<(), DockerError> {
        self.early.push(close_step(&self.from.path)?);
        Ok(())
    }

    /// Nobody but root enters the plain data-root, `to`: a user's set-id programs become root's in it. A dockerd that is older
    /// than 20.10.9 lets others enter (CVE-2021-41091).
    pub fn restrict(&mut self, to: &Path) -> Result<(), DockerError> {
        self.early.extend(restrict_step(to, 0o710)?);
        Ok(())
    }

    /// What an unused plain daemon made is set aside, and a guard keeps it from starting. `to`: the plain data-root.
    pub fn clear(&mut self, to: &Path, there: &[String]) -> Result<(), DockerError> {
        self.early.push(mtime_step(StepPath::new(1, [""; 0]), to)?);
        self.early
            .extend(set_aside(to, there, &format!("{ASIDE}{UNUSED}"))?);
        self.early.push(Step::Create {
            at: StepPath::new(1, [CONTAINERS]),
            content: GUARD.to_string().into(),
            made: GUARD_OWNER,
        });
        Ok(())
    }

    /// What is taken over goes where only root enters.
    pub fn take(&mut self, taken: &[String]) -> Result<Vec<Held>, DockerError> {
        self.early.push(make_holder(1));
        let (steps, held) = hold(1, self.from, taken)?;
        self.early.extend(steps);
        Ok(held)
    }

    /// What of these, in what is taken over, the plain daemon must not read stays behind, out of the way. Its
    /// owners stay.
    pub fn leave(&mut self, left: &[Vec<String>]) -> Result<(), DockerError> {
        let aside = format!("{ASIDE}rootless");
        let mut is_made = false;
        for names in left {
            let owned = names.iter().map(|name| name.as_bytes().to_vec());
            self.rewritten.insert(owned.collect());
            let path = names
                .iter()
                .fold(self.from.path.clone(), |path, name| path.join(name));
            if path.symlink_metadata().is_err() {
                continue;
            }
            if !is_made {
                self.late.push(Step::MakeDir {
                    at: StepPath::new(1, [&aside]),
                    made: CLOSED,
                });
                is_made = true;
            }
            let bytes: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
            self.late.push(Step::Rename {
                from: self.holder(&bytes),
                to: StepPath::new(1, [aside.as_str(), &names.join("-")]),
                identity: stat_of(&path)?.identity,
            });
        }
        Ok(())
    }

    /// Everything gets its place in the plain data-root, `containers` last.
    pub fn put(&mut self, held: Vec<Held>) {
        self.late.extend(place_all(held, CONTAINERS, GUARD));
    }
}

/// Names of a docker root that are there.
pub(super) fn there(root: &Path, of: &[&str]) -> Result<Vec<String>, DockerError> {
    let mut all = names(root)?;
    all.retain(|name| of.contains(&name.as_str()));
    Ok(all)
}
