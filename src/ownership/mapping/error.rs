//! Why an ownership cannot be mapped.

use thiserror::Error;

use crate::ownership::overlay::NotMoved;

/// Why an ownership cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unmapped {
    /// An id is on neither side of the map.
    #[error("{field} {id} is outside the map")]
    Id {
        /// Which id of it.
        field: &'static str,
        /// The id.
        id: u32,
    },
    /// An id beside the owner is on both sides of the map, and stands for another one on each.
    #[error(
        "{field} {id} is on both sides of the map, so it does not tell whether it is already shifted"
    )]
    BothSides {
        /// Which id of it.
        field: &'static str,
        /// The id.
        id: u32,
    },
    /// It has an id of the range, and whether it had it before the mount is not known.
    #[error(
        "it has an id of the range ({uid}:{gid} on disk). idshift cannot tell whether it had the id before \
        the data-root was remapped by a mount, or whether the host gave it since: {why}, so its times \
        do not show that. If the host gave it, chown it to the ids without the range (100000 is 0)"
    )]
    Undated {
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// Why not.
        why: Undated,
    },
    /// Two entries of an ACL would be for the same one.
    #[error("two entries of its {field} would be for the same id")]
    Collision {
        /// Which ACL.
        field: &'static str,
    },
    /// A capability of version 2 is that of uid 0, which has no id on the other side.
    #[error("it has a capability of uid 0, which is outside the map")]
    NoContainerRoot,
    /// An attribute of overlayfs cannot be moved.
    #[error(transparent)]
    Overlay(#[from] NotMoved),
}

impl Unmapped {
    /// Whether an id is on neither side of the map, so that a larger map helps.
    pub fn is_outside(&self) -> bool {
        match self {
            Unmapped::Id { .. } | Unmapped::NoContainerRoot => true,
            Unmapped::BothSides { .. }
            | Unmapped::Undated { .. }
            | Unmapped::Collision { .. }
            | Unmapped::Overlay(_) => false,
        }
    }
}

/// Why times do not tell what an inode's owner was when its data-root was remapped by a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Undated {
    /// What seems to be older may not be.
    #[error("the clock of this host was set back")]
    ClockSetBack,
    /// All inodes are newer than that.
    #[error("the data-root was copied or restored file by file since")]
    Copied,
    /// The inode is older than that, and its owner, or anything else of it, is not.
    #[error("the inode was there before, and was changed since")]
    ChangedSince,
    /// The inode is newer than that, and has an id of the range that is not root's.
    #[error(
        "it may be a copy of an older file; or a user of the host, or a container with --userns=host, created it or changed its \
         owner"
    )]
    NotOfRoot,
}
