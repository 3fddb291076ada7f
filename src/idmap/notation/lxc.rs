//! Container configurations of LXC (`lxc.container.conf(5)`) and Proxmox VE (`pct.conf(5)`).
//!
//! LXC has `lxc.idmap = u 0 100000 65536`, `lxc.id_map` before LXC 3. Proxmox writes the same with a colon, after
//! settings of its own; snapshots follow in sections.

use thiserror::Error;

use super::{Described, NotationError, NotationSource, map_of};
use crate::idmap::Range;
use crate::idmap::range::{RangeError, decimal};

const HELP: &str = "A range is `lxc.idmap = u 0 100000 65536`: u for uids or g for gids, then container id, host id and size";

/// Keys that a Proxmox container has, and an Incus instance has not.
const PROXMOX: [&str; 5] = ["ostype", "rootfs", "unprivileged", "cores", "swap"];

/// The range that Proxmox gives to every unprivileged container without one of its own
/// (pve-container `src/PVE/LXC.pm`, `parse_id_maps`).
const PROXMOX_RANGE: (u32, u32, u32) = (0, 100_000, 65_536);

/// A setting: line number from 1, key and value.
type Setting<'a> = (usize, &'a str, &'a str);

/// Settings in front of the first section.
fn settings(text: &str) -> impl Iterator<Item = Setting<'_>> {
    let lines = text.lines().map(str::trim).enumerate();
    let lines = lines.take_while(|(_, line)| !line.starts_with('['));
    lines.filter_map(|(n, line)| {
        let end = line.find(['=', ':'])?;
        let (key, value) = (line[..end].trim(), line[end + 1..].trim());
        (!line.starts_with('#')).then_some((n + 1, key, value))
    })
}

/// Whether a setting is LXC's or Proxmox's.
pub(super) fn is_one(text: &str) -> bool {
    // A YAML text may name such settings below another key.
    let is_top = |line: &&str| !line.starts_with([' ', '\t']);
    let top: Vec<&str> = text.lines().filter(is_top).collect();
    let top = top.join("\n");
    settings(&top).any(|(_, key, _)| key.starts_with("lxc.") || PROXMOX.contains(&key))
}

/// The map that the container gets.
pub(super) fn describe(text: &str, file: &str) -> Result<Described, NotationError> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    let mut notes = Vec::new();
    let mut is_unprivileged = None;
    let mut is_proxmox = false;
    for (n, key, value) in settings(text) {
        let bad = |reason: String| NotationError::new(file, reason, HELP).at(n);
        match key {
            // An empty value takes back what was said before.
            "lxc.idmap" | "lxc.id_map" if value.is_empty() => {
                uids.clear();
                gids.clear();
            }
            "lxc.idmap" | "lxc.id_map" => {
                let (letter, range) = idmap(value).map_err(|error| bad(error.to_string()))?;
                match letter {
                    'u' => uids.push(range),
                    _ => gids.push(range),
                }
            }
            "lxc.include" => notes.push(format!(
                "line {n}: {value} is included there, and was not read: it could have lxc.idmap, too"
            )),
            "unprivileged" => match value {
                "0" | "1" => is_unprivileged = Some(value == "1"),
                _ => return Err(bad(format!("unprivileged is {value:?}, not 0 or 1"))),
            },
            _ => {}
        }
        is_proxmox |= PROXMOX.contains(&key);
    }
    let source = match (uids.is_empty() && gids.is_empty(), is_unprivileged) {
        (false, _) => NotationSource::Map(map_of(uids, gids, file, HELP)?),
        (true, Some(true)) => {
            let (container, host, size) = PROXMOX_RANGE;
            let range = Range::new(container, host, size)
                .map_err(|error| NotationError::new(file, error.to_string(), HELP))?;
            notes.push(
                "it is unprivileged and names no range: Proxmox then takes 0:100000:65536, which root must have in \
                 /etc/subuid and /etc/subgid"
                    .into(),
            );
            NotationSource::Map(map_of(vec![range], vec![range], file, HELP)?)
        }
        (true, _) => NotationSource::HostIds,
    };
    let tool = if is_proxmox { "Proxmox" } else { "LXC" };
    Ok(Described {
        notes,
        ..Described::of(tool, source)
    })
}

/// Why the value of `lxc.idmap` is no range.
#[derive(Debug, Error)]
enum IdmapError {
    /// It is for uids and gids alike.
    #[error("b is for Podman and idshift; LXC knows only u and g")]
    Both,
    /// It does not say for which ids it is.
    #[error("{0:?} does not begin with u or g")]
    Letter(String),
    /// It has another number of words.
    #[error("{0:?} is not a letter and three numbers")]
    Words(String),
    /// Its numbers are no range.
    #[error(transparent)]
    Range(#[from] RangeError),
}

/// `u 0 100000 65536`
fn idmap(value: &str) -> Result<(char, Range), IdmapError> {
    let words: Vec<&str> = value.split_whitespace().collect();
    let numbers: Vec<u32> = words
        .iter()
        .skip(1)
        .filter_map(|word| decimal(word))
        .collect();
    let letter = match words.first() {
        Some(&"u") => 'u',
        Some(&"g") => 'g',
        Some(&"b") => return Err(IdmapError::Both),
        _ => return Err(IdmapError::Letter(value.to_string())),
    };
    match (words.len(), &numbers[..]) {
        (4, &[container, host, size]) => Ok((letter, Range::new(container, host, size)?)),
        _ => Err(IdmapError::Words(value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Described, NotationError> {
        assert!(is_one(text), "{text}");
        describe(text, "/config")
    }

    fn map(text: &str) -> String {
        match read(text).unwrap().source {
            NotationSource::Map(map) => map.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ranges_of_lxc_are_read() {
        assert_eq!(
            map(
                "# c1\nlxc.include = /usr/share/lxc/config/common.conf\nlxc.arch = amd64\nlxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n"
            ),
            "b:0:100000:65536"
        );
        // The old name, no blanks, an id that is passed through.
        assert_eq!(
            map(
                "lxc.id_map=u 0 100000 1000\nlxc.id_map=u 1000 1000 1\nlxc.id_map = u 1001 101001 64535\nlxc.id_map = g 0 200000 65536\r\n"
            ),
            "u:0:100000:1000 u:1000:1000:1 u:1001:101001:64535 g:0:200000:65536"
        );
        let notes = read("lxc.include = /etc/x\nlxc.idmap = u 0 1 1\nlxc.idmap = g 0 1 1")
            .unwrap()
            .notes;
        assert!(notes[0].contains("line 1: /etc/x is included"), "{notes:?}");
        // What was said before is taken back.
        assert_eq!(
            map("lxc.idmap = u 0 1 1\nlxc.idmap =\nlxc.idmap = u 0 5 1\nlxc.idmap = g 0 5 1\n"),
            "b:0:5:1"
        );
    }

    #[test]
    fn proxmox_has_a_range_of_its_own() {
        let text = "arch: amd64\nostype: debian\nrootfs: local:100/vm-100-disk-0.raw,size=8G\nunprivileged: 1\n";
        assert_eq!(map(text), "b:0:100000:65536");
        assert!(read(text).unwrap().notes[0].contains("root must have"));
        assert_eq!(read(text).unwrap().tool, "Proxmox");
        let own = format!("{text}lxc.idmap: u 0 300000 65536\nlxc.idmap: g 0 300000 65536\n");
        assert_eq!(map(&own), "b:0:300000:65536");
        // A snapshot says what was.
        let snapshot = format!("{own}\n[before]\nlxc.idmap: u 0 500000 65536\nunprivileged: 0\n");
        assert_eq!(map(&snapshot), "b:0:300000:65536");
    }

    #[test]
    fn a_privileged_container_has_the_hosts_ids() {
        for text in [
            "lxc.rootfs.path = dir:/srv/c1/rootfs\n",
            "ostype: debian\nunprivileged: 0\n",
            "ostype: debian\n[snap]\nunprivileged: 1\n",
        ] {
            assert_eq!(
                read(text).unwrap().source,
                NotationSource::HostIds,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        for (text, reason) in [
            (
                "lxc.arch = x\nlxc.idmap = u 0 100000",
                "/config: line 2: \"u 0 100000\" is not a letter and three numbers. A range is",
            ),
            (
                "lxc.idmap = 0 100000 65536",
                "line 1: \"0 100000 65536\" does not begin with u or g",
            ),
            (
                "lxc.idmap = b 0 100000 65536",
                "line 1: b is for Podman and idshift",
            ),
            (
                "lxc.idmap = u 0 -1 65536",
                "is not a letter and three numbers",
            ),
            ("lxc.idmap = u 0 4294967290 10", "goes past host id"),
            ("lxc.idmap = u 0 100000 65536", "/config: maps no gids"),
            (
                "lxc.idmap = g 0 1 1\nlxc.idmap = u 0 1 9\nlxc.idmap = u 5 50 9",
                "uid map: the ranges 0:1:9 and 5:50:9 share container ids",
            ),
            ("unprivileged: yes", "unprivileged is \"yes\""),
        ] {
            assert!(said(text).contains(reason), "{}", said(text));
        }
    }
}
