//! `--map-from`: a map as another tool wrote it.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use thiserror::Error;

use super::root_ranges::of_root;
use super::{NamedMap, subid};
use crate::cli::exit::Failure;
use crate::cli::output::text;
use crate::docker::daemon_json::DaemonJson;
use crate::docker::remap::Remap;
use crate::idmap::notation::{self, NotationError, NotationSource, uid_map};
use crate::idmap::{IdMap, RangeMap, SubidReader};

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
    let Content { bytes, place } =
        content(path).map_err(|error| Failure::refused(format!("{name}: {error}")))?;
    let place = place.as_deref();
    let described = notation::describe(&bytes, &name).map_err(Failure::refused)?;
    let is_of_engine = matches!(
        described.source,
        NotationSource::Podman(_) | NotationSource::Oci(_)
    );
    if user.is_some() && !is_of_engine {
        return Err(Failure::usage(format!(
            "{name}: already has host ids; --subid is only for --uidmap and --gidmap of rootless Podman, and for config.json of a \
            rootless engine. Leave out one of the two"
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
                named.owners = subid::map_of_user(&remap.user, SubidReader::Docker)?.owners;
                named.map = remap.map;
            }
            None => named.is_hosts = true,
        },
        NotationSource::Podman(maps) => named.take_podman(&maps, place, user, &name)?,
        NotationSource::Oci(maps) => named.take_oci(&maps, place, user, &name)?,
    }
    Ok(named)
}

/// What was read.
struct Content {
    bytes: Vec<u8>,
    /// Where the file lies that was opened, without symlinks; `None`: standard input.
    place: Option<PathBuf>,
}

fn content(path: &Path) -> Result<Content, Unreadable> {
    let (mut bytes, mut place) = (Vec::new(), None);
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
        // Of the file itself: its name may be another one's by now.
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        place = Some(std::fs::read_link(link)?);
        file.take(MOST + 1).read_to_end(&mut bytes)?;
    }
    match bytes.len() as u64 > MOST {
        true => Err(Unreadable::TooLarge),
        false => Ok(Content { bytes, place }),
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
        content(&other).map_err(|error| Failure::refused(format!("{other_name}: {error}")))?;
    let other = String::from_utf8_lossy(&other.bytes);
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
