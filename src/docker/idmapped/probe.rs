//! Whether a data-root can be remapped by a mount here: tried, where nobody else sees it. Nothing is written.

use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;
use thiserror::Error;

use crate::docker::DockerError;
use crate::fs::dir::open_dir;
use crate::fs::idmapped_mount::{OverlayTrialError, try_overlay};
use crate::idmap::{IdMap, MountMap};

/// Why a data-root cannot be remapped by a mount.
#[derive(Debug, Error)]
enum ProbeError {
    /// The mount that is tried cannot be made.
    #[error(transparent)]
    Overlay(#[from] OverlayTrialError),
    /// It cannot be found out.
    #[error(transparent)]
    Unknown(#[from] Errno),
    /// The guards of the content would not hold.
    #[error("its filesystem has no immutable directories (chattr +i)")]
    NoImmutable,
    /// The directory cannot be made immutable, because of this process.
    #[error(
        "this process lacks CAP_LINUX_IMMUTABLE. Run idshift on the host, outside of containers"
    )]
    NoCapability,
}

/// Refuses a data-root if its filesystem or the kernel does not support it.
///
/// # Errors
/// What is missing.
pub fn check(top: &Path, map: &IdMap) -> Result<(), DockerError> {
    // A run without root is refused, and can try nothing.
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let overlay = try_overlay(top, &MountMap::exchange(map)).map_err(ProbeError::from);
    overlay.and_then(|()| check_immutable(top)).map_err(|why| {
        let help = "`idshift docker migrate` without --idmapped changes the owners on disk instead";
        DockerError::in_the_way(top, format!("cannot be remapped by a mount: {why}. {help}"))
    })
}

/// Checks that an immutable directory can be made.
fn check_immutable(top: &Path) -> Result<(), ProbeError> {
    let handle = open_dir(rustix::fs::CWD, top)?;
    match rustix::fs::ioctl_getflags(&handle) {
        Ok(_) => {}
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL) => {
            return Err(ProbeError::NoImmutable);
        }
        Err(errno) => return Err(errno.into()),
    }
    let capabilities = rustix::thread::capabilities(None)?;
    match capabilities
        .effective
        .contains(CapabilitySet::LINUX_IMMUTABLE)
    {
        true => Ok(()),
        false => Err(ProbeError::NoCapability),
    }
}
