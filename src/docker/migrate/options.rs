//! The options of the operator.

use std::collections::{BTreeMap, HashSet};

use super::DaemonTarget;
use crate::docker::idmapped::{UndatedOwners, unit};
use crate::docker::known_roots::known_roots;
use crate::docker::migration_plan::{MigrateRequest, shifted_before};
use crate::idmap::Direction;
use crate::journal::Store;

/// The options of the operator.
#[derive(Clone, Debug)]
pub struct MigrateOptions {
    /// Into the range: `migrate`. Out of it: `revert`.
    pub direction: Direction,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Create the user that `default` stands for, and its ranges, if they are missing.
    pub create_user: bool,
    /// Into the range by a mount: no owner of what containers own is changed.
    pub idmapped: bool,
    /// The plain root stays, and a copy of it is migrated.
    pub copy: bool,
    /// Set it in `daemon.json` too.
    pub write_daemon_json: bool,
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
    /// Also change files with hard links outside the data-root.
    pub allow_outside_links: bool,
}

impl DaemonTarget {
    /// The request of a plan; `writes`: `daemon.json` is written.
    pub(super) fn request(
        &self,
        options: &MigrateOptions,
        writes: bool,
        store: &Store,
    ) -> MigrateRequest {
        MigrateRequest {
            data_root: self.data_root.clone(),
            direction: options.direction,
            idmapped: options.idmapped,
            copies: options.copy,
            units: unit::is_made(&self.start, &self.data_root),
            copy: None,
            staging: None,
            keeps_store: options.copy,
            gone_images: BTreeMap::new(),
            jobs: options.jobs,
            keep_going: options.keep_going,
            set_userns_host: options.set_userns_host,
            bind_mounts: options.bind_mounts,
            allow_home: options.allow_home,
            shifted_before: match options.direction {
                Direction::Into => Vec::new(),
                Direction::OutOf => shifted_before(store, &self.data_root),
            },
            known_roots: match options.direction {
                Direction::Into => HashSet::new(),
                Direction::OutOf => known_roots(store, &self.data_root),
            },
            undated: options.undated,
            clear_flags: options.clear_flags,
            allow_outside_links: options.allow_outside_links,
            daemon_json: writes.then(|| (self.start.config.clone(), self.remap_to.clone())),
        }
    }
}
