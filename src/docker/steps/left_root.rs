//! A docker root that everything was renamed out of: it is removed, or kept where a rollback could not make the same again.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io;
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
    let names = match xattr::list(path) {
        Ok(names) => names.collect(),
        // A filesystem without attributes.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => Vec::new(),
        Err(error) => return Err(DockerError::io(path)(error)),
    };
    let value = |path: &Path, name: &OsStr| xattr::get(path, name).ok().flatten();
    let inherits = value(above, OsStr::new("system.posix_acl_default")).is_some();
    let is_own = |name: &OsString| {
        let [own, inherited] = [path, above].map(|path| value(path, name));
        match name.to_str() {
            // Nobody knows what is in it.
            _ if own.is_none() => true,
            Some(LABEL) => own.as_deref().map(label_type) != inherited.as_deref().map(label_type),
            // The kernel makes them anew.
            Some("security.evm" | "security.ima") => false,
            _ => own != inherited || name.as_encoded_bytes().starts_with(b"system.posix_acl_"),
        }
    };
    Ok(inherits || names.iter().any(is_own) || project_of(path)? != inherited_project(above)?)
}

/// The type of an SELinux label, `user:role:type:level`: a new directory gets that of the one that it is in. The others are
/// those of the process that makes it.
fn label_type(label: &[u8]) -> Option<&[u8]> {
    label.split(|&byte| byte == b':').nth(2)
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

#[cfg(test)]
mod tests {
    use super::label_type;

    #[test]
    fn a_label_is_as_inherited_whoever_made_the_directory() {
        let labels: [&[u8]; 3] = [
            b"system_u:object_r:container_var_lib_t:s0\0",
            b"unconfined_u:object_r:container_var_lib_t:s0\0",
            b"unconfined_u:object_r:container_file_t:s0:c1,c2\0",
        ];
        let [of_daemon, of_shell, other] = labels.map(label_type);
        assert_eq!(of_daemon, of_shell);
        assert_ne!(of_shell, other);
    }
}
