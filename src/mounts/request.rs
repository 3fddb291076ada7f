//! What is asked for.

use std::path::PathBuf;

use crate::idmap::{IdMap, MountMap};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct MountRequest {
    /// The directory or file.
    pub path: PathBuf,
    /// Where its files are seen; `None`: over itself.
    pub target: Option<PathBuf>,
    /// The container's map: container ids are on disk, and are seen as host ids.
    pub map: IdMap,
    /// An owner and group on disk that this user and group of the container has.
    pub owner: Option<GivenOwner>,
    /// Nothing can be changed through it.
    pub read_only: bool,
    /// Also what belongs to the system.
    pub allow_system_path: bool,
    /// Also where a login account works.
    pub allow_home: bool,
}

/// Whose files are seen as a container user's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenOwner {
    /// The container's ids.
    pub container: (u32, u32),
    /// Those on disk; `None`: the owner and group of the path.
    pub on_disk: Option<(u32, u32)>,
}

impl MountRequest {
    pub(super) fn allows(&self) -> Allows {
        Allows {
            system_path: self.allow_system_path,
            home: self.allow_home,
        }
    }
}

/// What the operator allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allows {
    pub system_path: bool,
    pub home: bool,
}

/// Owner and group on disk, and the container's ids that they have.
pub(super) type OwnerPair = ((u32, u32), (u32, u32));

/// The map of the mount, and what `--owner` means.
pub(super) fn mount_map(
    request: &MountRequest,
    on_disk: (u32, u32),
) -> (MountMap, Option<OwnerPair>) {
    let map = MountMap::exchange(&request.map);
    match request.owner {
        None => (map, None),
        Some(owner) => {
            let on_disk = owner.on_disk.unwrap_or(on_disk);
            (
                map.swapped(on_disk, owner.container),
                Some((on_disk, owner.container)),
            )
        }
    }
}
