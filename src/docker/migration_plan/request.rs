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

/// What the operator asks of a plan.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Into the range by a mount: no owner of what containers own is changed.
    pub idmapped: bool,
    /// The plain root stays, with the containerd image store, and a copy of it is migrated.
    pub copy: bool,
    /// Threads.
    pub jobs: usize,
    /// What cannot be shifted is left.
    pub keep_going: bool,
    /// Containers that cannot run remapped are marked to run with the host's user namespace.
    pub set_userns_host: bool,
    /// Also shift host directories that containers bind, where that is safe.
    pub bind_mounts: bool,
    /// Also those of login accounts of this host.
    pub allow_home: bool,
    /// Out of a range by a mount: what becomes of inodes of which it is not known whether they had an id of the range before.
    pub undated: Option<UndatedOwners>,
    /// Clear immutable and append-only flags for a change, and set them again.
    pub clear_flags: bool,
    /// Also change files with hard links outside the data-root, for whoever uses those.
    pub allow_outside_links: bool,
}

impl PlanOptions {
    /// No option is given.
    pub fn new(direction: Direction) -> PlanOptions {
        PlanOptions {
            direction,
            idmapped: false,
            copy: false,
            jobs: 1,
            keep_going: false,
            set_userns_host: false,
            bind_mounts: false,
            allow_home: false,
            undated: None,
            clear_flags: false,
            allow_outside_links: false,
        }
    }
}

/// What a plan is made of: the options of the operator, and what is known beside the data-root.
#[derive(Clone, Debug)]
pub struct MigrateRequest {
    /// The data-root.
    pub data_root: PathBuf,
    /// What the operator asks for.
    pub options: PlanOptions,
    /// The unit that mounts it at boot is made or removed, as docker.service runs on this data-root.
    pub units: bool,
    /// Name in the data-root of the copy that was made, which is migrated instead of the plain root.
    pub copy_name: Option<String>,
    /// What was made for a conversion of the containerd image store ([`Migration::make_staging`]).
    ///
    /// [`Migration::make_staging`]: super::Migration::make_staging
    pub staging: Option<Staging>,
    /// The ids of images that a conversion makes for containers whose own images are gone, by the containers' ids.
    pub gone_images: BTreeMap<String, Digest>,
    /// Out of the range: host directories that went into it with this data-root.
    pub shifted_before: Vec<(PathBuf, IdMap)>,
    /// Out of the range: remapped roots that the journal of an earlier run knows by their inodes.
    pub known_roots: HashSet<Identity>,
    /// `daemon.json` is changed too: the file, and the value of `userns-remap`.
    pub daemon_json: Option<(PathBuf, String)>,
}

impl MigrateRequest {
    /// Of a data-root of which nothing else is known, and for which nothing was made yet.
    pub fn new(data_root: &Path, options: PlanOptions) -> MigrateRequest {
        MigrateRequest {
            data_root: data_root.to_path_buf(),
            options,
            units: false,
            copy_name: None,
            staging: None,
            gone_images: BTreeMap::new(),
            shifted_before: Vec::new(),
            known_roots: HashSet::new(),
            daemon_json: None,
        }
    }

    /// The file `daemon.json` that is changed, and what `userns-remap` gets in it.
    pub(in crate::docker) fn new_daemon_json(&self) -> Option<(&Path, Option<&str>)> {
        let (file, value) = self.daemon_json.as_ref()?;
        let value = (self.options.direction == Direction::Into).then_some(value.as_str());
        Some((file, value))
    }

    /// For the engine, with the trees that are walked.
    pub(super) fn shift_request(&self, remap: &Remap, trees: Vec<PathBuf>) -> ShiftRequest {
        let options = &self.options;
        let kind = match options.direction {
            Direction::Into => RunKind::DockerMigrate,
            Direction::OutOf => RunKind::DockerRevert,
        };
        let walk = WalkOptions {
            keep_going: options.keep_going,
            outside_links: options.allow_outside_links,
            clear_flags: options.clear_flags,
            ..WalkOptions::default()
        };
        let (map, jobs) = (remap.map.clone(), options.jobs);
        ShiftRequest {
            // Of what containers bind, too.
            allow_home: options.allow_home,
            ..ShiftRequest::of_service(kind, options.direction, map, trees, jobs, walk)
        }
    }
}
