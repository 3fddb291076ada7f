//! `--map-from`: a map as another tool wrote it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use thiserror::Error;

use super::{NamedMap, subid};
use crate::cli::exit::Failure;
use crate::cli::output::text;
use crate::docker::daemon_json::DaemonJson;
use crate::docker::remap::Remap;
use crate::host::subid_source;
use crate::idmap::notation::incus::RootRanges;
use crate::idmap::notation::{self, NotationError, NotationSource, uid_map};
use crate::idmap::{IdMap, RangeMap};

/// No configuration is larger, in bytes.
const MOST: u64 = 16 << 20;

/// Why a file is not read.
#[derive(Debug, Error)]
enum Unreadable {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("is not a regular file")]
    NotRegular,
    #[error(
        "is larger than {}, so it is not a configuration file",
        HumanBytes(MOST)
    )]
    TooLarge,
}

/// Reads a file, or standard input for `-`. `user` is whose rootless engine it is for.
pub(super) fn read(path: &Path, user: Option<&str>) -> Result<NamedMap, Failure> {
    let name = match path == Path::new("-") {
        true => "standard input".to_string(),
        false => text::path(path),
    };
    let bytes = bytes(path).map_err(|error| Failure::refused(format!("{name}: {error}")))?;
    let described = notation::describe(&bytes, &name).map_err(Failure::refused)?;
    if user.is_some() && !matches!(described.source, NotationSource::Podman(_)) {
        return Err(Failure::usage(format!(
            "{name}: already has host ids; --subid is only for --uidmap and --gidmap of rootless Podman. \
            Leave out one of the two"
        )));
    }
    let mut named = NamedMap {
        notes: described.notes,
        on_disk: described.on_disk,
        ..NamedMap::plain(IdMap::identity(), format!("{name} ({})", described.tool))
    };
    match described.source {
        NotationSource::Map(map) => named.map = map,
        NotationSource::HostIds => named.is_hosts = true,
        NotationSource::Half(half) => {
            named.map = both_halves(path, half, &name)?;
            named.is_hosts = named.map == IdMap::identity();
        }
        NotationSource::RootRanges(ranges) => {
            named.map = of_root(&ranges, &name, &mut named.notes)?;
            named.owners = vec!["root".into(), "0".into()];
        }
        NotationSource::DaemonJson => match remap_user(path, &name)? {
            Some(user) => {
                let remap = Remap::resolve(&user).map_err(Failure::refused)?;
                named.map = remap.map;
                named.owners = vec![remap.user];
            }
            None => named.is_hosts = true,
        },
        NotationSource::Podman(maps) => {
            let map = match user {
                Some(user) => maps.of_user(user, &subid::rootless(user)?),
                None => maps.of_root(),
            };
            named.map = map.map_err(Failure::refused)?;
            named.owners = user.map(str::to_string).into_iter().collect();
            if user.is_none() {
                let note =
                    "read as options of root's Podman; for rootless Podman, add --subid USER";
                named.notes.push(note.into());
            }
        }
    }
    Ok(named)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        io::stdin().take(MOST + 1).read_to_end(&mut bytes)?;
    } else {
        // A fifo would be waited for.
        let file = File::options()
            .read(true)
            .custom_flags(nix::libc::O_NONBLOCK)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(Unreadable::NotRegular);
        }
        file.take(MOST + 1).read_to_end(&mut bytes)?;
    }
    match bytes.len() as u64 > MOST {
        true => Err(Unreadable::TooLarge),
        false => Ok(bytes),
    }
}

/// A process has its two maps in files beside one another.
fn both_halves(path: &Path, half: RangeMap, name: &str) -> Result<IdMap, Failure> {
    let (own, other) = match other_half(path) {
        Some((other, is_uids)) => ((half, is_uids), other),
        None => {
            return Err(Failure::refused(NotationError::new(
                name,
                "is uid_map or gid_map of a process, and its name does not say which",
                "Name /proc/PID/uid_map: gid_map beside it is read, too",
            )));
        }
    };
    let other_name = text::path(&other);
    let other =
        bytes(&other).map_err(|error| Failure::refused(format!("{other_name}: {error}")))?;
    let other = String::from_utf8_lossy(&other);
    let other = uid_map::parse(&other, &other_name).map_err(Failure::refused)?;
    let (half, is_uids) = own;
    Ok(match is_uids {
        true => IdMap::new(half, other),
        false => IdMap::new(other, half),
    })
}

/// The other file, and whether the first is that of uids.
fn other_half(path: &Path) -> Option<(PathBuf, bool)> {
    let name = path.file_name()?;
    let name = std::str::from_utf8(name.as_bytes()).ok()?;
    let is_uids = name.contains("uid_map");
    let other = match is_uids {
        true => name.replacen("uid_map", "gid_map", 1),
        false => name.replacen("gid_map", "uid_map", 1),
    };
    (other != name).then(|| (path.with_file_name(other), is_uids))
}

/// Whom the daemon of this configuration remaps to.
fn remap_user(path: &Path, name: &str) -> Result<Option<String>, Failure> {
    if path == Path::new("-") {
        return Err(Failure::usage(format!(
            "{name}: is Docker's configuration; name the file itself"
        )));
    }
    let daemon = DaemonJson::read(path).map_err(Failure::refused)?;
    Ok(daemon.userns_remap.filter(|user| !user.is_empty()))
}

/// Ranges that are shorter are for single ids of `raw.idmap`.
const SHORTEST: u32 = 65_536;

/// What Incus and LXD take where neither file is there: a million ids from a million on.
const DEFAULT_RANGE: (u32, u32) = (1_000_000, 1_000_000_000);

/// The map over root's range, as Incus and LXD work it out at the first start.
fn of_root(ranges: &RootRanges, name: &str, notes: &mut Vec<String>) -> Result<IdMap, Failure> {
    let exists = ["/etc/subuid", "/etc/subgid"].map(|path| Path::new(path).exists());
    let range = |path: &str| {
        if exists == [false, false] {
            return Ok(DEFAULT_RANGE);
        }
        let file = subid_source::read(path).map_err(Failure::refused)?;
        let lines = file.lines_for("root", Some(0));
        let long: Vec<_> = lines.iter().filter(|line| line.count >= SHORTEST).collect();
        match long[..] {
            [line] => Ok((line.start, line.count)),
            _ => Err(Failure::refused(NotationError::new(
                name,
                format!(
                    "has no map of its own yet, and root has {} ranges of {SHORTEST} ids or more in {path}, \
                    but needs exactly one",
                    long.len()
                ),
                "Start the instance once: its map is then in volatile.idmap.current",
            ))),
        }
    };
    let (uids, gids) = (range("/etc/subuid")?, range("/etc/subgid")?);
    notes.push(
        "was not started yet: the map is computed from its settings and the ranges of root".into(),
    );
    ranges.over(uids, gids).map_err(Failure::refused)
}
