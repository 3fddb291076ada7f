//! All lines of a `uid_map`, and mapping an id through them.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::range::{RESERVED, Range, meet};

/// The direction in which ids are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Container id to host id.
    Into,
    /// Host id to container id.
    OutOf,
}

impl Direction {
    /// The other way.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::Into => Direction::OutOf,
            Direction::OutOf => Direction::Into,
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::Into => "into",
            Direction::OutOf => "out of",
        })
    }
}

/// The result of mapping an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapped {
    /// This id.
    To(u32),
    /// It is on the target side as it is, and not on the side that is mapped from.
    Already,
    /// It is on neither side.
    Unmapped,
}

/// Ranges that share no id, neither on their container sides nor on their host sides.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Range>", into = "Vec<Range>")]
pub struct RangeMap {
    /// In the order of container ids.
    ranges: Vec<Range>,
}

/// Why ranges do not make a map.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the ranges {a} and {b} share {side} ids")]
pub struct RangeMapError {
    /// One range.
    pub a: Range,
    /// The other.
    pub b: Range,
    /// `container` or `host`.
    pub side: &'static str,
}

impl RangeMap {
    /// # Errors
    /// When two ranges share an id on either side; both are named.
    pub fn new(ranges: impl IntoIterator<Item = Range>) -> Result<RangeMap, RangeMapError> {
        let mut ranges: Vec<Range> = ranges.into_iter().collect();
        type Side = (&'static str, fn(&Range) -> u32);
        let sides: [Side; 2] = [("host", Range::host), ("container", Range::container)];
        for (side, first) in sides {
            ranges.sort_by_key(first);
            let shared = ranges.windows(2).find(|pair| {
                meet(
                    first(&pair[0]),
                    pair[0].size(),
                    first(&pair[1]),
                    pair[1].size(),
                )
            });
            if let Some(&[a, b]) = shared {
                return Err(RangeMapError { a, b, side });
            }
        }
        Ok(RangeMap { ranges })
    }

    /// What `id` becomes.
    pub fn map(&self, id: u32, direction: Direction) -> Mapped {
        if id == RESERVED {
            return Mapped::Unmapped;
        }
        // A map has a handful of ranges: looking through them beats anything clever.
        let through = |direction: Direction| {
            self.ranges.iter().find_map(|range| match direction {
                Direction::Into => range.to_host(id),
                Direction::OutOf => range.to_container(id),
            })
        };
        match through(direction) {
            Some(id) => Mapped::To(id),
            None if through(direction.opposite()).is_some() => Mapped::Already,
            None => Mapped::Unmapped,
        }
    }

    /// The ranges in the order of container ids.
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// True when it maps nothing.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The same ids, the two sides exchanged.
    pub fn inverse(&self) -> RangeMap {
        RangeMap::from_disjoint(self.ranges.iter().map(|range| range.inverse()))
    }

    /// This map, and then the next one: an id is in it that both have. Ranges that go on from one another are one.
    pub fn then(&self, next: &RangeMap) -> RangeMap {
        let pairs = self
            .ranges
            .iter()
            .flat_map(|one| next.ranges.iter().filter_map(|two| one.then(*two)));
        let mut map = RangeMap::from_disjoint(pairs);
        map.ranges = map.ranges.drain(..).fold(Vec::new(), joined);
        map
    }

    /// From ranges that are known to share no id.
    fn from_disjoint(ranges: impl IntoIterator<Item = Range>) -> RangeMap {
        let mut ranges: Vec<Range> = ranges.into_iter().collect();
        ranges.sort_by_key(Range::container);
        RangeMap { ranges }
    }

    /// A range whose container side shares an id with the host side of a range, maybe of itself.
    /// Where there is one, an id does not tell which side a file is on. An id that is mapped to itself is the same
    /// on both sides, so there is nothing to tell.
    pub fn sides_overlap(&self) -> Option<(Range, Range)> {
        // Host ids are in one range only, so the ids of an identity range are no other range's.
        let changing = self.ranges.iter().filter(|range| !range.is_identity());
        let pairs = changing.flat_map(|a| self.ranges.iter().map(move |b| (*a, *b)));
        let mut shared = pairs.filter(|(a, b)| meet(a.container(), a.size(), b.host(), b.size()));
        shared.next()
    }
}

/// The ranges with one more behind them, which may go on where the last one ends.
fn joined(mut ranges: Vec<Range>, next: Range) -> Vec<Range> {
    if let Some(last) = ranges.last_mut() {
        let goes_on = last.container() + last.size() == next.container()
            && last.host() + last.size() == next.host();
        if goes_on
            && let Ok(both) = Range::new(last.container(), last.host(), last.size() + next.size())
        {
            *last = both;
            return ranges;
        }
    }
    ranges.push(next);
    ranges
}

impl TryFrom<Vec<Range>> for RangeMap {
    type Error = RangeMapError;

    fn try_from(ranges: Vec<Range>) -> Result<RangeMap, RangeMapError> {
        RangeMap::new(ranges)
    }
}

impl From<RangeMap> for Vec<Range> {
    fn from(map: RangeMap) -> Vec<Range> {
        map.ranges
    }
}

#[cfg(test)]
mod tests;
