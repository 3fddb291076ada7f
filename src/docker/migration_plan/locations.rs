//! Where the docker root of a migration is, and where it goes.

use std::path::PathBuf;

use super::MigrateRequest;
use crate::docker::DockerError;
use crate::docker::data_root::canonical;
use crate::docker::idmapped::{self, IdmappedRoot};
use crate::docker::remap::Remap;
use crate::idmap::Direction;

/// The directories of a migration. Paths in the data-root are the names that lead there from it.
pub(super) struct Locations {
    /// The data-root, without symlinks.
    pub data_root: PathBuf,
    /// Name of the remapped root in it: `<uid>.<gid>`.
    pub range_dir: String,
    /// The remapped root that is there, if it is remapped by a mount.
    pub idmapped: Option<IdmappedRoot>,
    /// The remapped root is, or is to be, remapped by a mount.
    pub by_mount: bool,
    source: Vec<String>,
    target: Vec<String>,
}

impl Locations {
    /// Finds them.
    ///
    /// # Errors
    /// There is no such data-root, or what is there cannot be read.
    pub fn find(request: &MigrateRequest, remap: &Remap) -> Result<Locations, DockerError> {
        let data_root = canonical(&request.data_root)?;
        let range_dir = remap.dir_name();
        let idmapped = IdmappedRoot::find(&data_root, &range_dir)?;
        let by_mount = request.options.idmapped || idmapped.is_some();
        let remapped = match by_mount {
            true => idmapped::place(&range_dir).to_vec(),
            false => vec![range_dir.clone()],
        };
        let (source, target) = match request.options.direction {
            Direction::Into => (request.copy_name.iter().cloned().collect(), remapped),
            Direction::OutOf => (remapped, Vec::new()),
        };
        Ok(Locations {
            data_root,
            range_dir,
            idmapped,
            by_mount,
            source,
            target,
        })
    }

    /// Where the docker root is on disk today: the data-root itself, a copy in it, or the remapped root.
    pub fn source(&self) -> Vec<&str> {
        self.source.iter().map(String::as_str).collect()
    }

    /// Where the docker root is on disk today, as an absolute path.
    pub fn source_dir(&self) -> PathBuf {
        let mut path = self.data_root.clone();
        path.extend(&self.source);
        path
    }

    /// Where it is on disk after the renames: the remapped root, or the data-root itself.
    pub fn target(&self) -> Vec<&str> {
        self.target.iter().map(String::as_str).collect()
    }

    /// The docker root as its daemons see it, before and after: their metadata has these paths, also where it is mounted
    /// or a copy of it is migrated.
    pub fn metadata_paths(&self, direction: Direction) -> [PathBuf; 2] {
        let remapped = self.data_root.join(&self.range_dir);
        match direction {
            Direction::Into => [self.data_root.clone(), remapped],
            Direction::OutOf => [remapped, self.data_root.clone()],
        }
    }
}
