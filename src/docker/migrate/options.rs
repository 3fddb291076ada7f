//! The options of the operator.

use super::DaemonTarget;
use crate::docker::idmapped::unit;
use crate::docker::known_roots::known_roots;
use crate::docker::migration_plan::{MigrateRequest, PlanOptions, shifted_before};
use crate::idmap::Direction;
use crate::journal::Store;

/// The options of the operator.
#[derive(Clone, Debug)]
pub struct MigrateOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Create the user that `default` stands for, and its ranges, if they are missing.
    pub create_user: bool,
    /// Set it in `daemon.json` too.
    pub write_daemon_json: bool,
    /// Those that shape the plan.
    pub plan: PlanOptions,
}

impl DaemonTarget {
    /// The request of a plan; `writes`: `daemon.json` is written.
    pub(super) fn request(
        &self,
        options: &MigrateOptions,
        writes: bool,
        store: &Store,
    ) -> MigrateRequest {
        let mut request = MigrateRequest::new(&self.data_root, options.plan);
        request.units = unit::is_made(&self.start, &self.data_root);
        if options.plan.direction == Direction::OutOf {
            request.shifted_before = shifted_before(store, &self.data_root);
            request.known_roots = known_roots(store, &self.data_root);
        }
        request.daemon_json = writes.then(|| (self.start.config.clone(), self.remap_to.clone()));
        request
    }
}
