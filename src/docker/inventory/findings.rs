//! What the inventory means for a migration: what an audit says of it, and what is refused.

use std::path::{Path, PathBuf};

use super::volumes::VolumeElsewhere;
use super::{Disposition, Inventory};
use crate::docker::DockerError;
use crate::docker::bind_mounts::reverse_command;
use crate::docker::guidance;
use crate::docker::remap::Remap;
use crate::docker::swarm::SwarmServices;
use crate::fs::escape::escaped;
use crate::host::Finding;
use crate::preflight::TransientBlocker;

impl Inventory {
    /// What an audit has to say of it.
    pub fn findings(&self) -> Vec<Finding> {
        let mounts = self.mounts.iter().filter(|mount| !mount.by_daemon);
        let mut findings: Vec<Finding> = mounts
            .map(|mount| Finding::error("mounts", mount.refusal().to_string()))
            .collect();
        let refused = self.volumes.iter();
        let refused = refused.filter(|volume| volume.becomes == Disposition::Refused);
        findings.extend(refused.map(|volume| Finding::error("volumes", volume.to_string())));
        findings.extend(self.services.as_ref().map(SwarmServices::finding));
        if !self.moved_as_is.is_empty() {
            let found = format!("{}: not Docker's", self.moved_as_is.join(", "));
            findings.push(Finding::ok(
                "other data",
                found + "; moves with the data-root, not shifted",
            ));
        }
        findings
    }

    /// What a daemon has mounted: for containers that run, or one that was killed and left it.
    pub fn mounted_by_daemon(&self) -> Option<Finding> {
        let mounted = self.mounts.iter().find(|mount| mount.by_daemon)?;
        let found = mounted.refusal().to_string();
        Some(Finding::warning("mounts", found))
    }

    /// Each directory that stays shifted, with the command that shifts it back.
    pub fn left_shifted(&self, remap: &Remap) -> impl Iterator<Item = (&Path, String)> {
        let command = |path| reverse_command(remap, path);
        let paths = self.left_shifted.iter().map(PathBuf::as_path);
        paths.map(move |path| (path, command(path)))
    }

    /// Each directory that stays in a range of before, with the command that shifts it back.
    pub fn in_other_range(&self) -> impl Iterator<Item = (&Path, String)> {
        let all = self.in_other_range.iter();
        all.map(|(path, map)| (path.as_path(), guidance::prepare_back(map, path)))
    }

    /// What of the host stays shifted when the data-root goes out of the range.
    pub fn shifted_finding(&self, remap: &Remap) -> Option<Finding> {
        let all: Vec<(&Path, String)> = self.left_shifted(remap).collect();
        let paths: Vec<String> = all
            .iter()
            .map(|(path, _)| escaped(path).to_string())
            .collect();
        let commands = all.iter().map(|(_, command)| command.trim_end_matches(','));
        let commands: Vec<&str> = commands.collect();
        (!all.is_empty()).then(|| {
            let found = format!("shifted, and bound by containers: {}", paths.join(", "));
            Finding::warning("bind mounts", found).remedy(format!(
                "{} {}",
                guidance::REVERT_BIND_MOUNTS,
                commands.join("; ")
            ))
        })
    }

    /// Mounts that prevent a migration until containers are stopped or the mounts are unmounted.
    pub fn still_mounted(&self) -> Option<TransientBlocker> {
        self.mounts.first().map(|mount| TransientBlocker::Mounted {
            path: mount.path.clone(),
            reason: mount.reason(),
        })
    }

    /// Refuses what prevents a migration.
    ///
    /// # Errors
    /// The first of it.
    pub fn check(&self) -> Result<(), DockerError> {
        if let Some(mount) = self.mounts.iter().find(|mount| !mount.by_daemon) {
            return Err(mount.refusal());
        }
        let is_refused = |volume: &&VolumeElsewhere| volume.becomes == Disposition::Refused;
        match self.volumes.iter().find(is_refused) {
            Some(volume) => Err(DockerError::in_the_way(
                &volume.path,
                format!("is {}: {}", volume.what, volume.advice),
            )),
            None => Ok(()),
        }
    }
}
