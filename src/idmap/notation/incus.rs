//! Instances and profiles of Incus and LXD.
//!
//! `volatile.idmap.current` and `next` are what the daemon worked out. An instance that was never started has none:
//! then `security.idmap.*` and `raw.idmap` say it, over a range that root has in `/etc/subuid`.

use serde::Deserialize;
use thiserror::Error;

use super::instance::{self, Instance, Setting};
use super::{Described, NotationError, NotationSource, map_of};
use crate::idmap::range::{RangeError, decimal};
use crate::idmap::spec::Ids;
use crate::idmap::{IdMap, MapSpec, Range};

const HELP: &str = "Start the instance once: `incus config show --expanded NAME` then has its map in volatile.idmap.current";
const RAW_HELP: &str = "A line is `both 1000 1000`, `uid 50-60 500-510` or `gid 100 100`: host ids, then the container's";

/// What an isolated instance gets that names no size.
const ISOLATED_SIZE: u32 = 65_536;

/// Lines of `raw.idmap` over ranges that root has; container ids count up from 0 over those.
#[derive(Clone, Debug, PartialEq)]
pub struct RootRanges {
    raw: Vec<MapSpec>,
    file: String,
}

impl RootRanges {
    /// The map over a range of the host, of uids and of gids.
    ///
    /// # Errors
    /// The host ids of `raw.idmap` are in the range already, or there is no such range.
    pub fn over(&self, uids: (u32, u32), gids: (u32, u32)) -> Result<IdMap, NotationError> {
        let range = |(host, size)| {
            Range::new(0, host, size)
                .map_err(|error| NotationError::new(&self.file, error.to_string(), HELP))
        };
        with_raw(range(uids)?, range(gids)?, &self.raw, &self.file)
    }
}

/// One entry of `volatile.idmap.current`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VolatileRange {
    isuid: bool,
    isgid: bool,
    hostid: u32,
    nsid: u32,
    maprange: u32,
}

/// The map that the instance gets.
pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let instance = instance::read(text, file)?;
    let mut notes = Vec::new();
    let source = source(&instance, file, &mut notes)?;
    let mut files = None;
    let map = match &source {
        NotationSource::Map(map) => Some(map.clone()),
        // One that was made privileged has its files where they were, until it is started.
        NotationSource::HostIds => Some(IdMap::identity()),
        _ => None,
    };
    if let (Some(map), Some(setting)) = (map, instance.get("volatile.last_state.idmap")) {
        let are_in = volatile(setting, file)?.unwrap_or_else(IdMap::identity);
        if are_in != map {
            notes.push(match are_in == IdMap::identity() {
                true => "its files are not shifted: volatile.last_state.idmap is empty, and they are seen through idmapped mounts".into(),
                false => format!("its files are in {are_in}: volatile.last_state.idmap"),
            });
            files = Some(are_in);
        }
    }
    Ok(Described {
        on_disk: files,
        notes,
        ..Described::of("Incus or LXD", source)
    })
}

fn source(
    instance: &Instance,
    file: &str,
    notes: &mut Vec<String>,
) -> Result<NotationSource, NotationError> {
    if instance.is_on("security.privileged") {
        return Ok(NotationSource::HostIds);
    }
    let (current, next) = ["volatile.idmap.current", "volatile.idmap.next"]
        .map(|key| instance.get(key))
        .into();
    if let Some(used) = current.or(next) {
        let map = volatile(used, file)?;
        if let Some(next) = next {
            let next = volatile(next, file)?;
            if next != map {
                let next = next.map_or("none".into(), |map| map.to_string());
                notes.push(format!("from its next start on it has another map: {next}"));
            }
        }
        return Ok(map.map_or(NotationSource::HostIds, NotationSource::Map));
    }
    if !instance.is_expanded {
        notes.push(
            "settings of its profiles are not in here, unless it was made with --expanded".into(),
        );
    }
    let raw = match instance.get("raw.idmap") {
        Some(setting) => raw(setting, file)?,
        None => Vec::new(),
    };
    if !instance.is_on("security.idmap.isolated") {
        let file = file.to_string();
        let is_instance = instance.settings.iter().any(|setting| {
            setting.key.contains("idmap")
                || setting.key.starts_with("image.")
                || setting.key.starts_with("volatile.")
        });
        return match is_instance {
            true => Ok(NotationSource::RootRanges(RootRanges { raw, file })),
            false => Err(NotationError::new(
                &file,
                "has no map that idshift can read",
                HELP,
            )),
        };
    }
    let number = |key: &str| {
        let setting = instance.get(key).filter(|it| it.value != "auto");
        let bad = |it: &Setting| {
            let reason = format!("{key} is {:?}, not a number", it.value);
            NotationError::new(file, reason, HELP).at(it.line)
        };
        setting
            .map(|it| decimal(&it.value).ok_or_else(|| bad(it)))
            .transpose()
    };
    let base = match number("security.idmap.base")? {
        Some(base) => Some(base),
        None => number("volatile.idmap.base")?,
    };
    let size = number("security.idmap.size")?.unwrap_or(ISOLATED_SIZE);
    let Some(base) = base else {
        let reason = "is isolated and names no security.idmap.base: the daemon chooses its range at its first start";
        return Err(NotationError::new(file, reason, HELP));
    };
    let range = Range::new(0, base, size)
        .map_err(|error| NotationError::new(file, error.to_string(), HELP))?;
    Ok(NotationSource::Map(with_raw(range, range, &raw, file)?))
}

/// The ranges that a daemon wrote down; none for a container without a user namespace.
fn volatile(setting: &Setting, file: &str) -> Result<Option<IdMap>, NotationError> {
    let bad = |reason: String| {
        let reason = format!("{}: {reason}", setting.key);
        NotationError::new(file, reason, HELP).at(setting.line)
    };
    let ranges: Vec<VolatileRange> =
        serde_json::from_str(&setting.value).map_err(|error| bad(error.to_string()))?;
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    for range in &ranges {
        let of = Range::new(range.nsid, range.hostid, range.maprange)
            .map_err(|error| bad(error.to_string()))?;
        // LXD wrote what is for both ids into the list twice.
        for (is_meant, list) in [(range.isuid, &mut uids), (range.isgid, &mut gids)] {
            if is_meant && !list.contains(&of) {
                list.push(of);
            }
        }
    }
    match ranges.is_empty() {
        true => Ok(None),
        false => map_of(uids, gids, file, HELP).map(Some),
    }
}

/// The lines of `raw.idmap`.
fn raw(setting: &Setting, file: &str) -> Result<Vec<MapSpec>, NotationError> {
    let lines = setting.value.lines().map(str::trim).enumerate();
    let lines = lines.filter(|(_, line)| !line.is_empty());
    lines
        .map(|(n, line)| {
            raw_line(line).map_err(|reason| {
                let line = setting.line + if setting.is_block { n } else { 0 };
                NotationError::new(file, format!("raw.idmap: {reason}"), RAW_HELP).at(line)
            })
        })
        .collect()
}

/// Why a line of `raw.idmap` is no range.
#[derive(Debug, Error)]
enum RawLineError {
    /// It has another number of words.
    #[error("{0:?} is not three words")]
    Words(String),
    /// It does not say for which ids it is.
    #[error("{0:?} does not begin with uid, gid or both")]
    Ids(String),
    /// A word is neither an id nor a range of ids.
    #[error("{0:?} is not an id or a range of ids, as 1000 or 50-60")]
    Span(String),
    /// The host ids and the container's are not equally many.
    #[error("{0:?} has two ranges of different sizes")]
    Sizes(String),
    /// Its numbers are no range.
    #[error(transparent)]
    Range(#[from] RangeError),
}

fn raw_line(line: &str) -> Result<MapSpec, RawLineError> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [ids, host, container] = words[..] else {
        return Err(RawLineError::Words(line.to_string()));
    };
    let ids = match ids {
        "both" => Ids::Both,
        "uid" => Ids::Uids,
        "gid" => Ids::Gids,
        _ => return Err(RawLineError::Ids(line.to_string())),
    };
    let ((host, size), (container, container_size)) = (span(host)?, span(container)?);
    if size != container_size {
        return Err(RawLineError::Sizes(line.to_string()));
    }
    let range = Range::new(container, host, size)?;
    Ok(MapSpec { ids, range })
}

/// `1000` or `50-60`: first id and how many.
fn span(text: &str) -> Result<(u32, u32), RawLineError> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let numbers = decimal(first).zip(decimal(last));
    let size = |(first, last): (u32, u32)| Some((first, last.checked_sub(first)?.checked_add(1)?));
    numbers
        .and_then(size)
        .ok_or_else(|| RawLineError::Span(text.to_string()))
}

/// A range with what `raw.idmap` puts in the place of parts of it.
fn with_raw(uids: Range, gids: Range, raw: &[MapSpec], file: &str) -> Result<IdMap, NotationError> {
    let punched = |base: Range, wanted: Ids| {
        let mut ranges = vec![base];
        let meant = raw
            .iter()
            .filter(|spec| spec.ids == wanted || spec.ids == Ids::Both);
        for MapSpec { range, .. } in meant {
            let parts = ranges.into_iter();
            ranges = parts
                .flat_map(|part| part.without_container_ids(range.container(), range.size()))
                .chain([*range])
                .collect();
        }
        ranges
    };
    map_of(
        punched(uids, Ids::Uids),
        punched(gids, Ids::Gids),
        file,
        HELP,
    )
}

#[cfg(test)]
mod tests;
