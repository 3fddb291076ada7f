//! Whether the ids that a run gives away exist in the user namespace that it runs in (`user_namespaces(7)`).

use std::ops::RangeInclusive;

use thiserror::Error;

use crate::idmap::{Direction, IdMap, RangeMap};

/// An id that this process's user namespace does not have: the kernel answers `EINVAL` to a chown.
#[derive(Debug, Error)]
#[error(
    "the map {map}: this process is in a user namespace that has no {kind} {id} ({file}), so no file can be given to it. Run \
     idshift on the host, outside of containers, or with a range that the namespace has; nothing was changed"
)]
pub struct NoSuchId {
    map: IdMap,
    kind: &'static str,
    file: &'static str,
    id: u32,
}

/// Refuses a map that leads to a range which the namespace has nothing of at its beginning.
///
/// # Errors
/// Names the id.
pub fn check(map: &IdMap, direction: Direction) -> Result<(), NoSuchId> {
    let sides = [
        ("uid", "/proc/self/uid_map", &map.uids),
        ("gid", "/proc/self/gid_map", &map.gids),
    ];
    for (kind, file, ranges) in sides {
        // That /proc is not mounted is reported elsewhere.
        let Ok(text) = std::fs::read_to_string(file) else {
            continue;
        };
        if let Some(id) = first_missing(ranges, direction, &ids_in(&text)) {
            let map = map.clone();
            return Err(NoSuchId {
                map,
                kind,
                file,
                id,
            });
        }
    }
    Ok(())
}

/// What the kernel shows in the place of ids that this process's user namespace does not have.
#[derive(Clone, Copy, Debug)]
pub struct OverflowIds {
    uid: Option<u32>,
    gid: Option<u32>,
}

impl OverflowIds {
    /// Of this process. In the first user namespace, which has all ids, nothing is shown in another's place.
    pub fn of_this_process() -> OverflowIds {
        let shown = |map: &str, setting: &str| {
            let text = std::fs::read_to_string(format!("/proc/self/{map}")).ok()?;
            let has_all = ids_in(&text) == [0..=u32::MAX - 1];
            let overflow = std::fs::read_to_string(format!("/proc/sys/kernel/{setting}"));
            let overflow = overflow.ok().and_then(|text| text.trim().parse().ok());
            (!has_all).then_some(overflow.unwrap_or(65_534))
        };
        OverflowIds {
            uid: shown("uid_map", "overflowuid"),
            gid: shown("gid_map", "overflowgid"),
        }
    }

    /// Whether this owner or group may stand for one that is not known here: it is not to be taken for an id.
    pub fn hide(self, uid: u32, gid: u32) -> bool {
        self.uid == Some(uid) || self.gid == Some(gid)
    }
}

/// Whether this process's user namespace has all ids, as the first one has; `None` if `/proc` is not mounted.
pub fn has_all_ids() -> Option<bool> {
    let has_all = |file: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        Some(ids_in(&text) == [0..=u32::MAX - 1])
    };
    Some(has_all("/proc/self/uid_map")? && has_all("/proc/self/gid_map")?)
}

/// The ids that exist inside, by the lines of a `uid_map`: inside id, outside id, size.
fn ids_in(text: &str) -> Vec<RangeInclusive<u32>> {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let first = numbers.next()?.ok()?;
        let size = numbers.nth(1)?.ok()?;
        Some(first..=first.saturating_add(size.checked_sub(1)?))
    };
    text.lines().filter_map(range).collect()
}

fn first_missing(
    ranges: &RangeMap,
    direction: Direction,
    there: &[RangeInclusive<u32>],
) -> Option<u32> {
    let first = ranges.ranges().iter().map(|range| match direction {
        Direction::Into => range.host(),
        Direction::OutOf => range.container(),
    });
    first
        .into_iter()
        .find(|id| !there.iter().any(|ids| ids.contains(id)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::Range;

    fn missing(text: &str, direction: Direction) -> Option<u32> {
        let range = Range::new(0, 100_000, 65536).unwrap();
        let ranges = RangeMap::new([range]).unwrap();
        first_missing(&ranges, direction, &ids_in(text))
    }

    #[test]
    fn the_host_has_every_id() {
        let host = "         0          0 4294967295\n";
        assert_eq!(missing(host, Direction::Into), None);
        assert_eq!(missing(host, Direction::OutOf), None);
    }

    #[test]
    fn a_rootless_namespace_has_no_id_of_the_range() {
        let rootless = "0 1000 1\n1 200000 65536\n";
        assert_eq!(missing(rootless, Direction::Into), Some(100_000));
        assert_eq!(missing(rootless, Direction::OutOf), None);
    }

    #[test]
    fn a_large_namespace_has_the_range() {
        assert_eq!(missing("0 1000000 1000000000\n", Direction::Into), None);
    }
}
