//! The directories above a volume that the container's root may not search.
//!
//! They do not matter to a runtime that opens the source of a bind mount first, as root (runc from
//! 1.1 on). A runtime that looks it up inside the user namespace fails there.

use std::path::PathBuf;

use serde::Serialize;

use super::VolumeError;
use super::probe::{Answer, Question, What, ask};
use super::user::ContainerUser;
use crate::fs::{Ancestor, PinnedFile, Root, Stat, attributes};
use crate::idmap::IdMap;
use crate::journal::name;

/// A directory that the container's root may not search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosedParent {
    /// Which.
    #[serde(serialize_with = "name::serialize_path")]
    pub path: PathBuf,
    /// Its owner and mode on the host: `0:0 0700`.
    pub owner: String,
}

impl From<&Ancestor> for ClosedParent {
    fn from(above: &Ancestor) -> ClosedParent {
        let Stat { uid, gid, mode, .. } = above.stat;
        ClosedParent {
            path: above.path.clone(),
            owner: format!("{uid}:{gid} {mode}"),
        }
    }
}

/// Those of the directories above a tree that are closed, outermost first; each is tried.
///
/// # Errors
/// They were moved meanwhile, or the child process failed.
pub fn closed_above(root: &Root, map: &IdMap) -> Result<Vec<Ancestor>, VolumeError> {
    let above = root.ancestors().map_err(VolumeError::of_root(&root.path))?;
    let mut closed = Vec::new();
    for dir in above.into_iter().rev() {
        if !may_search(&dir.pin, map)? {
            closed.push(dir);
        }
    }
    Ok(closed)
}

/// Whether the container's root may search this pinned directory.
///
/// # Errors
/// The child process that tests failed.
pub fn may_search(pin: &PinnedFile, map: &IdMap) -> Result<bool, VolumeError> {
    if all_may_search(pin) {
        return Ok(true);
    }
    let question = Question {
        user: ContainerUser::ROOT,
        what: What::Search,
    };
    let mut open = false;
    ask(pin, &question, map, |answer| {
        if let Answer::Tried(tried) = answer {
            open = tried.works();
        }
    })?;
    Ok(open)
}

/// Owner, group and others may, and no ACL says otherwise: nothing has to be tried.
fn all_may_search(pin: &PinnedFile) -> bool {
    let read = |stat| attributes::read(pin, &stat).ok();
    let ownership = pin.stat().ok().and_then(read);
    ownership.is_some_and(|found| found.mode.bits() & 0o111 == 0o111 && found.acl().is_none())
}
