//! Uids and gids together.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::range::{RESERVED, Range, RangeError};
use super::range_map::{Direction, Mapped, RangeMap, RangeMapError};
use super::spec::{Ids, MapSpec};
use crate::guidance::Guidance;

/// The two maps of a user namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdMap {
    /// For user ids.
    #[serde(rename = "uid")]
    pub uids: RangeMap,
    /// For group ids.
    #[serde(rename = "gid")]
    pub gids: RangeMap,
}

/// Why ranges do not make a map.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MapError {
    /// Two uid ranges share an id.
    #[error("uid map: {0}")]
    Uids(RangeMapError),
    /// Two gid ranges share an id.
    #[error("gid map: {0}")]
    Gids(RangeMapError),
    /// One of the two maps has no range.
    #[error("the map has no {missing}: {}", Guidance::AddToMap(*.letter))]
    Half {
        /// `uid range` or `gid range`.
        missing: &'static str,
        /// The letter of what is missing.
        letter: char,
    },
}

/// A container range and a host range of one map that share ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// `uid` or `gid`.
    ids: &'static str,
    /// Its container side is meant.
    container: Range,
    /// Its host side is meant.
    host: Range,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host side of the one goes on in the container side of the other.
        let Some(shared) = self.host.then(self.container) else {
            return Ok(());
        };
        let first = self.host.host() + (shared.container() - self.host.container());
        match shared.size() {
            1 => write!(f, "{} {first} is on both its sides", self.ids),
            size => write!(
                f,
                "{}s {first}-{} are on both its sides",
                self.ids,
                first + (size - 1)
            ),
        }
    }
}

/// Why a user's ranges make no map of a rootless engine.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RootlessMapError {
    /// A range has no room behind the id 0.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The user's own id is in a range.
    #[error(transparent)]
    Shared(#[from] RangeMapError),
}

fn behind(ranges: &RangeMap, own: u32) -> Result<RangeMap, RootlessMapError> {
    let mut all = vec![Range::new(0, own, 1)?];
    for range in ranges.ranges() {
        all.push(Range::new(
            range.container() + 1,
            range.host(),
            range.size(),
        )?);
    }
    Ok(RangeMap::new(all)?)
}

impl IdMap {
    /// From two maps.
    pub fn new(uids: RangeMap, gids: RangeMap) -> IdMap {
        IdMap { uids, gids }
    }

    /// What a user's rootless engine has: 0 is the user, uid and primary gid, and the user's ranges follow from 1 on.
    ///
    /// # Errors
    /// The user's own id is in the ranges, or they are too large.
    pub fn rootless(user: (u32, u32), ranges: &IdMap) -> Result<IdMap, RootlessMapError> {
        Ok(IdMap::new(
            behind(&ranges.uids, user.0)?,
            behind(&ranges.gids, user.1)?,
        ))
    }

    /// From the lines of a command line.
    ///
    /// # Errors
    /// When two lines share ids, or uids or gids have no line.
    pub fn from_specs(specs: &[MapSpec]) -> Result<IdMap, MapError> {
        let ranges = |wanted: Ids| {
            let matching = specs
                .iter()
                .filter(move |spec| spec.ids == wanted || spec.ids == Ids::Both);
            matching.map(|spec| spec.range)
        };
        let uids = RangeMap::new(ranges(Ids::Uids)).map_err(MapError::Uids)?;
        let gids = RangeMap::new(ranges(Ids::Gids)).map_err(MapError::Gids)?;
        for (map, missing, letter) in [(&uids, "uid range", 'u'), (&gids, "gid range", 'g')] {
            if map.is_empty() {
                return Err(MapError::Half { missing, letter });
            }
        }
        Ok(IdMap { uids, gids })
    }

    /// Where the two sides share ids, if anywhere: an id there does not tell whether a file is
    /// shifted.
    pub fn sides_overlap(&self) -> Option<Overlap> {
        [("uid", &self.uids), ("gid", &self.gids)]
            .into_iter()
            .find_map(|(ids, map)| {
                let (container, host) = map.sides_overlap()?;
                Some(Overlap {
                    ids,
                    container,
                    host,
                })
            })
    }

    /// Every id to itself: what a container without a user namespace has.
    pub fn identity() -> IdMap {
        let all = Range::new(0, 0, RESERVED).expect("0 to 4294967294");
        let map = RangeMap::new([all]).expect("one range");
        IdMap::new(map.clone(), map)
    }

    /// From host ids of this map to those that the same container ids have in another.
    pub fn onto(&self, to: &IdMap) -> IdMap {
        IdMap {
            uids: self.uids.inverse().then(&to.uids),
            gids: self.gids.inverse().then(&to.gids),
        }
    }

    /// Host uid and gid of the container's root.
    pub fn container_root(&self) -> Option<(u32, u32)> {
        match (
            self.uids.map(0, Direction::Into),
            self.gids.map(0, Direction::Into),
        ) {
            (Mapped::To(uid), Mapped::To(gid)) => Some((uid, gid)),
            _ => None,
        }
    }
}

/// As `--map` takes it: `b:…` for ranges that uids and gids share, then `u:…` and `g:…`.
impl IdMap {
    /// For people: `ids 0-65535 -> 100000-165535`; uids and gids apart where they differ.
    pub fn in_words(&self, direction: Direction) -> String {
        let ranges = |ids: &RangeMap| -> String {
            let words = ids.ranges().iter().map(|range| {
                let sides = (range.container(), range.host());
                let (from, to) = match direction {
                    Direction::Into => sides,
                    Direction::OutOf => (sides.1, sides.0),
                };
                format!("{} -> {}", span(from, range.size()), span(to, range.size()))
            });
            words.collect::<Vec<String>>().join(", ")
        };
        let (uids, gids) = (ranges(&self.uids), ranges(&self.gids));
        match uids == gids {
            true => format!("ids {uids}"),
            false => format!("uids {uids}; gids {gids}"),
        }
    }
}

/// `100000-165535`
fn span(first: u32, size: u32) -> String {
    match size {
        1 => first.to_string(),
        _ => format!("{first}-{}", first + (size - 1)),
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (uids, gids) = (self.uids.ranges(), self.gids.ranges());
        let both = uids
            .iter()
            .filter(|range| gids.contains(range))
            .map(|range| ('b', range));
        let only_u = uids
            .iter()
            .filter(|range| !gids.contains(range))
            .map(|range| ('u', range));
        let only_g = gids
            .iter()
            .filter(|range| !uids.contains(range))
            .map(|range| ('g', range));
        for (i, (letter, range)) in both.chain(only_u).chain(only_g).enumerate() {
            let space = if i > 0 { " " } else { "" };
            write!(f, "{space}{letter}:{range}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
