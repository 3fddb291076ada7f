//! Ranges as Podman puts them together.

use super::Entry;
use crate::idmap::{Range, RangeMap};

/// Adds a range; one that extends takes the place of what is there for its ids.
pub(super) fn put(ranges: Vec<Range>, next: Range, extends: bool) -> Vec<Range> {
    let without = |range: Range| {
        let rest = range.without_container_ids(next.container(), next.size());
        let rest = rest.into_iter();
        rest.flat_map(|range| range.without_host_ids(next.host(), next.size()))
            .collect()
    };
    let others = ranges.into_iter().flat_map(|range| match extends {
        true => without(range),
        false => vec![range],
    });
    others.chain([next]).collect()
}

/// Container ids to intermediate ids; the error is an id that the user does not have.
pub(super) fn rootless(entries: &[Entry], has: &RangeMap) -> Result<Vec<Range>, u32> {
    let mut ranges = Vec::new();
    for entry in entries {
        let wanted = RangeMap::new([entry.range]).map_err(|_| entry.range.host())?;
        let all = match entry.is_host {
            true => has.inverse(),
            false => own(has),
        };
        let parts = wanted.then(&all);
        let found: u32 = parts.ranges().iter().map(Range::size).sum();
        if found != entry.range.size() {
            let ids = entry.range.host()..=entry.range.host() + (entry.range.size() - 1);
            let is_missing = |id: &u32| {
                !all.ranges()
                    .iter()
                    .any(|range| range.to_host(*id).is_some())
            };
            return Err(ids
                .into_iter()
                .find(is_missing)
                .unwrap_or(entry.range.host()));
        }
        for part in parts.ranges() {
            ranges = put(ranges, *part, entry.extends);
        }
    }
    match entries.first().is_some_and(|first| first.extends) {
        true => Ok(filled(ranges, has)),
        false => Ok(ranges),
    }
}

/// Each intermediate id to itself.
fn own(has: &RangeMap) -> RangeMap {
    has.then(&has.inverse())
}

/// Free container ids, from 0 on, get the intermediate ids that are left, in their order.
fn filled(mut ranges: Vec<Range>, has: &RangeMap) -> Vec<Range> {
    let mut left = own(has).ranges().to_vec();
    for taken in &ranges {
        let parts = left.into_iter();
        left = parts
            .flat_map(|part| part.without_host_ids(taken.host(), taken.size()))
            .collect();
    }
    let mut container = 0u32;
    for part in left {
        let mut rest = Some((part.host(), part.size()));
        while let Some((first, size)) = rest {
            ranges.sort_by_key(Range::container);
            // Behind what is there, up to the next that is there.
            for range in &ranges {
                if range.to_host(container).is_some() {
                    container = range.container() + range.size();
                }
            }
            let next = ranges
                .iter()
                .map(Range::container)
                .filter(|next| *next > container)
                .min();
            let room = next.map_or(size, |next| size.min(next - container));
            let Ok(range) = Range::new(container, first, room) else {
                return ranges;
            };
            ranges.push(range);
            container += room;
            rest = (size > room).then(|| (first + room, size - room));
        }
    }
    ranges
}
