//! The map where a command line names none: of the user to whom Docker on this host remaps. Docker reads
//! `/etc/subuid` and `/etc/subgid` and no other source (moby `pkg/idtools`, `LoadIdentityMapping`).

use super::subid;
use crate::cli::args::MapArgs;
use crate::cli::exit::Failure;
use crate::docker::DockerError;
use crate::docker::daemon_start::DaemonStart;
use crate::docker::guidance::map_options;
use crate::docker::remap::Remap;
use crate::idmap::subid::DEFAULT_USER;
use crate::idmap::{Direction, SubidReader};

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
        let remap_to = daemon.map_err(|error| not_known(&error))?.remap_to(None);
        let found = self.of_user(&remap_to).map_err(|error| not_known(&error))?;
        let Some(user) = &found.docker_user else {
            return Ok(found);
        };
        let other = subid::map_of_user(DEFAULT_USER, SubidReader::Docker);
        let (Direction::OutOf, Ok(other)) = (direction, other) else {
            return Ok(found);
        };
        let own = map_options(user, &found.named()?.map);
        let other = map_options(DEFAULT_USER, &other.map);
        Err(Failure::refused(format!(
            "no map is named, and the files can be in two ranges: Docker on this host remaps to {user}, and \
            {DEFAULT_USER} has a range, too. Add{own} or{other}"
        )))
    }

    /// These options, or the map of a daemon with this `userns-remap`.
    ///
    /// # Errors
    /// There is no such user, or it has no ranges.
    pub fn or_of_daemon(&self, remap_to: &str) -> Result<MapArgs, Failure> {
        self.of_user(remap_to).map_err(Failure::refused)
    }

    fn of_user(&self, remap_to: &str) -> Result<MapArgs, DockerError> {
        if self.is_given() || matches!(remap_to, "default" | DEFAULT_USER) {
            return Ok(self.clone());
        }
        let remap = Remap::resolve(remap_to)?;
        let is_default = remap.user == DEFAULT_USER;
        Ok(MapArgs {
            docker_user: (!is_default).then_some(remap.user),
            ..MapArgs::default()
        })
    }
}

/// Refuses where the settings of this host's daemon do not tell. The commands have no option that names others.
fn not_known(error: &DockerError) -> Failure {
    let why = match error {
        DockerError::Remap { value, reason, .. } => {
            format!("its userns-remap is {value:?}, and {reason}")
        }
        other => other.to_string(),
    };
    Failure::refused(format!(
        "no map is named, and whom Docker on this host remaps to is not known: {why}. To do without it, name the map: \
        --subid USER, or --map b:0:HOST:SIZE"
    ))
}
