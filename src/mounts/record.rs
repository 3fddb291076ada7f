//! What is known of the mounts that were made since the host was started: one file each in `/run`, root's alone.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::MountError;
use crate::fs::idmapped_mount::MountIdentity;
use crate::idmap::{IdMap, MountMap};
use crate::journal::Name;
use crate::journal::run_lock;

/// Below the directory of the run locks.
const DIRECTORY: &str = "mounts";

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRecord {
    /// Version of the format.
    format: u32,
    /// What is shown, without symlinks.
    pub source: Name,
    /// Where.
    pub target: Name,
    /// Which ids are seen as which.
    pub map: MountMap,
    /// The container's map that it was made from.
    pub container_map: IdMap,
    /// Nothing can be changed through it.
    pub read_only: bool,
    /// When it was made.
    pub time: Timestamp,
    identity: Identity,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<u64>,
    id: i32,
    device: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<Name>,
}

impl MountRecord {
    /// Of a mount that was made just now.
    pub fn new(
        (source, target): (&Path, &Path),
        (map, container_map): (&MountMap, &IdMap),
        read_only: bool,
        identity: &MountIdentity,
    ) -> MountRecord {
        MountRecord {
            format: 1,
            source: source.into(),
            target: target.into(),
            map: map.clone(),
            container_map: container_map.clone(),
            read_only,
            time: Timestamp::now(),
            identity: Identity {
                unique: identity.unique,
                id: identity.id,
                device: identity.device.clone(),
                root: identity.root.as_deref().map(Name::from),
            },
        }
    }

    /// Which mount it is.
    pub fn identity(&self) -> MountIdentity {
        MountIdentity {
            unique: self.identity.unique,
            id: self.identity.id,
            device: self.identity.device.clone(),
            root: self.identity.root.clone().map(PathBuf::from),
        }
    }

    fn file_name(&self) -> String {
        let id = self.identity.unique;
        let id = id.unwrap_or(u64::from(self.identity.id.unsigned_abs()));
        format!("{id}.json")
    }
}

fn place() -> PathBuf {
    Path::new(run_lock::PLACE).join(DIRECTORY)
}

/// All records; what is no record is passed over.
///
/// # Errors
/// The directory cannot be read.
pub fn all() -> Result<Vec<MountRecord>, MountError> {
    let place = place();
    let entries = match fs::read_dir(&place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(MountError::io(&place))?,
    };
    let read = |entry: fs::DirEntry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok();
    let mut records: Vec<MountRecord> = entries.flatten().filter_map(read).collect();
    records.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(records)
}

/// The records of mounts that were made there, whether they are there or not.
///
/// # Errors
/// As of [`all`].
pub fn records_for(target: &Path) -> Result<Vec<MountRecord>, MountError> {
    let mut records = all()?;
    records.retain(|record| record.target.as_path() == target);
    Ok(records)
}

/// Keeps one; those of earlier mounts at the same place are removed.
///
/// # Errors
/// It cannot be written.
pub fn add(record: &MountRecord) -> Result<(), MountError> {
    let place = place();
    let make = |dir: &Path| DirBuilder::new().recursive(true).mode(0o700).create(dir);
    make(&place).map_err(MountError::io(&place))?;
    remove_of(record.target.as_path())?;
    // Whole or not at all: no other file ends so.
    let (path, new) = (
        place.join(record.file_name()),
        place.join(format!("{}.new", record.file_name())),
    );
    let write = || -> io::Result<()> {
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        options
            .open(&new)?
            .write_all(&serde_json::to_vec(record)?)?;
        fs::rename(&new, &path)
    };
    write().map_err(MountError::io(&path))
}

/// Removes the records of a place.
///
/// # Errors
/// One cannot be removed.
pub fn remove_of(target: &Path) -> Result<(), MountError> {
    for record in records_for(target)? {
        let path = place().join(record.file_name());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(MountError::io(path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
