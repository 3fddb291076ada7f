//! The map from one range to another.

use crate::docker::DockerError;
use crate::docker::remap::Remap;
use crate::idmap::{IdMap, Range, RangeMap};

/// Ids below this one that are in neither range are the host's, and stay: what the kernel and `--userns=host` containers
/// made.
const HOST_IDS: u32 = 65_536;

/// From the one range to the other; ids of the host stay.
///
/// # Errors
/// The two have no id of the container in common.
pub(super) fn map_of(from: &IdMap, to: &IdMap) -> Result<IdMap, DockerError> {
    let common = from.onto(to);
    let whole = |common: &RangeMap, from: &RangeMap, to: &RangeMap| {
        let mut stays = Range::new(0, 0, HOST_IDS).into_iter().collect::<Vec<_>>();
        for range in from.ranges().iter().chain(to.ranges()) {
            let parts = stays.into_iter();
            stays = parts
                .flat_map(|part| part.without_host_ids(range.host(), range.size()))
                .collect();
        }
        RangeMap::new(common.ranges().iter().copied().chain(stays))
            .map_err(|error| bad_maps(error.to_string()))
    };
    match common.uids.is_empty() || common.gids.is_empty() {
        true => Err(bad_maps(format!(
            "{from} and {to} have no id of the container in common"
        ))),
        false => Ok(IdMap::new(
            whole(&common.uids, &from.uids, &to.uids)?,
            whole(&common.gids, &from.gids, &to.gids)?,
        )),
    }
}

/// Whether each id of the one range is the same in the other.
pub(super) fn all_stay(from: &IdMap, to: &IdMap) -> bool {
    let count = |map: &RangeMap| -> u64 {
        let sizes = map.ranges().iter().map(|range| range.size());
        sizes.map(u64::from).sum()
    };
    let common = from.onto(to);
    [(&common.uids, &from.uids), (&common.gids, &from.gids)]
        .iter()
        .all(|(common, from)| {
            count(common) == count(from) && common.ranges().iter().all(|range| range.is_identity())
        })
}

pub(super) fn bad_maps(reason: String) -> DockerError {
    DockerError::Remap {
        value: "from one range to another".into(),
        reason,
        help: ". `idshift map` shows the range of the daemon".into(),
    }
}

/// The range of a map, whoever's it is.
pub(super) fn remap_of(map: &IdMap) -> Result<Remap, DockerError> {
    let root = map
        .container_root()
        .ok_or_else(|| bad_maps(format!("{map} has no id for the container's root")))?;
    Ok(Remap {
        user: String::new(),
        map: map.clone(),
        root,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idmap::tests::map;
    use crate::idmap::{Direction, Mapped};

    #[test]
    fn ids_of_the_host_stay_and_all_others_are_moved_or_named() {
        let map = map_of(&map("b:0:165536:65536"), &map("b:0:100000:65536")).unwrap();
        for (id, expected) in [
            (0, Mapped::To(0)),
            (1000, Mapped::To(1000)),
            (165_536, Mapped::To(100_000)),
            (231_071, Mapped::To(165_535)),
            // Of neither range: a larger one would have been.
            (231_072, Mapped::Unmapped),
            (70_000, Mapped::Unmapped),
            // Not of the old range; the rule MapAll refuses it.
            (100_000, Mapped::Already),
        ] {
            assert_eq!(map.uids.map(id, Direction::Into), expected, "{id}");
        }
    }

    #[test]
    fn what_stays_is_told_from_what_moves_or_has_no_place() {
        let old = map("b:0:165536:1000 b:1000:300000:1000");
        for (new, stays) in [
            ("b:0:165536:1000 b:1000:300000:1000", true),
            ("b:0:165536:1000 b:1000:300000:5000", true),
            ("b:0:165536:1000 b:1000:400000:1000", false),
            ("b:0:165536:1000 b:1000:300000:999", false),
            ("b:0:165536:1000 b:1000:300000:999 u:1999:300999:1", false),
        ] {
            assert_eq!(all_stay(&old, &map(new)), stays, "{new}");
        }
    }

    #[test]
    fn ranges_that_overlap_each_other_and_the_hosts_ids_make_a_map() {
        let map = map_of(&map("b:0:60000:10000"), &map("b:0:65000:10000")).unwrap();
        assert_eq!(map.gids.map(59_999, Direction::Into), Mapped::To(59_999));
        assert_eq!(map.gids.map(60_000, Direction::Into), Mapped::To(65_000));
        assert_eq!(map.gids.map(65_000, Direction::Into), Mapped::To(70_000));
        assert_eq!(map.gids.map(74_999, Direction::Into), Mapped::Already);
        let map = map_of(
            &crate::idmap::tests::map("b:0:165536:9000"),
            &crate::idmap::tests::map("b:0:20000:9000"),
        )
        .unwrap();
        assert_eq!(map.uids.map(20_005, Direction::Into), Mapped::Already);
        assert_eq!(map.uids.map(19_999, Direction::Into), Mapped::To(19_999));
    }
}
