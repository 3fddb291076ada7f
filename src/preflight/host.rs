//! What every run needs of the host and of the process's limits.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use thiserror::Error;

use crate::fs::process::{TooFewDescriptors, raise_descriptor_limit};

/// What the host lacks. Nothing was changed.
#[derive(Debug, Error)]
pub enum HostLacks {
    /// Descriptors.
    #[error(transparent)]
    Descriptors(#[from] TooFewDescriptors),
    /// `/proc`.
    #[error(
        "/proc is not mounted here: it tells of mounts and of who uses a tree, and extended attributes are reached \
         through it. `mount -t proc proc /proc` helps, in a chroot too; nothing was changed"
    )]
    Proc,
    /// A system call.
    #[error(
        "{call}(2): {errno}. idshift needs Linux {since} or later, and no seccomp profile that forbids this \
        call. Run it on the host and not in a container. Nothing was changed"
    )]
    Call {
        /// Its name.
        call: &'static str,
        /// The version of Linux that has it.
        since: &'static str,
        /// What it answers.
        errno: Errno,
    },
}

/// Refuses a host on which a run would fail at its first inode, or midway. Raises the limit of descriptors.
///
/// # Errors
/// What is missing.
pub fn check() -> Result<(), HostLacks> {
    raise_descriptor_limit()?;
    if !Path::new("/proc/thread-self/fd").is_dir() {
        return Err(HostLacks::Proc);
    }
    let lacks = |call, since| move |errno| HostLacks::Call { call, since, errno };
    let (flags, no_mode) = (OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    rustix::fs::statx(CWD, "/", AtFlags::empty(), StatxFlags::BASIC_STATS)
        .map_err(lacks("statx", "4.11"))?;
    rustix::fs::openat2(CWD, "/", flags, no_mode, ResolveFlags::empty())
        .map_err(lacks("openat2", "5.6"))?;
    Ok(())
}
