//! Whether a data-root can be remapped by a mount here: tried, where nobody else sees it. Nothing is written.

use std::path::Path;

use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use crate::docker::DockerError;
use crate::fs::dir::open_dir;
use crate::fs::idmapped_mount::try_overlay;
use crate::idmap::{IdMap, MountMap};

/// Refuses a data-root if its filesystem or the kernel does not support it.
///
/// # Errors
/// What is missing.
pub fn check(top: &Path, map: &IdMap) -> Result<(), DockerError> {
    // A run without root is refused, and can try nothing.
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let overlay = try_overlay(top, &MountMap::exchange(map)).map_err(|error| error.to_string());
    overlay.and_then(|()| check_immutable(top)).map_err(|why| {
        let help = "`idshift docker migrate` without --idmapped changes the owners on disk instead";
        DockerError::in_the_way(top, format!("cannot be remapped by a mount: {why}. {help}"))
    })
}

/// Checks that an immutable directory can be made.
fn check_immutable(top: &Path) -> Result<(), String> {
    let handle = open_dir(rustix::fs::CWD, top).map_err(|errno| errno.to_string())?;
    match rustix::fs::ioctl_getflags(&handle) {
        Ok(_) => {}
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL) => {
            return Err("its filesystem has no immutable directories (chattr +i)".into());
        }
        Err(errno) => return Err(errno.to_string()),
    }
    let capabilities = rustix::thread::capabilities(None).map_err(|errno| errno.to_string())?;
    match capabilities.effective.contains(CapabilitySet::LINUX_IMMUTABLE) {
        true => Ok(()),
        false => Err("this process lacks CAP_LINUX_IMMUTABLE. Run idshift on the host, outside of containers".into()),
    }
}
