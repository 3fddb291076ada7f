//! What is renamed when a user's docker root becomes the plain daemon's.
//!
//! The order: the user's data-root is closed, so that only root enters it. Then what is taken over is renamed into a
//! directory of root's in the plain data-root, while a guard has the place of `containers` there. There the owners change
//! and metadata is rewritten, and then everything gets its place, `containers` last.

use std::path::Path;

use crate::docker::DockerError;
use crate::docker::data_root::{ASIDE, names};
use crate::docker::mtime::mtime_step;
use crate::docker::rootless::place::stat_of;
use crate::docker::rootless::steps::{CLOSED, MoveSteps, UNUSED, carried};
use crate::docker::steps::{CONTAINERS, GUARD, GUARD_OWNER};
use crate::fs::{Identity, PinnedFile, attributes};
use crate::journal::Step;
use crate::journal::step::StepPath;
use crate::ownership::{Mode, Ownership, OwnershipXattrs};

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
        if !there.is_empty() {
            let aside = format!("{ASIDE}{UNUSED}");
            self.early.push(Step::MakeDir {
                at: StepPath::new(1, [&aside]),
                made: CLOSED,
            });
            for name in there {
                self.early.push(Step::Rename {
                    from: StepPath::new(1, [name]),
                    to: StepPath::new(1, [&aside, name]),
                    identity: carried(&to.join(name))?.identity,
                });
            }
        }
        self.early.push(Step::Create {
            at: StepPath::new(1, [CONTAINERS]),
            content: GUARD.to_string().into(),
            made: GUARD_OWNER,
        });
        Ok(())
    }

    /// What is taken over goes where only root enters. Gives each name with its inode.
    pub fn take(&mut self, taken: &[String]) -> Result<Vec<(String, Identity)>, DockerError> {
        self.early.push(Step::MakeDir {
            at: self.holder(&[]),
            made: CLOSED,
        });
        let mut held = Vec::new();
        for name in taken {
            let identity = carried(&self.from.path.join(name))?.identity;
            self.early.push(Step::Rename {
                from: self.from.step(&[name]),
                to: self.holder(&[name.as_bytes()]),
                identity,
            });
            held.push((name.clone(), identity));
        }
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
    pub fn put(&mut self, held: Vec<(String, Identity)>) {
        let (containers, others): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|(name, _)| name == CONTAINERS);
        for (name, identity) in others {
            self.late.push(Step::Rename {
                from: self.holder(&[name.as_bytes()]),
                to: StepPath::new(1, [&name]),
                identity,
            });
        }
        let guarded = StepPath::new(1, [CONTAINERS]);
        match containers.into_iter().next() {
            Some((_, identity)) => self.late.push(Step::Unblock {
                from: self.hidden(&[]),
                to: guarded,
                identity,
                content: GUARD.to_string(),
            }),
            None => self.late.push(Step::Remove {
                at: guarded,
                content: GUARD.to_string(),
                made: GUARD_OWNER,
            }),
        }
        self.late.push(Step::RemoveDir {
            at: self.holder(&[]),
            made: CLOSED,
        });
    }
}

/// Names of a docker root that are there.
pub(super) fn there(root: &Path, of: &[&str]) -> Result<Vec<String>, DockerError> {
    let mut all = names(root)?;
    all.retain(|name| of.contains(&name.as_str()));
    Ok(all)
}

/// A user's directory, the first root of the steps, becomes one that only root enters.
pub(crate) fn close_step(from: &Path) -> Result<Step, DockerError> {
    let (identity, before) = owned(from)?;
    let closed = Mode::from_st_mode(0o700);
    Ok(Step::SetOwnership {
        at: StepPath::new(0, [""; 0]),
        identity,
        before,
        after: Ownership::new(0, 0, closed, OwnershipXattrs::default()),
    })
}

/// A directory of root's, the second root of the steps, has no other permissions than these; `None`: it has none already.
pub(crate) fn restrict_step(to: &Path, allowed: u32) -> Result<Option<Step>, DockerError> {
    let (identity, before) = owned(to)?;
    if before.xattrs.is_some() {
        let why = "has an ACL, and root's engine makes none there. Remove it with `setfacl -b`";
        return Err(DockerError::in_the_way(to, why));
    }
    let entered = Mode::from_st_mode(u32::from(before.mode.bits()) & allowed);
    let after = Ownership::new(0, 0, entered, OwnershipXattrs::default());
    let at = StepPath::new(1, [""; 0]);
    Ok((before != after).then_some(Step::SetOwnership {
        at,
        identity,
        before,
        after,
    }))
}

/// A directory, and whose it is.
fn owned(path: &Path) -> Result<(Identity, Ownership), DockerError> {
    let pin = PinnedFile::path(path).map_err(DockerError::errno(path))?;
    let stat = pin.stat().map_err(DockerError::errno(path))?;
    let before = attributes::read(&pin, &stat)
        .map_err(|error| DockerError::in_the_way(path, error.to_string()))?;
    Ok((stat.identity, before))
}
