use proptest::prelude::*;

use super::*;
use crate::idmap::tests::map;

#[test]
fn an_exchange_leads_back() {
    let exchanged = |text: &str| MountMap::exchange(&map(text)).to_string();
    assert_eq!(
        exchanged("b:0:100000:65536"),
        "b:0:100000:65536 b:65536:65536:34464 b:100000:0:65536 b:165536:165536:4294801759"
    );
    assert_eq!(
        exchanged("b:0:0:4294967295"),
        "b:0:0:4294967295",
        "nothing is another's"
    );
    let rootless = MountMap::exchange(&map("b:0:1000:1 b:1:100000:65535"));
    for (disk, seen) in [(0, 1000), (1, 100_000), (1000, 100_999), (100_000, 1)] {
        assert_eq!(rootless.visible(disk, disk), (Some(seen), Some(seen)));
    }
    // Which container id 0 would be seen as is taken: by what is left over.
    assert_eq!(rootless.visible(100_999, 7).0, Some(0));
    let apart = MountMap::exchange(&map("u:0:300000:1 u:1:200000:9 g:0:100000:65536"));
    assert_eq!(apart.visible(300_000, 100_005), (Some(0), Some(5)));
    assert_eq!(apart.visible(200_001, 65_536), (Some(2), Some(65_536)));
}

#[test]
fn a_map_of_its_own_ranges_only_knows_no_other_id() {
    let only = MountMap::only(&map("u:0:100000:10 g:0:200000:10"));
    assert_eq!(only.visible(3, 3), (Some(100_003), Some(200_003)));
    assert_eq!(only.visible(10, 100_000), (None, None));
    assert_eq!(only.to_string(), "u:0:100000:10 g:0:200000:10");
}

#[test]
fn the_owner_on_disk_is_seen_as_another_one() {
    let exchange = MountMap::exchange(&map("b:0:100000:65536"));
    let swapped = exchange.clone().swapped((1000, 0), (999, 999));
    assert_eq!(swapped.visible(1000, 0), (Some(100_999), Some(100_999)));
    assert_eq!(swapped.visible(999, 999), (Some(101_000), Some(100_000)));
    assert_eq!(swapped.visible(998, 1001), (Some(100_998), Some(101_001)));
    assert_eq!(swapped.visible(100_999, 100_000), (Some(999), Some(0)));
    assert_eq!(exchange.clone().swapped((7, 7), (7, 7)), exchange);
    let text = swapped.to_string();
    assert_eq!(text.parse::<MountMap>().unwrap(), swapped);
    // What was shifted before.
    let shifted = exchange.swapped((100_033, 100_033), (33, 33));
    assert_eq!(shifted.visible(100_033, 33), (Some(100_033), Some(33)));
}

proptest! {
    /// Whatever the ranges: every id is seen as one, and as one that no other id is seen as.
    #[test]
    fn an_exchange_maps_all_ids_onto_all_ids(lines in proptest::collection::vec((0u32..60, 0u32..60, 1u32..20), 1..5)) {
        let ranges = lines.iter().filter_map(|&(a, b, n)| Range::new(a, b, n).ok());
        let Ok(before) = RangeMap::new(ranges) else { return Ok(()) };
        let after = exchanged(&before);
        let mut seen: Vec<u32> = Vec::new();
        for id in 0..200 {
            let Mapped::To(to) = after.map(id, Direction::Into) else {
                return Err(TestCaseError::fail(format!("{id} is seen as nothing")));
            };
            if let Mapped::To(asked) = before.map(id, Direction::Into) {
                prop_assert_eq!(asked, to);
            }
            seen.push(to);
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..200).collect::<Vec<u32>>());
        let sizes: u64 = after.ranges().iter().map(|range| u64::from(range.size())).sum();
        prop_assert_eq!(sizes, u64::from(RESERVED));
    }
}
