//! Configuration of the host outside the data-root: `daemon.json`, and the unit that mounts an idmapped root.

use std::path::Path;

use super::StepList;
use crate::docker::DockerError;
use crate::docker::daemon_json;
use crate::docker::idmapped::unit;
use crate::journal::step::StepPath;
use crate::store_move::mtime::mtime_step;

impl StepList<'_> {
    /// `userns-remap` in `daemon.json` gets this value; with none it is taken out. A daemon that is started early must
    /// not find the option without the data, so this is a late step.
    pub fn write_daemon_json(
        &mut self,
        file: &Path,
        userns_remap: Option<&str>,
    ) -> Result<(), DockerError> {
        let number = self.next_root();
        let (dir, mut steps) = daemon_json::step(file, userns_remap, number)?;
        if !steps.is_empty() {
            steps.insert(0, mtime_step(StepPath::new(number, [""; 0]), &dir)?);
        }
        self.add_late_in(dir, steps);
        Ok(())
    }

    /// The unit that mounts the root at boot is made, where this host has systemd.
    pub fn make_mount_unit(&mut self, range_dir: &str) -> Result<(), DockerError> {
        if let Some(units) = unit::units_root() {
            let steps = unit::make(self.data_root, range_dir, self.next_root())?;
            self.add_late_in(units, steps);
        }
        Ok(())
    }

    /// That unit is removed, if it is there.
    pub fn remove_mount_unit(&mut self, range_dir: &str) -> Result<(), DockerError> {
        if let Some(units) = unit::units_root() {
            let steps = unit::remove(self.data_root, range_dir, self.next_root())?;
            self.add_late_in(units, steps);
        }
        Ok(())
    }
}
