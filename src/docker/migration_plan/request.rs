//! What a migration is asked to do.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use crate::docker::conversion::staging::Staging;
use crate::docker::idmapped::UndatedOwners;
use crate::docker::remap::Remap;
use crate::engine::ShiftRequest;
use crate::fs::Identity;
use crate::idmap::{Direction, IdMap};
use crate::journal::record::{RunKind, WalkOptions};
use crate::oci::digest::Digest;

/// What a migration is asked to do.
#[derive(Clone, Debug)]
pub struct MigrateRequest {
    /// The data-root.
    pub data_root: PathBuf,
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Into the range by a mount: no owner of what containers own is changed.
    pub idmapped: bool,
    /// The unit that mounts it at boot is made or removed, as docker.service runs on this data-root.
    pub units: bool,
    /// A copy of the plain root is asked for.
    pub copies: bool,
    /// Name in the data-root of a copy of the plain root, which is migrated instead of it.
    pub copy: Option<String>,
    /// What was made for a conversion of the containerd image store ([`Migration::make_staging`]).
    ///
    /// [`Migration::make_staging`]: super::Migration::make_staging
    pub staging: Option<Staging>,
    /// The containerd image store is to stay as it is.
    pub keeps_store: bool,
    /// The ids of images that a conversion makes for containers whose own images are gone, by the containers' ids.
    pub gone_images: BTreeMap<String, Digest>,
    /// Threads.
    pub jobs: usize,
    /// What cannot be shifted is left.
    pub keep_going: bool,
    /// Containers that cannot run remapped are marked to run with the host's user namespace.
    pub set_userns_host: bool,
    /// Host directories that containers bind are shifted too, where that is safe.
    pub bind_mounts: bool,
    /// Also those of login accounts of this host.
    pub allow_home: bool,
    /// Out of the range: host directories that went into it with this data-root.
    pub shifted_before: Vec<(PathBuf, IdMap)>,
    /// Out of the range: remapped roots that the journal of an earlier run knows by their inodes.
    pub known_roots: HashSet<Identity>,
    /// Out of a range by a mount: what becomes of inodes of which it is not known whether they had an id of the range before.
    pub undated: Option<UndatedOwners>,
    /// Clear immutable and append-only flags for a change, and set them again.
    pub clear_flags: bool,
    /// Files with names outside the data-root change too, for whoever uses those.
    pub allow_outside_links: bool,
    /// `daemon.json` is changed too: the file, and the value of `userns-remap`.
    pub daemon_json: Option<(PathBuf, String)>,
}

impl MigrateRequest {
    /// Without any option.
    pub fn new(data_root: &Path, direction: Direction) -> MigrateRequest {
        MigrateRequest {
            data_root: data_root.to_path_buf(),
            direction,
            idmapped: false,
            units: false,
            copies: false,
            copy: None,
            staging: None,
            keeps_store: false,
            gone_images: BTreeMap::new(),
            jobs: 1,
            keep_going: false,
            set_userns_host: false,
            bind_mounts: false,
            allow_home: false,
            shifted_before: Vec::new(),
            known_roots: HashSet::new(),
            undated: None,
            clear_flags: false,
            allow_outside_links: false,
            daemon_json: None,
        }
    }

    /// The file `daemon.json` that is changed, and what `userns-remap` gets in it.
    pub(in crate::docker) fn new_daemon_json(&self) -> Option<(&Path, Option<&str>)> {
        let (file, value) = self.daemon_json.as_ref()?;
        let value = (self.direction == Direction::Into).then_some(value.as_str());
        Some((file, value))
    }

    /// For the engine, with the trees that are walked.
    pub(super) fn shift_request(&self, remap: &Remap, trees: Vec<PathBuf>) -> ShiftRequest {
        ShiftRequest {
            paths: trees,
            map: remap.map.clone(),
            direction: self.direction,
            jobs: self.jobs,
            walk: WalkOptions {
                keep_going: self.keep_going,
                outside_links: self.allow_outside_links,
                clear_flags: self.clear_flags,
                ..WalkOptions::default()
            },
            allow_in_use: false,
            allow_system_path: true,
            allow_home: self.allow_home,
            kind: match self.direction {
                Direction::Into => RunKind::DockerMigrate,
                Direction::OutOf => RunKind::DockerRevert,
            },
        }
    }
}
