//! The map where a command line names none: of the user to whom Docker on this host remaps.

use super::subid;
use crate::cli::args::MapArgs;
use crate::cli::exit::Failure;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::remap::Remap;
use crate::idmap::Direction;
use crate::idmap::subid::DEFAULT_USER;

impl MapArgs {
    /// These options; where they name no map, that of this host's daemon. A daemon that does not remap would take
    /// `dockremap`.
    ///
    /// # Errors
    /// Its settings cannot be read, or its user has no ranges; out of the range, `dockremap` has one as well.
    pub fn or_of_docker(&self, direction: Direction) -> Result<MapArgs, Failure> {
        if self.is_given() {
            return Ok(self.clone());
        }
        let daemon = DaemonStart::of_host(None).settings();
        let found = self.or_of_daemon(&daemon.map_err(Failure::refused)?.remap_to(None))?;
        match &found.subid {
            Some(user)
                if direction == Direction::OutOf && subid::map_of_user(DEFAULT_USER).is_ok() =>
            {
                Err(Failure::refused(format!(
                    "no map is named, and the files can be in two ranges: Docker on this host remaps to {user}, and \
                    {DEFAULT_USER} has a range, too. Add --subid {user} or --subid {DEFAULT_USER}"
                )))
            }
            _ => Ok(found),
        }
    }

    /// The same for a daemon with this `userns-remap`.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges.
    pub fn or_of_daemon(&self, remap_to: &str) -> Result<MapArgs, Failure> {
        if self.is_given() || matches!(remap_to, "default" | DEFAULT_USER) {
            return Ok(self.clone());
        }
        let remap = Remap::resolve(remap_to).map_err(Failure::refused)?;
        let is_default = remap.user == DEFAULT_USER;
        Ok(MapArgs {
            subid: (!is_default).then_some(remap.user),
            ..MapArgs::default()
        })
    }
}
