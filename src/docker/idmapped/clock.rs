//! Whether the clock of this host was set back since a root was made idmapped, or was ahead then.
//!
//! On the way out, times tell which ids of the range a container had before from those that were made through the mount. What
//! times cannot hide is an inode of the daemon's own that has an id of the range: the migration gave it that, or it was made
//! through the mount, so it is not older than the migration. One that is says that clocks cannot be believed. So a layer, a
//! container or a volume that was made at a wrong time tells, for as long as it is there.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use super::IdmappedRoot;
use super::layout::is_left_alone;
use crate::docker::DockerError;
use crate::fs::dir::open_dir;
use crate::idmap::{Direction, Mapped};

/// The kernel stamps inodes with the time of its last clock tick, and filesystems may round it.
const SLACK_MS: i64 = 2_000;

/// The deepest metadata that tells: `image/overlay2/layerdb/sha256/CHAIN`.
const DEPTH: usize = 5;

/// Whether it was.
///
/// # Errors
/// The root cannot be read.
pub fn was_set_back(root: &IdmappedRoot) -> Result<bool, DockerError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
    if now < root.since {
        return Ok(true);
    }
    let is_proof = |found: &Metadata| {
        let in_range = root.map.uids.map(found.uid(), Direction::OutOf);
        let changed = found.ctime() * 1000 + found.ctime_nsec() / 1_000_000;
        matches!(in_range, Mapped::To(_)) && changed < root.since - SLACK_MS
    };
    let content = root.content();
    let found = any_below(&content, &mut Vec::new(), &is_proof);
    found.map_err(DockerError::io(&content))
}

/// Whether any of the daemon's own below a directory, which has these names from the content, is so: what the way into the root
/// left alone is not the daemon's. Access times stay.
fn any_below(
    dir: &Path,
    names: &mut Vec<Vec<u8>>,
    is_so: &dyn Fn(&Metadata) -> bool,
) -> io::Result<bool> {
    let depth = names.len();
    for entry in rustix::fs::Dir::new(open_dir(rustix::fs::CWD, dir)?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name == b"." || name == b".." {
            continue;
        }
        let path = dir.join(OsStr::from_bytes(&name));
        names.push(name);
        let path_names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        if !is_left_alone(&path_names) {
            let is_deep = names.len() == DEPTH;
            let found = path.symlink_metadata().and_then(|found| {
                Ok(is_so(&found) || found.is_dir() && !is_deep && any_below(&path, names, is_so)?)
            });
            match found {
                Ok(false) => {}
                Ok(true) => return Ok(true),
                // A running daemon removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        names.truncate(depth);
    }
    Ok(false)
}
