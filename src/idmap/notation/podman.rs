//! `--uidmap` and `--gidmap` of Podman (`podman-run(1)`), as a command line or a Quadlet unit has them.
//!
//! Root's Podman means host ids. That of a user means *intermediate* ids: 0 is the user, and those from 1 on are the
//! user's lines in `/etc/subuid`.

mod command;
mod options;
mod quadlet;
mod ranges;

use thiserror::Error;

use super::{Described, NotationError, NotationSource, map_of};
use crate::guidance::Guidance;
use crate::idmap::range::{RangeError, decimal};
use crate::idmap::{IdMap, Range, RangeMap};
use options::{Fault, MapOption, may_have_some};
use ranges::{put, rootless};

const HELP: &str = "A range is [FLAGS]CONTAINER:HOST[:SIZE], as in `--uidmap 0:100000:65536`. What a container has that runs is in \
     /proc/PID/uid_map: `podman inspect --format '{{.State.Pid}}' NAME`";

/// One option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Container side, and host or intermediate side.
    range: Range,
    /// The other side is host ids, whoever's Podman it is: `@`.
    is_host: bool,
    /// It takes the place of what others say of these ids: `+`.
    extends: bool,
    /// For uids only, for gids only: `u`, `g`.
    only: Option<char>,
}

/// The options, in the order of the text.
///
/// # Errors
/// They are those of several containers, or it cannot be told whose they are.
fn options(text: &str) -> Result<Vec<MapOption>, Fault> {
    match quadlet::is_one(text) {
        true => quadlet::options(text),
        false => command::options(text),
    }
}

/// What the options say.
#[derive(Clone, Debug, PartialEq)]
pub struct PodmanMaps {
    uids: Vec<Entry>,
    gids: Vec<Entry>,
    file: String,
    /// They are those of a Quadlet unit.
    pub is_unit: bool,
}

/// Whether such an option is in it.
pub(super) fn is_one(text: &str) -> bool {
    may_have_some(text)
}

pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let bad = |reason: String| NotationError::new(file, reason, HELP);
    let options = options(text).map_err(|(line, reason)| bad(reason).at(line))?;
    if options.is_empty() {
        return Err(bad("has no --uidmap or --gidmap of a container".into()));
    }
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for option in &options {
        // A list of several is one option, too.
        for part in option.value.split(',') {
            let entry = entry(part).map_err(|error| bad(error.to_string()).at(option.line))?;
            match option.is_uids {
                true => uids.push(entry),
                false => gids.push(entry),
            }
        }
    }
    let maps = PodmanMaps {
        is_unit: quadlet::is_one(text),
        ..shared(uids, gids, file)
    };
    Ok(Described::of("Podman", NotationSource::Podman(maps)))
}

/// One kind of option alone is for both ids, but for what has the flag `u` or `g`.
fn shared(uids: Vec<Entry>, gids: Vec<Entry>, file: &str) -> PodmanMaps {
    let not = |letter: char| move |entry: &&Entry| entry.only != Some(letter);
    let (all_uids, all_gids) = match (uids.is_empty(), gids.is_empty()) {
        (false, true) => (&uids, &uids),
        (true, false) => (&gids, &gids),
        _ => (&uids, &gids),
    };
    PodmanMaps {
        uids: all_uids.iter().filter(not('g')).copied().collect(),
        gids: all_gids.iter().filter(not('u')).copied().collect(),
        file: file.to_string(),
        is_unit: false,
    }
}

/// Why the value of an option is no range.
#[derive(Debug, Error)]
enum EntryError {
    /// It has no numbers, or too many.
    #[error("{0:?} is not a range")]
    NoRange(String),
    /// It has flags of other kinds.
    #[error("{0:?} has flags other than +, u and g")]
    Flags(String),
    /// Its numbers are no range.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// `[flags]container:host[:size]`
fn entry(text: &str) -> Result<Entry, EntryError> {
    let bad = || EntryError::NoRange(text.to_string());
    let start = text.find(|c: char| c.is_ascii_digit()).ok_or_else(bad)?;
    let (flags, rest) = text.split_at(start);
    if !flags.chars().all(|flag| "+ug".contains(flag)) {
        return Err(EntryError::Flags(text.to_string()));
    }
    let parts: Vec<&str> = rest.split(':').collect();
    let (container, host, size) = match parts[..] {
        [container, host] => (container, host, "1"),
        [container, host, size] => (container, host, size),
        _ => return Err(bad()),
    };
    let is_host = host.starts_with('@');
    let host = host.strip_prefix('@').unwrap_or(host);
    let number = |text: &str| decimal(text).ok_or_else(bad);
    let range = Range::new(number(container)?, number(host)?, number(size)?)?;
    let only = match (flags.contains('u'), flags.contains('g')) {
        (true, false) => Some('u'),
        (false, true) => Some('g'),
        _ => None,
    };
    Ok(Entry {
        range,
        is_host,
        extends: flags.contains('+'),
        only,
    })
}

impl PodmanMaps {
    /// For root's Podman: ids are host ids.
    ///
    /// # Errors
    /// The ranges share ids, or begin with `+`, which leaves the rest to Podman.
    pub fn of_root(&self) -> Result<IdMap, NotationError> {
        let starts = [&self.uids, &self.gids].map(|entries| entries.first());
        if starts.into_iter().flatten().any(|first| first.extends) {
            let help = Guidance::NameUserOfPodman.to_string();
            let reason = "begins with a range that extends (+) what a user has";
            return Err(NotationError::new(&self.file, reason, help));
        }
        let ranges = |entries: &[Entry]| {
            let put = |ranges, entry: &Entry| put(ranges, entry.range, entry.extends);
            entries.iter().fold(Vec::new(), put)
        };
        map_of(ranges(&self.uids), ranges(&self.gids), &self.file, HELP)
    }

    /// For the rootless Podman of a user, who has these intermediate ids.
    ///
    /// # Errors
    /// A range needs ids that the user does not have, or ranges share ids.
    pub fn of_user(&self, user: &str, intermediate: &IdMap) -> Result<IdMap, NotationError> {
        let ranges = |entries: &[Entry], has: &RangeMap, ids: &str| {
            rootless(entries, has).map_err(|missing| {
                let reason = format!("{ids} {missing} is not one of those that {user} has");
                let help = format!("/etc/sub{ids} has what the user has");
                NotationError::new(&self.file, reason, help)
            })
        };
        let uids = ranges(&self.uids, &intermediate.uids, "uid")?;
        let gids = ranges(&self.gids, &intermediate.gids, "gid")?;
        let inner = map_of(uids, gids, &self.file, HELP)?;
        Ok(IdMap::new(
            inner.uids.then(&intermediate.uids),
            inner.gids.then(&intermediate.gids),
        ))
    }
}

#[cfg(test)]
mod tests;
