//! A data-root that is remapped by a mount instead of by changed owners (`mount_setattr(2)`, `MOUNT_ATTR_IDMAP`).
//!
//! What the plain daemon had is in `idshift-idmapped-B.B/content`, with the owners that it had. It is mounted on `B.B`, where a
//! remapped daemon looks for its root, so that container ids on disk are seen as host ids and the other way round: what
//! the daemon makes as root of the host is B's on disk.
//!
//! - `clock`: whether times tell what is older than it
//! - `copied`: whether its inodes are those that it was made of
//! - [`exchanged_data`]: what it would show with other owners than its users expect
//! - [`health`]: what is the matter with one
//! - [`layout`]: which inodes change owners on the way out of it, or when it is made permanent
//! - `map_file`: what it is mounted with, on disk
//! - [`probe`]: whether this host can, tried
//! - [`mod@unit`]: what mounts it at boot

pub(super) mod clock;
pub(super) mod copied;
pub mod exchanged_data;
pub mod health;
pub mod layout;
mod map_file;
pub mod probe;
pub mod unit;

pub use copied::describe as describe_copied;
pub use layout::UndatedOwners;
pub use map_file::{MAP, record};

use std::path::{Path, PathBuf};

use self::map_file::MapFile;
use super::data_root::{DockerRoot, MOVING, canonical, is_remapped_name, names};
use super::remap::Remap;
use super::{DockerError, Reason};
use crate::fs::containing_mount::is_idmapped;
use crate::fs::escape::{escaped, shell_word};
use crate::fs::idmapped_mount::{DetachedMount, MountOptions};
use crate::fs::{PinnedFile, Stat, mountinfo};
use crate::idmap::{IdMap, MountMap};
use crate::ownership::Undated;
use crate::preflight::in_use::{IDMAPPED_CONTENT, IDMAPPED_ROOT};

/// A remapped root, idmapped.
#[derive(Clone, Debug)]
pub struct IdmappedRoot {
    /// The data-root.
    pub top: PathBuf,
    /// `B.B`
    pub range: String,
    /// What it was mounted with when it was made.
    pub map: IdMap,
    /// When it was made, milliseconds since 1970: an inode that was not changed since was not made through the mount.
    pub since: i64,
    /// Directories of the daemon that it was made of.
    inodes: Vec<copied::Recorded>,
}

/// Where its content is, below the data-root.
pub fn place(range: &str) -> [String; 2] {
    [format!("{IDMAPPED_ROOT}{range}"), IDMAPPED_CONTENT.into()]
}

/// What is mounted at the daemon's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountState {
    /// The content, as it should be.
    Mounted,
    /// Nothing.
    Missing,
    /// Something else, in words.
    Other(String),
}

impl IdmappedRoot {
    /// The root of this range in a data-root, if it is idmapped.
    ///
    /// # Errors
    /// What is there cannot be read.
    pub fn find(top: &Path, range: &str) -> Result<Option<IdmappedRoot>, DockerError> {
        let [dir, content] = place(range);
        let dir = top.join(dir);
        // A symlink would lead to somebody else.
        let is_dir = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_dir());
        if !is_dir(&dir) || !is_dir(&dir.join(content)) {
            return Ok(None);
        }
        let MapFile { map, since, inodes } = MapFile::read(&dir.join(MAP))?;
        Ok(Some(IdmappedRoot {
            top: top.to_path_buf(),
            range: range.into(),
            map,
            since,
            inodes,
        }))
    }

    /// All of a data-root.
    ///
    /// # Errors
    /// As of [`IdmappedRoot::find`].
    pub fn all(top: &Path) -> Result<Vec<IdmappedRoot>, DockerError> {
        let mut found = Vec::new();
        for name in names(top)? {
            let range = name.strip_prefix(IDMAPPED_ROOT);
            if let Some(range) = range.filter(|range| is_remapped_name(range)) {
                found.extend(IdmappedRoot::find(top, range)?);
            }
        }
        Ok(found)
    }

    /// What is on disk.
    pub fn content(&self) -> PathBuf {
        let [dir, content] = place(&self.range);
        self.top.join(dir).join(content)
    }

    /// Where the daemon looks.
    pub fn point(&self) -> PathBuf {
        self.top.join(&self.range)
    }

    /// The directory that holds it and only root may enter.
    pub fn holder(&self) -> PathBuf {
        let [dir, _] = place(&self.range);
        self.top.join(dir)
    }

    /// When it was made, and whether times tell what was there before. `decided`: what the operator says where they do not.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn since(&self, decided: Option<UndatedOwners>) -> Result<layout::Since, DockerError> {
        let doubt = match self.is_copied()? {
            true => Some(Undated::Copied),
            false => clock::was_set_back(self)?.then_some(Undated::ClockSetBack),
        };
        Ok(layout::Since {
            ms: self.since,
            doubt,
            decided,
            map: self.map.clone(),
        })
    }

    /// Those ranges, with the map that it was made with.
    pub fn remap(&self, now: &Remap) -> Remap {
        Remap {
            map: self.map.clone(),
            ..now.clone()
        }
    }

    /// What is mounted at the daemon's directory.
    ///
    /// # Errors
    /// The kernel does not tell.
    pub fn mount_state(&self) -> Result<MountState, DockerError> {
        let (content, point) = (self.content(), self.point());
        let (_, on_disk) = pin_and_stat(&content)?;
        let (pin, seen) = pin_and_stat(&point)?;
        if !seen.mount_root {
            return Ok(MountState::Missing);
        }
        if seen.identity != on_disk.identity {
            let other = "another directory is mounted there";
            return Ok(MountState::Other(other.into()));
        }
        let mounts = mountinfo::of_this_thread().map_err(DockerError::io(&point))?;
        let idmapped = is_idmapped(&pin, &mounts).map_err(DockerError::io(&point))?;
        let expected = MountMap::exchange(&self.map).visible(on_disk.uid, on_disk.gid);
        let is_seen = expected == (Some(seen.uid), Some(seen.gid));
        Ok(match idmapped && is_seen {
            true => MountState::Mounted,
            false => MountState::Other("it is mounted there with other owners".into()),
        })
    }

    /// Refuses one that is not mounted as it should be, or whose mount hides files.
    ///
    /// # Errors
    /// Says what helps.
    pub fn check_mounted(&self) -> Result<(), DockerError> {
        let why = match self.mount_state()? {
            MountState::Mounted => {
                health::check_below(self)?;
                return health::check_mounts(self);
            }
            MountState::Missing => format!(
                "its idmapped mount is missing: `idshift docker mount --data-root {}` makes it, then run this again",
                shell_word(&self.top)
            ),
            MountState::Other(what) => format!(
                "{what}, instead of {}. `umount {}`, then `idshift docker mount --data-root {}`",
                escaped(&self.content()),
                shell_word(&self.point()),
                shell_word(&self.top)
            ),
        };
        Err(DockerError::in_the_way(self.point(), why))
    }

    /// Mounts it; whether it was not mounted before.
    ///
    /// # Errors
    /// Nothing was changed.
    pub fn mount(&self) -> Result<bool, DockerError> {
        match self.mount_state()? {
            MountState::Mounted => return Ok(false),
            MountState::Missing => {}
            MountState::Other(_) => self.check_mounted()?,
        }
        let (content, point) = (self.content(), self.point());
        let (pin, _) = pin_and_stat(&content)?;
        let target = PinnedFile::exactly(&point);
        let target = target.map_err(|errno| DockerError::io(&point)(errno.into()))?;
        let map = MountMap::exchange(&self.map);
        DetachedMount::of(&pin, &map, MountOptions::default())
            .and_then(|mount| mount.attach(&target))
            .map_err(|error| DockerError::in_the_way(&point, error.to_string()))?;
        Ok(true)
    }
}

/// Mounts all idmapped roots of a data-root. `remap`: the ranges that the daemon of this host has now; `is_its_own`: that
/// daemon uses this data-root, and is told to remap. Gives each with whether it was not mounted before.
///
/// # Errors
/// There is none, or one cannot be mounted, or its ranges are others.
pub fn mount_all(
    data_root: &Path,
    remap: Option<&Remap>,
    is_its_own: bool,
) -> Result<Vec<(IdmappedRoot, bool)>, DockerError> {
    let top = canonical(data_root)?;
    // A run that has not come to its end mounts by itself.
    if names(&top)?.iter().any(|name| name.starts_with(MOVING)) {
        return Err(DockerError::in_the_way(top, Reason::Interrupted));
    }
    DockerRoot::at(&top).holds()?;
    let roots = IdmappedRoot::all(&top)?;
    if roots.is_empty() {
        let why = "is not remapped by a mount: `idshift docker migrate --idmapped` makes it so";
        return Err(DockerError::in_the_way(top, why));
    }
    let mount = |root: IdmappedRoot| {
        DockerRoot::at(root.content()).holds()?;
        // Another daemon may be remapped to another user's ranges.
        let is_about_it = |remap: &&Remap| is_its_own || remap.dir_name() == root.range;
        if let Some(remap) = remap.filter(is_about_it) {
            health::check_ranges(&root, remap)?;
        }
        let is_new = root.mount()?;
        Ok((root, is_new))
    };
    roots.into_iter().map(mount).collect()
}

fn pin_and_stat(path: &Path) -> Result<(PinnedFile, Stat), DockerError> {
    let found = PinnedFile::exactly(path).and_then(|pin| pin.stat().map(|stat| (pin, stat)));
    found.map_err(|errno| DockerError::io(path)(errno.into()))
}
