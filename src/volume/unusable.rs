//! An entry that a container's user cannot use, and whose it is.

use std::path::PathBuf;

use serde::Serialize;

use super::user::{OVERFLOW, id_inside};
use crate::fs::Stat;
use crate::idmap::IdMap;
use crate::journal::name;
use crate::ownership::Mode;

/// Owner of an inode, on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "OwnerText")]
pub struct Owner {
    /// On the host.
    pub uid: u32,
    /// On the host.
    pub gid: u32,
    /// The container's uid for it; `None` where that is not in the map.
    pub uid_inside: Option<u32>,
    /// The container's gid for it.
    pub gid_inside: Option<u32>,
    /// Mode.
    pub mode: Mode,
}

impl Owner {
    pub(super) fn of(stat: &Stat, map: &IdMap) -> Owner {
        Owner {
            uid: stat.uid,
            gid: stat.gid,
            uid_inside: id_inside(&map.uids, stat.uid),
            gid_inside: id_inside(&map.gids, stat.gid),
            mode: stat.mode,
        }
    }

    /// As it is on the host.
    pub fn outside(&self) -> String {
        format!("{}:{}", self.uid, self.gid)
    }

    /// As the container sees it.
    pub fn inside(&self) -> String {
        let [uid, gid] = [self.uid_inside, self.gid_inside].map(|id| id.unwrap_or(OVERFLOW));
        format!("{uid}:{gid}")
    }
}

/// In JSON.
#[derive(Serialize)]
struct OwnerText {
    outside: String,
    inside: String,
    mode: Mode,
}

impl From<Owner> for OwnerText {
    fn from(owner: Owner) -> OwnerText {
        OwnerText {
            outside: owner.outside(),
            inside: owner.inside(),
            mode: owner.mode,
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
