//! Whether directories can be shown with other owners by a mount: tried.

use std::os::fd::AsFd;
use std::path::Path;

use super::Finding;
use crate::fs::PinnedFile;
use crate::fs::escape::escaped;
use crate::fs::idmapped_mount::{
    DetachedMount, IdmappedMountError, MountOptions, OverlayTrialError, try_overlay,
};
use crate::idmap::MountMap;

const MOUNTS: &str = "idmapped mounts";
const OVERLAY: &str = "idmapped overlay";

/// Tests such a mount of a directory, without attaching it.
pub fn of_directory(dir: &Path, map: &MountMap) -> Finding {
    let shown = escaped(dir);
    if !nix::unistd::geteuid().is_root() {
        return Finding::warning(MOUNTS, format!("{shown}: was not tested: that needs root"))
            .remedy("sudo idshift doctor");
    }
    let made = PinnedFile::path(dir)
        .map_err(|errno| IdmappedMountError::Call("open", errno))
        .and_then(|pin| DetachedMount::of(pin.as_fd(), map, MountOptions::default()));
    match made {
        Ok(_) => Finding::ok(
            MOUNTS,
            format!("{shown} can have an idmapped mount (tested)"),
        ),
        Err(IdmappedMountError::AlreadyIdmapped) => Finding::ok(
            MOUNTS,
            format!("{shown} is already seen through an idmapped mount"),
        ),
        Err(error) => Finding::warning(MOUNTS, format!("{shown}: {error}")).remedy(
            "`idshift prepare` and `idshift docker migrate` change the owners on disk instead",
        ),
    }
}

/// Makes an overlay of such a mount, where nobody else sees it.
pub fn of_overlay(dir: &Path, map: &MountMap) -> Option<Finding> {
    if !nix::unistd::geteuid().is_root() {
        return None;
    }
    Some(match try_overlay(dir, map) {
        Ok(()) => Finding::ok(
            OVERLAY,
            format!(
                "overlayfs supports idmapped layers of {}: tested with a mount",
                escaped(dir)
            ),
        ),
        // The other finding says so.
        Err(OverlayTrialError::Layer(_)) => return None,
        Err(error) => Finding::warning(OVERLAY, error.to_string())
            .remedy("`idshift docker migrate` changes the owners on disk instead"),
    })
}
