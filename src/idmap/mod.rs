//! Pure: which host id a container id stands for.
//!
//! - [`range`]: one line of a `uid_map`
//! - [`range_map`]: all lines of one, and mapping an id through them
//! - [`map`]: uids and gids together
//! - [`notation`]: maps as other tools write them: LXC, Proxmox, Incus, LXD, Podman, `/proc/PID/uid_map`
//! - [`mount_map`]: which ids the files of an idmapped mount are seen with
//! - [`spec`]: `u|g|b:CONTAINER:HOST:SIZE` on the command line
//! - [`subid`]: `/etc/subuid` and `/etc/subgid`

pub mod map;
pub mod mount_map;
pub mod notation;
pub mod range;
pub mod range_map;
pub mod spec;
pub mod subid;

pub use map::{IdMap, MapError, Overlap};
pub use mount_map::MountMap;
pub use range::Range;
pub use range_map::{Direction, Mapped, RangeMap};
pub use spec::MapSpec;
pub use subid::{SubidError, SubidFile, SubidLine, SubidReader, map_from_subid};

#[cfg(test)]
pub mod tests {
    use super::{IdMap, MapSpec};

    /// The map of some specs, one behind the other.
    pub fn map(text: &str) -> IdMap {
        let specs: Vec<MapSpec> = text.split(' ').map(|spec| spec.parse().unwrap()).collect();
        IdMap::from_specs(&specs).unwrap()
    }
}
