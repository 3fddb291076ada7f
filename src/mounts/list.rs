//! Which idmapped mounts there are.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::record::{self, MountRecord};
use super::{MountError, unit};
use crate::fs::PinnedFile;
use crate::fs::idmapped_mount::MountIdentity;
use crate::fs::mountinfo::{self, Mount};
use crate::idmap::MountMap;
use crate::preflight::in_use::{self, Use};

/// Whether a mount is where it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountState {
    /// It is seen there.
    Mounted,
    /// Another mount was put over it.
    Covered,
    /// It was unmounted by somebody else since, or not made at this boot though a unit is there for it.
    Missing,
}

/// One idmapped mount of this mount namespace, or one that should be there.
#[derive(Clone, Debug)]
pub struct MountEntry {
    /// Where.
    pub target: PathBuf,
    /// Where its files are on disk, as far as a path leads there.
    pub source: Option<PathBuf>,
    /// Which ids are seen as which; `None` where that is not known.
    pub map: Option<MountMap>,
    /// Nothing can be changed through it.
    pub read_only: bool,
    /// It was made by `idshift mount`.
    pub is_ours: bool,
    /// Whether it is there.
    pub state: MountState,
    /// The unit that makes it at each boot.
    pub unit: Option<PathBuf>,
    /// Who uses it; nobody of one that is not there.
    pub users: Vec<Use>,
}

/// All of them, by target: those that were made by `idshift mount` since the host was started, those that a unit makes,
/// and those of others.
///
/// # Errors
/// The mounts, their users or the records cannot be read.
pub fn list() -> Result<Vec<MountEntry>, MountError> {
    let proc = Path::new("/proc");
    let mounts = mountinfo::of_this_thread().map_err(MountError::io(proc))?;
    let records = record::all()?;
    let mut entries = Vec::new();
    let mut known: Vec<i32> = Vec::new();
    for record in &records {
        let (state, mount) = state_of(record, &mounts);
        known.extend(mount.map(|mount| mount.id));
        let target = record.target.as_path();
        entries.push(MountEntry {
            target: target.to_path_buf(),
            source: Some(record.source.as_path().to_path_buf()),
            map: Some(record.map.clone()),
            read_only: record.read_only,
            is_ours: true,
            state,
            unit: unit::unit_for(target),
            users: mount.map_or(Ok(Vec::new()), users)?,
        });
    }
    for target in unit::targets() {
        if !entries.iter().any(|entry| entry.target == target) {
            entries.push(MountEntry {
                unit: unit::unit_for(&target),
                target,
                source: None,
                map: None,
                read_only: false,
                is_ours: true,
                state: MountState::Missing,
                users: Vec::new(),
            });
        }
    }
    let others = mounts
        .iter()
        .filter(|mount| mount.idmapped && !known.contains(&mount.id));
    for mount in others {
        entries.push(MountEntry {
            target: mount.point.clone(),
            source: on_disk(mount, &mounts),
            map: None,
            read_only: mount.read_only,
            is_ours: false,
            state: match is_on_top(mount) {
                true => MountState::Mounted,
                false => MountState::Covered,
            },
            unit: None,
            users: users(mount)?,
        });
    }
    entries.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(entries)
}

/// The mount that a path is the top of, with what was recorded of it.
pub(super) fn record_of(target: &Path, identity: &MountIdentity) -> Option<MountRecord> {
    let records = record::records_for(target).ok()?;
    records.into_iter().find(|one| one.identity().is(identity))
}

fn users(mount: &Mount) -> Result<Vec<Use>, MountError> {
    in_use::users_of_idmapped(mount).map_err(MountError::io(&mount.point))
}

/// Whether a mount that was made is there, given the mounts of this thread.
pub(super) fn state_of<'m>(
    record: &MountRecord,
    mounts: &'m [Mount],
) -> (MountState, Option<&'m Mount>) {
    let made = record.identity();
    let mount = mounts.iter().find(|mount| {
        let is_it = mount.id == made.id && mount.device == made.device && mount.idmapped;
        is_it && mount.point == record.target.as_path()
    });
    let top = PinnedFile::path(record.target.as_path());
    let top = top.ok().and_then(|top| MountIdentity::of(top).ok());
    match mount {
        None => (MountState::Missing, None),
        Some(mount) if top.is_some_and(|top| top.is(&made)) => (MountState::Mounted, Some(mount)),
        // The number may be a later mount's; what is seen at the path tells when nothing is over it.
        Some(mount) if is_on_top(mount) => (MountState::Missing, None),
        Some(mount) => (MountState::Covered, Some(mount)),
    }
}

fn is_on_top(mount: &Mount) -> bool {
    let id = PinnedFile::path(&mount.point)
        .ok()
        .and_then(|pin| mountinfo::id_of(pin).ok());
    id == Some(mount.id)
}

/// A path that shows the same directory with the owners on disk.
fn on_disk(mount: &Mount, mounts: &[Mount]) -> Option<PathBuf> {
    let plain = mounts
        .iter()
        .filter(|other| other.device == mount.device && !other.idmapped);
    let paths = plain.filter_map(|other| {
        let below = mount.root.strip_prefix(&other.root).ok()?;
        let path = match below.as_os_str().is_empty() {
            true => other.point.clone(),
            false => other.point.join(below),
        };
        let pin = PinnedFile::exactly(&path).ok()?;
        (mountinfo::id_of(&pin).ok()? == other.id).then_some(path)
    });
    paths.into_iter().next()
}
