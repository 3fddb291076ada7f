//! What a mount is to be, or is.

use super::request::{Allows, OwnerPair};
use crate::fs::Root;
use crate::fs::idmapped_mount::{DetachedMount, MountIdentity};
use crate::idmap::{IdMap, MountMap};

/// A mount that could be made: the kernel and the filesystem were asked by making it, attached to nothing.
#[derive(Debug)]
pub struct PlannedMount {
    pub(super) source: Root,
    /// `None`: the source itself.
    pub(super) target: Option<Root>,
    pub(super) detached: Option<DetachedMount>,
    /// What [`PlannedMount::mount`] made.
    pub(super) made: Option<MountIdentity>,
    /// Which ids are seen as which.
    pub map: MountMap,
    /// The container's map.
    pub container_map: IdMap,
    /// What `owner` came to: ids on disk, and the container's.
    pub owner: Option<OwnerPair>,
    /// Nothing can be changed through it.
    pub read_only: bool,
    /// Owner and group of the path on disk.
    pub on_disk: (u32, u32),
    /// Also what belongs to the system, or where a login account works.
    pub(super) allows: Allows,
}
