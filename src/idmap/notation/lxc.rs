//! Container configurations of LXC (`lxc.container.conf(5)`) and Proxmox VE (`pct.conf(5)`).
//!
//! LXC has `lxc.idmap = u 0 100000 65536`, `lxc.id_map` before LXC 3. Proxmox writes the same with a colon, after
//! settings of its own; snapshots follow in sections.

use thiserror::Error;

use super::{Described, NotationError, NotationSource, map_of};
use crate::idmap::range::{RangeError, decimal};
use crate::idmap::{IdMap, Range};

const HELP: &str = "A range is `lxc.idmap = u 0 100000 65536`: u for uids or g for gids, then container id, host id and size";

const INCLUDE_HELP: &str = "Name the file that has the lxc.idmap lines, or put them into this one. While the container runs, /proc/PID/uid_map \
     has its map: `lxc-info -p NAME` prints PID";

/// Where LXC installs its own files, which have no range.
const OWN_FILES: &str = "/share/lxc/config/";

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
        let value = match key.starts_with("lxc.") {
            true => unquoted(value),
            false => value,
        };
        (!line.starts_with('#')).then_some((n + 1, key, value))
    })
}

/// LXC takes one pair of quotes off a value (`src/lxc/confile.c`, `parse_line`).
fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    within('"').or(within('\'')).unwrap_or(value)
}

/// Whether options of a mount have LXC map its ids (`lxc.container.conf(5)`: `idmap=container`, or the path of a user
/// namespace).
fn has_idmap(options: &str) -> bool {
    options
        .split(',')
        .any(|option| option.trim().starts_with("idmap="))
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
    let mut is_rootfs_mapped = false;
    let mut unread = None;
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
            "lxc.include" if !value.is_empty() => {
                if !value.contains(OWN_FILES) {
                    unread = unread.or(Some((n, value)));
                }
                notes.push(format!(
                    "line {n}: {value} is included there, and was not read: it could have lxc.idmap, too"
                ));
            }
            // The last one counts (`set_config_rootfs_options`).
            "lxc.rootfs.options" => is_rootfs_mapped = has_idmap(value),
            "lxc.mount.entry" if value.split_whitespace().nth(3).is_some_and(has_idmap) => {
                let what = value.split_whitespace().next().unwrap_or_default();
                notes.push(format!(
                    "line {n}: LXC shows {what} through an idmapped mount, so its files are not to be shifted"
                ));
            }
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
        (true, Some(false)) => NotationSource::HostIds,
        (true, None) => match unread {
            None => NotationSource::HostIds,
            Some((n, value)) => {
                let reason = format!(
                    "{value} is included there, and is not read. It may have lxc.idmap, and without it nothing says whether the \
                    container has ids of the host"
                );
                return Err(NotationError::new(file, reason, INCLUDE_HELP).at(n));
            }
        },
    };
    let is_mapped = is_rootfs_mapped && source != NotationSource::HostIds;
    if is_mapped {
        notes.push(
            "its root filesystem is not shifted: lxc.rootfs.options has idmap=, so LXC shows it through an idmapped mount"
                .into(),
        );
    }
    let on_disk = is_mapped.then(IdMap::identity);
    let tool = if is_proxmox { "Proxmox" } else { "LXC" };
    Ok(Described {
        on_disk,
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
    fn quotes_around_a_value_are_no_part_of_it() {
        assert_eq!(
            map("lxc.idmap = \"u 0 100000 65536\"\nlxc.idmap = 'g 0 200000 65536'\n"),
            "u:0:100000:65536 g:0:200000:65536"
        );
        assert_eq!(
            map(
                "lxc.idmap = u 0 1 1\nlxc.idmap = \"\"\nlxc.idmap = u 0 5 1\nlxc.idmap = g 0 5 1\n"
            ),
            "b:0:5:1"
        );
        for text in ["lxc.idmap = \"u 0 1 1", "lxc.idmap = \"u 0 1 1'"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("does not begin with u or g"), "{error}");
        }
    }

    const RANGE: &str = "lxc.idmap = u 0 100000 65536\nlxc.idmap = g 0 100000 65536\n";

    /// LXC would map its ids once more.
    #[test]
    fn a_root_filesystem_behind_an_idmapped_mount_is_not_shifted() {
        for (options, is_mapped) in [
            ("lxc.rootfs.options = idmap=container\n", true),
            ("lxc.rootfs.options = \"ro, idmap=/proc/7/ns/user\"\n", true),
            ("lxc.rootfs.options: rw,idmap=container\n", true),
            (
                "lxc.rootfs.options = idmap=container\nlxc.rootfs.options = ro\n",
                false,
            ),
            (
                "lxc.rootfs.options = idmap=container\nlxc.rootfs.options =\n",
                false,
            ),
            ("lxc.rootfs.options = noidmap=1\n", false),
        ] {
            let described = read(&format!("{RANGE}{options}")).unwrap();
            assert_eq!(
                described.on_disk,
                is_mapped.then(IdMap::identity),
                "{options}"
            );
            let notes = described.notes.concat();
            assert_eq!(
                notes.contains("root filesystem is not shifted"),
                is_mapped,
                "{notes}"
            );
        }
        // Without a range, nothing is mapped.
        let described = read("lxc.rootfs.options = idmap=container\n").unwrap();
        assert_eq!(
            (described.source, described.on_disk),
            (NotationSource::HostIds, None)
        );
        let entry = format!("{RANGE}lxc.mount.entry = /srv/a a none bind,idmap=container 0 0\n");
        let described = read(&entry).unwrap();
        assert_eq!(described.on_disk, None);
        assert!(
            described.notes[0].starts_with("line 3: LXC shows /srv/a through"),
            "{described:?}"
        );
    }

    #[test]
    fn what_an_unread_file_may_say_is_not_guessed() {
        let said = |text: &str| read(text).unwrap_err().to_string();
        let text = "lxc.uts.name = c\nlxc.include = /etc/lxc/unprivileged.conf\n";
        assert!(
            said(text).starts_with("/config: line 2: /etc/lxc/unprivileged.conf is included"),
            "{}",
            said(text)
        );
        assert!(said(text).contains("Name the file that has the lxc.idmap lines"));
        for text in [
            "lxc.include = /usr/share/lxc/config/common.conf\nlxc.uts.name = c\n",
            "lxc.include = /etc/lxc/more.conf\nunprivileged: 0\n",
            "lxc.uts.name = c\nlxc.include =\n",
        ] {
            assert_eq!(
                read(text).unwrap().source,
                NotationSource::HostIds,
                "{text}"
            );
        }
        assert_eq!(map(&format!("{RANGE}{text}")), "b:0:100000:65536");
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
