//! The path that is checked, opened.

use std::path::Path;

use super::CheckRequest;
use crate::fs::Root;
use crate::fs::escape::escaped;
use crate::preflight::mount_views::{self, MountViewError};
use crate::volume::VolumeError;
use crate::volume::binds::sources::missing_of_host;
use crate::volume::guidance::create_for_user;

/// Opens the path. Follows a symlink, as Docker does for the source of a bind mount.
pub(super) fn open(request: &CheckRequest) -> Result<(Root, bool), VolumeError> {
    let path = &request.path;
    let missing = || {
        if let Some(error) = idmapped_above(path) {
            let reason = format!(
                "is not there. Docker would make it, only for the container's root. {error}"
            );
            return VolumeError::path(path, reason);
        }
        if let Some(missing) = missing_of_host(path) {
            return VolumeError::path(path, missing.to_string());
        }
        let help = create_for_user(&request.map_words, path, &request.user);
        let reason =
            format!("is not there. Docker would make it, only for the container's root. {help}");
        VolumeError::path(path, reason)
    };
    let is_symlink = match path.symlink_metadata() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
        found => found.map_err(VolumeError::io(path))?.is_symlink(),
    };
    let real = std::fs::canonicalize(path).map_err(|error| match std::fs::read_link(path) {
        Ok(target) => {
            let reason = format!("is a symlink to {}: {error}", escaped(&target));
            VolumeError::path(path, reason)
        }
        Err(_) => VolumeError::io(path)(error),
    })?;
    let root = Root::open(&real).map_err(VolumeError::of_root(&real))?;
    VolumeError::check_not_private(&root.path)?;
    Ok((root, is_symlink))
}

/// The idmapped mount that what is there of a missing path is seen through.
fn idmapped_above(path: &Path) -> Option<MountViewError> {
    let path = std::path::absolute(path).ok()?;
    let above = path.ancestors().find(|above| above.exists())?;
    mount_views::idmapped(above)
}
