//! A docker root that everything was renamed out of: it is removed, or kept where a rollback could not make the same again.

use std::collections::HashSet;
use std::path::Path;

use super::{StepList, stat};
use crate::docker::DockerError;
use crate::fs::flags::{Project, project};
use crate::fs::{Identity, PinnedFile, attributes};
use crate::journal::Step;
use crate::journal::step::StepPath;
use crate::ownership::Ownership;

/// The attribute by which SELinux labels a file (`selinux(8)`). A new directory gets the label of the one that it is in.
const LABEL: &str = "security.selinux";

impl StepList<'_> {
    /// A docker root is empty by then, and goes; the names lead to it from the data-root. It is renamed where a directory that
    /// is made in its place would be another one for a rollback, of this run or of one in whose journal it is (`known`).
    /// Gives the name that it has in the data-root then.
    pub fn leave_root(
        &mut self,
        root: &[&str],
        label: &str,
        known: &HashSet<Identity>,
    ) -> Result<Option<String>, DockerError> {
        let mut is_kept = false;
        for depth in 1..=root.len() {
            let path = self.path(&root[..depth]);
            let above = self.path(&root[..depth - 1]);
            is_kept |= known.contains(&stat(&path)?.identity) || has_its_own(&path, &above)?;
        }
        if !is_kept {
            self.remove_dir(root)?;
            return Ok(None);
        }
        for depth in 1..=root.len() {
            self.give_to_root(&root[..depth])?;
        }
        let kept = self.free_aside_name(&format!("root-{label}"));
        let stat = self.renameable(&self.path(&root[..1]))?;
        self.late.push(Step::Rename {
            from: StepPath::new(0, &root[..1]),
            to: StepPath::new(0, [&kept]),
            identity: stat.identity,
        });
        Ok(Some(kept))
    }
}

impl StepList<'_> {
    /// Nothing of the range is left in the data-root.
    fn give_to_root(&mut self, dir: &[&str]) -> Result<(), DockerError> {
        let path = self.path(dir);
        let pin = PinnedFile::path(&path).map_err(DockerError::errno(&path))?;
        let stat = pin.stat().map_err(DockerError::errno(&path))?;
        let before = attributes::read(&pin, &stat)
            .map_err(|error| DockerError::in_the_way(&path, error.to_string()))?;
        let after = Ownership {
            uid: 0,
            gid: 0,
            ..before.clone()
        };
        if before != after {
            self.late.push(Step::SetOwnership {
                at: StepPath::new(0, dir),
                identity: stat.identity,
                before,
                after,
            });
        }
        Ok(())
    }
}

/// Whether a directory has what a new one in the same place would not get: ACLs, other attributes, a project.
fn has_its_own(path: &Path, above: &Path) -> Result<bool, DockerError> {
    let failed = DockerError::io(path);
    let mut names = xattr::list(path).map_err(failed)?;
    let inherits = || {
        let above = xattr::get(above, "system.posix_acl_default");
        above.is_ok_and(|acl| acl.is_some())
    };
    let label = |path: &Path| xattr::get(path, LABEL).ok().flatten();
    let is_own = |name: std::ffi::OsString| name != LABEL || label(path) != label(above);
    Ok(names.any(is_own) || inherits() || project_of(path)? != inherited_project(above)?)
}

fn project_of(dir: &Path) -> Result<Option<Project>, DockerError> {
    let pin = PinnedFile::path(dir).map_err(DockerError::errno(dir))?;
    Ok(project(&pin, stat(dir)?.file_type))
}

/// The project of what is made in a directory.
fn inherited_project(dir: &Path) -> Result<Option<Project>, DockerError> {
    let none = Project {
        id: 0,
        is_inherited: false,
    };
    let of_dir = project_of(dir)?;
    Ok(of_dir.map(|it| if it.is_inherited { it } else { none }))
}
