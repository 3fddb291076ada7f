//! Which ids the files of an idmapped mount are seen with.

use std::fmt;
use std::ops::Range as Span;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::map::{IdMap, MapError};
use super::range::{RESERVED, Range};
use super::range_map::{Direction, Mapped, RangeMap};
use super::spec::{MapSpec, MapSpecError};

/// Ids on disk, and the ids that they are seen as: for each, ranges of (on disk, visible, count). An id that it does
/// not name is seen as the overflow id, and what only such an id could own cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MountMap {
    /// For user ids: the container side is what is on disk, the host side what is seen.
    uids: RangeMap,
    /// For group ids.
    gids: RangeMap,
}

/// Why a text is not such a map.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MountMapError {
    /// A range is not one.
    #[error(transparent)]
    Spec(#[from] MapSpecError),
    /// The ranges do not go together.
    #[error(transparent)]
    Map(#[from] MapError),
}

impl MountMap {
    /// Container ids are on disk and seen as host ids; no other id is mapped.
    pub fn only(map: &IdMap) -> MountMap {
        MountMap {
            uids: map.uids.clone(),
            gids: map.gids.clone(),
        }
    }

    /// Container ids on disk are seen as host ids, host ids on disk as container ids, and any other id as itself. So
    /// every id is seen as another one, and every user of the host can make files, root included.
    pub fn exchange(map: &IdMap) -> MountMap {
        MountMap {
            uids: exchanged(&map.uids),
            gids: exchanged(&map.gids),
        }
    }

    /// The same, but that one owner and group on disk (`disk`) is seen as what `as_id` on disk would be, and the other
    /// way round.
    pub fn swapped(self, disk: (u32, u32), as_id: (u32, u32)) -> MountMap {
        MountMap {
            uids: swapped(self.uids, disk.0, as_id.0),
            gids: swapped(self.gids, disk.1, as_id.1),
        }
    }

    /// What the owner and group of a file on disk are seen as. `None`: the overflow id.
    pub fn visible(&self, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
        let through = |map: &RangeMap, id| match map.map(id, Direction::Into) {
            Mapped::To(id) => Some(id),
            Mapped::Already | Mapped::Unmapped => None,
        };
        (through(&self.uids, uid), through(&self.gids, gid))
    }

    /// What an owner and group that are seen are on disk. `None`: nothing on disk is seen so.
    pub fn on_disk(&self, uid: u32, gid: u32) -> (Option<u32>, Option<u32>) {
        let back = |map: &RangeMap, id| match map.map(id, Direction::OutOf) {
            Mapped::To(id) => Some(id),
            Mapped::Already | Mapped::Unmapped => None,
        };
        (back(&self.uids, uid), back(&self.gids, gid))
    }

    /// For user ids: the container side of a range is on disk, its host side is seen.
    pub fn uids(&self) -> &[Range] {
        self.uids.ranges()
    }

    /// For group ids.
    pub fn gids(&self) -> &[Range] {
        self.gids.ranges()
    }
}

/// As it is shown.
impl FromStr for MountMap {
    type Err = MountMapError;

    fn from_str(text: &str) -> Result<MountMap, MountMapError> {
        let specs = text.split(' ').map(str::parse::<MapSpec>);
        let specs = specs.collect::<Result<Vec<_>, _>>()?;
        Ok(MountMap::only(&IdMap::from_specs(&specs)?))
    }
}

impl Serialize for MountMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MountMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MountMap, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// As `--map` takes it, ON-DISK:VISIBLE:COUNT.
impl fmt::Display for MountMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        IdMap::new(self.uids.clone(), self.gids.clone()).fmt(f)
    }
}

/// The ranges, and what makes of them a map of all ids onto all ids.
fn exchanged(map: &RangeMap) -> RangeMap {
    let ranges = map.ranges();
    let on_disk: Vec<Span<u64>> = ranges.iter().map(on_disk).collect();
    let visible: Vec<Span<u64>> = ranges.iter().map(visible).collect();
    // What is on both sides belongs to two ranges; the way back of what is left goes in order.
    let back = ranges.iter().flat_map(|range| {
        let (from, to) = (u64::from(range.container()), u64::from(range.host()));
        let free = without(&[self::on_disk(range)], &visible);
        let free = free
            .iter()
            .map(|one| one.start - from + to..one.end - from + to);
        let free = without(&free.collect::<Vec<_>>(), &on_disk);
        free.into_iter()
            .map(move |one| (one.start, one.start - to + from, one.end - one.start))
    });
    let mut all: Vec<(u64, u64, u64)> = back.collect();
    let used = |side: fn(&(u64, u64, u64)) -> u64| {
        let spans = all.iter().map(|line| side(line)..side(line) + line.2);
        spans.collect::<Vec<_>>()
    };
    let (seen_back, disk_back) = (used(|line| line.0), used(|line| line.1));
    let from = without(&without(&visible, &on_disk), &seen_back);
    let to = without(&without(&on_disk, &visible), &disk_back);
    all.extend(in_order(from, to));
    let named: Vec<Span<u64>> = on_disk.iter().chain(&visible).cloned().collect();
    let rest = without(std::slice::from_ref(&(0..u64::from(RESERVED))), &named);
    all.extend(
        rest.into_iter()
            .map(|one| (one.start, one.start, one.end - one.start)),
    );
    let range = |(from, to, size): (u64, u64, u64)| {
        let [from, to, size] = [from, to, size].map(|number| u32::try_from(number).ok());
        Range::new(from?, to?, size?).ok()
    };
    let all = all.into_iter().filter_map(range);
    // Each side of the new ranges was free, so they are a map.
    RangeMap::new(ranges.iter().copied().chain(all)).unwrap_or_else(|_| map.clone())
}

fn swapped(map: RangeMap, one: u32, other: u32) -> RangeMap {
    let seen = |id| map.map(id, Direction::Into);
    let (Mapped::To(one_seen), Mapped::To(other_seen)) = (seen(one), seen(other)) else {
        return map;
    };
    if one == other {
        return map;
    }
    let points = [one, other].map(|id| u64::from(id)..u64::from(id) + 1);
    let others = map.ranges().iter().flat_map(|range| {
        let to = *range;
        let parts = without(&[on_disk(range)], &points);
        parts.into_iter().filter_map(move |part| {
            let from = u32::try_from(part.start).ok()?;
            let size = u32::try_from(part.end - part.start).ok()?;
            Range::new(from, to.to_host(from)?, size).ok()
        })
    });
    let new = [(one, other_seen), (other, one_seen)];
    let new = new
        .into_iter()
        .filter_map(|(from, to)| Range::new(from, to, 1).ok());
    // Each id keeps its place but for the two, which change theirs.
    RangeMap::new(others.chain(new)).unwrap_or_else(|_| map.clone())
}

fn on_disk(range: &Range) -> Span<u64> {
    let first = u64::from(range.container());
    first..first + u64::from(range.size())
}

fn visible(range: &Range) -> Span<u64> {
    let first = u64::from(range.host());
    first..first + u64::from(range.size())
}

/// The parts of `spans` that none of the others has, in order.
fn without(spans: &[Span<u64>], others: &[Span<u64>]) -> Vec<Span<u64>> {
    let mut left: Vec<Span<u64>> = spans.to_vec();
    for other in others {
        let cut = |one: Span<u64>| {
            let before = one.start..one.end.min(other.start);
            let after = one.start.max(other.end)..one.end;
            [before, after].into_iter().filter(|part| !part.is_empty())
        };
        left = left.into_iter().flat_map(cut).collect();
    }
    left.sort_by_key(|one| one.start);
    left
}

/// The ids of two lists, which have as many each, one after the other.
fn in_order(from: Vec<Span<u64>>, to: Vec<Span<u64>>) -> Vec<(u64, u64, u64)> {
    let (mut from, mut to) = (from.into_iter(), to.into_iter());
    let (mut a, mut b) = (0..0, 0..0);
    let mut lines = Vec::new();
    loop {
        if a.is_empty() {
            a = from.next().unwrap_or(0..0);
        }
        if b.is_empty() {
            b = to.next().unwrap_or(0..0);
        }
        let size = (a.end - a.start).min(b.end - b.start);
        if size == 0 {
            return lines;
        }
        lines.push((a.start, b.start, size));
        a.start += size;
        b.start += size;
    }
}

#[cfg(test)]
mod tests;
