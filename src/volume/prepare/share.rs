//! Paths that the host's user keeps, and the container's user uses too.

use std::path::Path;

use super::paths::{PathPlan, can_be_changed};
use crate::engine::Rule;
use crate::fs::{Root, attributes};
use crate::idmap::{Direction, Mapped};
use crate::ownership::Sharing;
use crate::preflight::homes::{self, Claim};
use crate::volume::VolumeError;
use crate::volume::guidance::{NOT_THERE_TO_SHARE, in_range, no_acls, private_files};
use crate::volume::user::ContainerUser;

impl PathPlan<'_> {
    /// Looks at one path, which this user of the container gets ACL entries for.
    pub fn share(
        &mut self,
        path: &Path,
        user: &ContainerUser,
        read_only: bool,
    ) -> Result<(), VolumeError> {
        if let Err(error) = path.symlink_metadata()
            && error.kind() == std::io::ErrorKind::NotFound
        {
            return Err(VolumeError::path(path, NOT_THERE_TO_SHARE));
        }
        let root = self.open(path)?;
        self.check_modes_may_change(&root)?;
        can_be_changed(&root.pin, &root.path)?;
        if !attributes::keeps_acls(&root.pin) {
            let help = no_acls(&self.request.map_words, &root.path, user);
            return Err(VolumeError::path(path, help));
        }
        let map = &self.request.shift.map;
        let stat = root.pin.stat();
        let host = stat
            .map_err(|errno| VolumeError::io(&root.path)(errno.into()))?
            .uid;
        if let Mapped::To(id) = map.uids.map(host, Direction::OutOf) {
            return Err(VolumeError::path(path, in_range(host, id)));
        }
        let (container, _) = user.on_host(map)?;
        let sharing = Sharing {
            container,
            host,
            read_only,
        };
        self.shared.push((root.path.clone(), sharing));
        self.add(root, Rule::Share(sharing));
        Ok(())
    }

    /// Refuses what a login account needs to be private: the mask of an ACL is the group's permission in the mode.
    fn check_modes_may_change(&self, root: &Root) -> Result<(), VolumeError> {
        let Some(accounts) = self.request.shift.accounts() else {
            return Ok(());
        };
        let Some(claim) = homes::private_claim(root, &accounts) else {
            return Ok(());
        };
        let what = match &claim {
            Claim::Home(_) => "is the home",
            Claim::HoldsHome(..) => "holds the home",
            _ => "belongs to the private files",
        };
        let what = format!("{what} of {}", claim.account());
        let words = &self.request.map_words;
        Err(VolumeError::path(
            &root.path,
            private_files(&what, words, &root.path),
        ))
    }
}
