use super::*;

fn map(text: &str) -> Result<IdMap, MapError> {
    let specs: Vec<MapSpec> = text.split(' ').map(|spec| spec.parse().unwrap()).collect();
    IdMap::from_specs(&specs)
}

#[test]
fn a_map_reads_back_as_it_is_shown() {
    for text in [
        "b:0:100000:65536",
        "b:0:1000:1 b:1:100000:65535",
        "u:0:100000:65536 g:0:200000:65536",
        "b:0:100000:10 u:10:300000:5 g:10:400000:5",
    ] {
        let shown = map(text).unwrap();
        assert_eq!(shown.to_string(), text);
        let json = serde_json::to_string(&shown).unwrap();
        assert_eq!(serde_json::from_str::<IdMap>(&json).unwrap(), shown);
    }
}

#[test]
fn json_with_overlapping_ranges_is_refused() {
    let json = r#"{"uid":["0:100000:10","5:200000:10"],"gid":["0:100000:10"]}"#;
    let error = serde_json::from_str::<IdMap>(json).unwrap_err();
    assert!(error.to_string().contains("share container ids"), "{error}");
}

#[test]
fn half_a_map_is_refused() {
    let error = map("u:0:100000:65536").unwrap_err();
    assert!(
        error.to_string().starts_with("the map has no gid range"),
        "{error}"
    );
}

#[test]
fn overlapping_sides_are_shown_with_their_ids() {
    let overlap = map("b:0:1000:1 b:1:100000:65535")
        .unwrap()
        .sides_overlap()
        .unwrap();
    assert_eq!(overlap.to_string(), "uid 1000 is on both its sides");
    let moved = map("b:100000:150000:65536").unwrap();
    assert_eq!(
        moved.sides_overlap().unwrap().to_string(),
        "uids 150000-165535 are on both its sides"
    );
    assert_eq!(map("b:0:100000:65536").unwrap().sides_overlap(), None);
    assert_eq!(
        map("b:0:100000:65536").unwrap().container_root(),
        Some((100_000, 100_000))
    );
}

#[test]
fn people_read_both_sides_of_a_map() {
    let words = |specs: &[&str], direction| {
        let specs: Vec<MapSpec> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
        IdMap::from_specs(&specs).unwrap().in_words(direction)
    };
    let both = ["b:0:100000:65536"];
    assert_eq!(
        words(&both, Direction::Into),
        "ids 0-65535 -> 100000-165535"
    );
    assert_eq!(
        words(&both, Direction::OutOf),
        "ids 100000-165535 -> 0-65535"
    );
    assert_eq!(
        words(&["u:0:1000:1", "u:1:100000:9", "g:0:7:1"], Direction::Into),
        "uids 0 -> 1000, 1-9 -> 100000-100008; gids 0 -> 7"
    );
}
