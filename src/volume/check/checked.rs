//! What came of a check.

use std::path::PathBuf;

use nix::errno::Errno;
use serde::Serialize;

use crate::fs::access_probe::{AccessKind, AccessResult};
use crate::host::runtime::Program;
use crate::journal::name;
use crate::volume::parents::ClosedParent;
use crate::volume::unusable::{Owner, Unusable};
use crate::volume::user::ContainerUser;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What.
    pub step: AccessKind,
    /// Why not; `None` when it worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<&AccessResult> for Step {
    fn from(tried: &AccessResult) -> Step {
        Step {
            step: tried.what,
            error: tried
                .errno
                .map(|errno| Errno::from_raw(errno).desc().to_string()),
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// The directory or file, without symlinks.
    #[serde(serialize_with = "name::serialize_path")]
    pub path: PathBuf,
    /// A symlink to it was named, which Docker follows.
    pub is_symlink: bool,
    /// Whom the container runs as.
    #[serde(rename = "as")]
    pub user: ContainerUser,
    /// Its ids on the host.
    pub host_ids: (u32, u32),
    /// Whose the path is.
    pub owner: Owner,
    /// What was tried, in order.
    pub steps: Vec<Step>,
    /// Entries looked at below.
    pub looked_at: u64,
    /// Entries that the user cannot use: the first thousand.
    pub unusable: Vec<Unusable>,
    /// How many there are.
    pub unusable_total: u64,
    /// Whether they count.
    pub recursive: bool,
    /// Directories above that the container's root may not search.
    pub closed_parents: Vec<ClosedParent>,
    /// Whether those stop the runtime.
    pub parents_matter: bool,
    /// The installed runtime.
    pub runtime: Option<Program>,
    /// Where the path is seen through an idmapped mount: what that means.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idmapped_mount: Option<String>,
    /// The commands that help.
    pub remedies: Vec<String>,
    /// The command that helps as `idshift prepare` does, and changes no owner: of a large directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount_instead: Option<String>,
}

impl Checked {
    /// Everything that was asked for works.
    pub fn works(&self) -> bool {
        self.steps_work() && !(self.recursive && self.unusable_total > 0) && !self.is_cut_off()
    }

    /// What was tried with the path itself worked.
    pub fn steps_work(&self) -> bool {
        self.steps.iter().all(|step| step.error.is_none())
    }

    /// The runtime cannot reach the path.
    pub fn is_cut_off(&self) -> bool {
        self.parents_matter && !self.closed_parents.is_empty()
    }
}
