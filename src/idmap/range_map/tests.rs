use proptest::prelude::*;

use super::*;

fn range(container: u32, host: u32, size: u32) -> Range {
    Range::new(container, host, size).unwrap()
}

/// Ranges laid out one behind the other on both sides, then shuffled.
pub(crate) fn maps() -> impl Strategy<Value = RangeMap> {
    let lengths = proptest::collection::vec((0u32..5000, 0u32..5000, 1u32..70000), 1..6);
    lengths
        .prop_map(|lengths| {
            let mut container = 0;
            let mut host = 1_000_000;
            let mut ranges = Vec::new();
            for (gap, host_gap, size) in lengths {
                container += gap;
                host += host_gap;
                ranges.push(range(container, host, size));
                container += size;
                host += size;
            }
            ranges
        })
        .prop_shuffle()
        .prop_map(|ranges| RangeMap::new(ranges).unwrap())
}

proptest! {
    #[test]
    fn out_of_undoes_into(map in maps(), picks in proptest::collection::vec(any::<(prop::sample::Index, u32)>(), 20)) {
        for (which, offset) in picks {
            let range = which.get(map.ranges());
            let id = range.container() + offset % range.size();
            let Mapped::To(host) = map.map(id, Direction::Into) else { panic!("{id}") };
            prop_assert_eq!(host - range.host(), id - range.container());
            prop_assert_eq!(map.map(host, Direction::OutOf), Mapped::To(id));
            prop_assert_eq!(map.map(host, Direction::Into), Mapped::Already);
            prop_assert_eq!(map.map(id, Direction::OutOf), Mapped::Already);
        }
    }

    #[test]
    fn any_id_is_mapped_as_a_plain_search_would(map in maps(), id in any::<u32>()) {
        let expected = map.ranges().iter().find_map(|r| {
            let last = u64::from(r.container()) + u64::from(r.size());
            (u64::from(id) >= u64::from(r.container()) && u64::from(id) < last)
                .then(|| (u64::from(id) - u64::from(r.container()) + u64::from(r.host())) as u32)
        });
        let mapped = match map.map(id, Direction::Into) { Mapped::To(id) => Some(id), _ => None };
        prop_assert_eq!(mapped, expected);
    }
}

#[test]
fn ranges_that_share_ids_are_refused_and_both_named() {
    let error = RangeMap::new([range(0, 100_000, 10), range(9, 200_000, 5)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ranges 0:100000:10 and 9:200000:5 share container ids"
    );
    let error = RangeMap::new([range(0, 100_000, 10), range(50, 100_009, 5)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the ranges 0:100000:10 and 50:100009:5 share host ids"
    );
    assert!(RangeMap::new([range(0, 100_000, 10), range(10, 100_010, 5)]).is_ok());
}

#[test]
fn a_rootless_map_has_overlapping_sides() {
    let map = RangeMap::new([range(0, 1000, 1), range(1, 100_000, 65535)]).unwrap();
    assert_eq!(map.map(0, Direction::Into), Mapped::To(1000));
    assert_eq!(map.map(1000, Direction::Into), Mapped::To(100_999));
    assert_eq!(map.map(1000, Direction::OutOf), Mapped::To(0));
    assert_eq!(
        map.sides_overlap(),
        Some((range(1, 100_000, 65535), range(0, 1000, 1)))
    );
    let docker = RangeMap::new([range(0, 100_000, 65536)]).unwrap();
    assert_eq!(docker.sides_overlap(), None);
}

#[test]
fn an_id_that_is_mapped_to_itself_is_not_ambiguous() {
    let passed_through = [
        range(0, 100_000, 1000),
        range(1000, 1000, 1),
        range(1001, 101_001, 64535),
    ];
    let map = RangeMap::new(passed_through).unwrap();
    assert_eq!(map.sides_overlap(), None);
    assert_eq!(map.map(1000, Direction::Into), Mapped::To(1000));
    assert_eq!(map.map(1000, Direction::OutOf), Mapped::To(1000));
    // A range that meets itself elsewhere still is.
    let shifted = RangeMap::new([range(0, 50, 100)]).unwrap();
    assert!(shifted.sides_overlap().is_some());
}

proptest! {
    #[test]
    fn mapping_is_idempotent_without_overlap(
        ranges in proptest::collection::vec((0u32..300, 0u32..300, 1u32..60), 1..5),
        id in 0u32..400,
    ) {
        let ranges = ranges.into_iter().map(|(container, host, size)| range(container, host, size));
        let Ok(map) = RangeMap::new(ranges) else { return Ok(()) };
        if map.sides_overlap().is_none() {
            for direction in [Direction::Into, Direction::OutOf] {
                if let Mapped::To(once) = map.map(id, direction) {
                    let twice = map.map(once, direction);
                    prop_assert!(twice == Mapped::Already || twice == Mapped::To(once));
                }
            }
        }
    }

    #[test]
    fn sides_do_not_overlap_where_no_id_changes_twice(
        ranges in proptest::collection::vec((0u32..60, 0u32..60, 1u32..20), 1..4),
    ) {
        let ranges = ranges.into_iter().map(|(container, host, size)| range(container, host, size));
        let Ok(map) = RangeMap::new(ranges) else { return Ok(()) };
        let is_ambiguous = (0..100).any(|id| {
            let (into, out) = (map.map(id, Direction::Into), map.map(id, Direction::OutOf));
            matches!((into, out), (Mapped::To(into), Mapped::To(_)) if into != id)
        });
        prop_assert_eq!(map.sides_overlap().is_some(), is_ambiguous);
    }
}

/// Small maps with ids in common, overlapping sides included.
fn small_maps() -> impl Strategy<Value = RangeMap> {
    let ranges = proptest::collection::vec((0u32..60, 0u32..60, 1u32..20), 1..6);
    ranges.prop_map(|ranges| {
        let ranges = ranges
            .into_iter()
            .map(|(container, host, size)| range(container, host, size));
        // Those that still fit behind the ones before.
        ranges.fold(RangeMap::new([]).unwrap(), |map, next| {
            let more = map.ranges().iter().copied().chain([next]);
            RangeMap::new(more).unwrap_or(map)
        })
    })
}

proptest! {
    #[test]
    fn out_of_one_map_into_another_is_one_map(from in small_maps(), to in small_maps()) {
        let both = from.inverse().then(&to);
        for id in 0..100 {
            let inside = match from.map(id, Direction::OutOf) { Mapped::To(id) => Some(id), _ => None };
            let moved = inside.and_then(|id| match to.map(id, Direction::Into) { Mapped::To(id) => Some(id), _ => None });
            let at_once = match both.map(id, Direction::Into) { Mapped::To(id) => Some(id), _ => None };
            prop_assert_eq!(at_once, moved, "{} through {:?}", id, both);
        }
        // It is a map as any other, and as short as it can be.
        prop_assert_eq!(&RangeMap::new(both.ranges().to_vec()).unwrap(), &both);
        prop_assert_eq!(both.inverse(), to.inverse().then(&from));
    }

    #[test]
    fn what_is_taken_out_of_a_range_is_missing(
        (container, host, size) in (0u32..60, 0u32..60, 1u32..20), (first, count) in (0u32..90, 0u32..40),
    ) {
        let whole = range(container, host, size);
        let taken = |id: u32| id >= first && id < first + count;
        let left = RangeMap::new(whole.without_container_ids(first, count)).unwrap();
        for id in 0..100 {
            let expected = whole.to_host(id).filter(|_| !taken(id));
            let is = match left.map(id, Direction::Into) { Mapped::To(id) => Some(id), _ => None };
            prop_assert_eq!(is, expected);
        }
        let left = RangeMap::new(whole.without_host_ids(first, count)).unwrap();
        for id in 0..100 {
            let expected = whole.to_container(id).filter(|_| !taken(id));
            let is = match left.map(id, Direction::OutOf) { Mapped::To(id) => Some(id), _ => None };
            prop_assert_eq!(is, expected);
        }
    }
}

#[test]
fn the_last_id_is_nobodys() {
    assert!(Range::new(0, u32::MAX - 1, 1).is_ok());
    assert!(Range::new(0, u32::MAX, 1).is_err());
    assert!(Range::new(0, u32::MAX - 1, 2).is_err());
    assert!(Range::new(u32::MAX - 1, 0, 2).is_err());
    assert!(Range::new(0, 0, u32::MAX).is_ok());
    assert!(Range::new(1, 0, u32::MAX).is_err());
    let all = RangeMap::new([range(0, 0, u32::MAX)]).unwrap();
    assert_eq!(all.map(u32::MAX, Direction::Into), Mapped::Unmapped);
    assert_eq!(
        all.map(u32::MAX - 1, Direction::Into),
        Mapped::To(u32::MAX - 1)
    );
}
