//! The directories above a volume that the container's root may not search.
//!
//! A runtime that opens the source of a bind mount first, as root, does not mind them (runc from
//! 1.1 on); one that looks it up inside the user namespace stops there.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::VolumeError;
use super::probe::{Answer, Question, What, ask};
use super::user::ContainerUser;
use crate::fs::Pin;
use crate::idmap::IdMap;

/// A directory that the container's root may not search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClosedParent {
    /// Which.
    pub path: PathBuf,
    /// Its owner and mode on the host: `0:0 0700`.
    pub owner: String,
}

/// Those of the directories above `path` that are closed, outermost first; each is tried.
///
/// # Errors
/// One cannot be opened, or the child that tries could not.
pub fn closed_above(path: &Path, map: &IdMap) -> Result<Vec<ClosedParent>, VolumeError> {
    let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
    above.reverse();
    let mut closed = Vec::new();
    for dir in above {
        if !is_open_to_root(dir, map)? {
            let stat = Pin::path(dir)
                .and_then(|pin| pin.stat())
                .map_err(|errno| VolumeError::io(dir)(errno.into()))?;
            closed.push(ClosedParent {
                path: dir.to_path_buf(),
                owner: format!("{}:{} {}", stat.uid, stat.gid, stat.mode),
            });
        }
    }
    Ok(closed)
}

/// Whether the container's root may search this directory.
///
/// # Errors
/// It cannot be opened, or the child that tries could not.
pub fn is_open_to_root(dir: &Path, map: &IdMap) -> Result<bool, VolumeError> {
    let pin = Pin::path(dir).map_err(|errno| VolumeError::io(dir)(errno.into()))?;
    let question = Question {
        user: ContainerUser::ROOT,
        what: What::Search,
    };
    let mut open = false;
    ask(&pin, &question, map, |answer| {
        if let Answer::Tried(tried) = answer {
            open = tried.works();
        }
    })?;
    Ok(open)
}
