//! An entry that a container's user cannot use, and whose it is.

use std::path::PathBuf;

use serde::Serialize;

use super::user::seen_inside;
use crate::fs::Stat;
use crate::idmap::IdMap;
use crate::journal::name;

/// Owner of an inode, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Owner {
    /// On the host.
    pub outside: String,
    /// As the container sees it; 65534 for what is not in the map.
    pub inside: String,
    /// Mode.
    pub mode: String,
}

impl Owner {
    pub(super) fn of(stat: &Stat, map: &IdMap) -> Owner {
        let uid = seen_inside(&map.uids, stat.uid);
        let gid = seen_inside(&map.gids, stat.gid);
        Owner {
            outside: format!("{}:{}", stat.uid, stat.gid),
            inside: format!("{uid}:{gid}"),
            mode: stat.mode.to_string(),
        }
    }
}

/// An entry that the user cannot use.
#[derive(Clone, Debug, Serialize)]
pub struct Unusable {
    /// Which.
    #[serde(serialize_with = "name::serialize_path")]
    pub path: PathBuf,
    /// What is missing of `r`, `w` and `x`.
    pub lacks: String,
    /// Whose it is; `None` when it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}
