//! Docker roots are made and removed; the data-root gets the owner that its daemon gives it.

use super::{StepList, root_only, stat};
use crate::docker::DockerError;
use crate::engine::Rule;
use crate::fs::{PinnedFile, attributes};
use crate::journal::Step;
use crate::journal::step::{NewDirectory, StepPath};
use crate::ownership::{Mode, Ownership};

impl StepList<'_> {
    /// The docker root of a remapped daemon is made.
    pub fn make_remapped_root(&mut self, range_dir: &str, root_gid: u32) {
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, [range_dir]),
            made: NewDirectory {
                uid: 0,
                gid: root_gid,
                mode: Mode::from_st_mode(0o710),
            },
        });
    }

    /// A directory that only root can enter is made.
    pub(super) fn make_private_dir(&mut self, at: &[&str]) {
        self.early.push(Step::MakeDir {
            at: StepPath::new(0, at),
            made: root_only(0o700),
        });
    }

    /// A directory that is empty by then is removed.
    pub fn remove_dir(&mut self, at: &[&str]) -> Result<(), DockerError> {
        let stat = stat(&self.path(at))?;
        self.late.push(Step::RemoveDir {
            at: StepPath::new(0, at),
            made: NewDirectory {
                uid: stat.uid,
                gid: stat.gid,
                mode: stat.mode,
            },
        });
        Ok(())
    }

    /// The data-root itself gets the owner and the mode bits that the daemon gives it: those of a [`Rule::Set`].
    pub fn set_data_root_owner(&mut self, rule: Rule) -> Result<(), DockerError> {
        let Rule::Set { uid, gid, at_least } = rule else {
            return Ok(());
        };
        let failed = || DockerError::errno(self.data_root);
        let pin = PinnedFile::path(self.data_root).map_err(failed())?;
        let stat = pin.stat().map_err(failed())?;
        let before = attributes::read(&pin, &stat)
            .map_err(|error| DockerError::in_the_way(self.data_root, error.to_string()))?;
        let after = Ownership {
            uid,
            gid,
            mode: before.mode.with(at_least),
            xattrs: before.xattrs.clone(),
        };
        if before != after {
            self.late.push(Step::SetOwnership {
                at: StepPath::new(0, [""; 0]),
                identity: stat.identity,
                before,
                after,
            });
        }
        Ok(())
    }
}
