//! Whether an overlay can be made of layers that are seen through idmapped mounts: tried, where nobody else sees it.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use thiserror::Error;

use super::{DetachedMount, IdmappedMountError, MountOptions};
use crate::fs::stat::{stat, stat_at};
use crate::idmap::MountMap;

/// Why not, or why that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverlayTrialError {
    /// The layer cannot be made.
    #[error(transparent)]
    Layer(#[from] IdmappedMountError),
    /// The kernel does not take such layers.
    #[error(
        "overlayfs does not support idmapped layers with this kernel ({0}); it does from Linux 5.19 on"
    )]
    Refused(Errno),
    /// It takes them, and shows other owners.
    #[error("an overlay shows the owner {seen:?} of what the idmapped mount shows as {expected:?}")]
    Owners {
        /// Through the overlay.
        seen: (u32, u32),
        /// Through the mount.
        expected: (u32, u32),
    },
    /// It was not tried.
    #[error("was not tried: {0}: {1}")]
    Untried(&'static str, Errno),
}

/// Makes an overlay of an idmapped mount of this directory, in a mount namespace of a thread of its own, and asks it for an
/// owner. Nothing is written to the directory's filesystem; the namespace and all in it ends with the thread.
///
/// # Errors
/// It does not work.
pub fn try_overlay(dir: &Path, map: &MountMap) -> Result<(), OverlayTrialError> {
    let tried = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, || try_here(dir, map));
        thread.map(|thread| thread.join())
    });
    match tried {
        Ok(Ok(result)) => result,
        Ok(Err(_)) | Err(_) => Err(OverlayTrialError::Untried("a thread", Errno::AGAIN)),
    }
}

/// In a thread that ends.
fn try_here(dir: &Path, map: &MountMap) -> Result<(), OverlayTrialError> {
    let untried = |what: &'static str| move |errno: Errno| OverlayTrialError::Untried(what, errno);
    let of_nix = |errno: nix::Error| Errno::from_raw_os_error(errno as i32);
    unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS)
        .map_err(|errno| untried("unshare")(of_nix(errno)))?;
    let none = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(none, "/", none, private, none)
        .map_err(|errno| untried("mount --make-rprivate")(of_nix(errno)))?;
    // A handle from before is one of the other namespace.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::open(dir, flags, Mode::empty()).map_err(untried("open"))?;
    let layer = DetachedMount::of(&handle, map, MountOptions::default())?;
    let expected = stat(&layer).map_err(untried("statx"))?;
    let scratch = scratch(&handle).map_err(untried("a tmpfs"))?;
    for name in [c"layer", c"other", c"merged"] {
        rustix::fs::mkdirat(&scratch, name, Mode::RWXU).map_err(untried("mkdir"))?;
    }
    let open = |name: &CStr| rustix::fs::openat(&scratch, name, flags, Mode::empty());
    layer.attach(open(c"layer").map_err(untried("open"))?)?;
    // Its options are paths, and in a path of the host's a comma or colon would mean something else.
    rustix::process::fchdir(&scratch).map_err(untried("fchdir"))?;
    let (overlay, options) = (Some("overlay"), Some("lowerdir=layer:other"));
    mount(overlay, "merged", overlay, MsFlags::MS_RDONLY, options).map_err(
        |errno| match of_nix(errno) {
            Errno::NODEV => OverlayTrialError::Untried("overlayfs", Errno::NODEV),
            errno => OverlayTrialError::Refused(errno),
        },
    )?;
    let seen = stat_at(CWD, c"merged", AtFlags::SYMLINK_NOFOLLOW).map_err(untried("statx"))?;
    let owner = |stat: crate::fs::Stat| (stat.uid, stat.gid);
    match owner(seen) == owner(expected) {
        true => Ok(()),
        false => Err(OverlayTrialError::Owners {
            seen: owner(seen),
            expected: owner(expected),
        }),
    }
}

/// An empty filesystem in memory, over this directory.
fn scratch(over: impl AsFd) -> Result<OwnedFd, Errno> {
    let tmpfs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_create(&tmpfs)?;
    let flags = FsMountFlags::FSMOUNT_CLOEXEC;
    let mounted = rustix::mount::fsmount(&tmpfs, flags, MountAttrFlags::empty())?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(&mounted, c"", over, c"", flags)?;
    Ok(mounted)
}
