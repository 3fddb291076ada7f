//! Descriptions of steps, for people.

use super::{Step, StepPath};
use crate::fs::escape::escaped;
use crate::journal::root_line::RootLine;

impl Step {
    /// A description of the step in one line, for people.
    pub fn describe(&self, roots: &[RootLine]) -> String {
        let path = |place: &StepPath| escaped(&place.to_path(roots)).to_string();
        match self {
            Step::MakeDir { at, made } => format!(
                "make directory {} {}:{} {}",
                path(at),
                made.uid,
                made.gid,
                made.mode
            ),
            Step::RemoveDir { at, .. } => format!("remove directory {}", path(at)),
            Step::Rename { from, to, .. } => format!("rename {} -> {}", path(from), path(to)),
            Step::Rewrite { at, .. } => format!("rewrite {}", path(at)),
            Step::Relink { at, after, .. } => {
                format!("symlink {} -> {}", path(at), escaped(after.as_path()))
            }
            Step::SetOwnership { at, after, .. } => match after.acl() {
                Some(acl) => format!("set the ACL of {} to {acl}", path(at)),
                None => format!(
                    "set {} to {}:{} {}",
                    path(at),
                    after.uid,
                    after.gid,
                    after.mode
                ),
            },
            Step::Create { at, .. } => format!("create {}", path(at)),
            Step::Remove { at, .. } => format!("remove {}", path(at)),
            Step::Block { from, to, .. } => {
                format!(
                    "rename {} -> {}, and put a guard in its place",
                    path(from),
                    path(to)
                )
            }
            Step::Unblock { from, to, .. } => {
                format!(
                    "rename {} -> {}, in place of the guard",
                    path(from),
                    path(to)
                )
            }
            Step::HandOver { from, to, open, .. } => format!(
                "rename {} -> {}, then give it to {}:{} {}",
                path(from),
                path(to),
                open.uid,
                open.gid,
                open.mode
            ),
            Step::Expect { at, .. } => format!("make sure that {} was not changed", path(at)),
            Step::Staged { at, .. } => format!("use {}, which was made before the run", path(at)),
            Step::MakeMountPoint { at, .. } => {
                format!("make mount point {}, empty and immutable", path(at))
            }
            Step::RemoveMountPoint { at, .. } => format!("remove mount point {}", path(at)),
            Step::MountExchanged { source, at, .. } => {
                format!("mount {} on {}, idmapped", path(source), path(at))
            }
            Step::UnmountExchanged { at, .. } => format!("unmount {}", path(at)),
            Step::Times { at, .. } => format!("keep the mtime of {} for a rollback", path(at)),
        }
    }
}
