//! Why there is no idmapped mount.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::Errno;
use thiserror::Error;

use crate::fs::containing_mount::{ContainingMount, is_idmapped, mount_of};
use crate::fs::mountinfo;
use crate::guidance::Guidance;

/// Why an idmapped mount cannot be made, and what helps. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IdmappedMountError {
    /// The kernel is too old, or a sandbox hides the call.
    #[error(
        "the kernel has no {0}, or a sandbox hides it: idmapped mounts came with Linux 5.12 (`uname -r` shows which this is)"
    )]
    Kernel(&'static str),
    /// The filesystem has no `FS_ALLOW_IDMAP` in this kernel.
    #[error("{}", cannot(.0))]
    Filesystem(String),
    /// The source is seen through one.
    #[error(
        "is seen through an idmapped mount already; `findmnt -o SOURCE,FSROOT` shows where the files are on disk: name that path"
    )]
    AlreadyIdmapped,
    /// The source's mount cannot be cloned.
    #[error(
        "its mount belongs to another mount namespace, is unbindable, or hides something below it. Run \
        idshift where it was mounted, mostly on the host: `nsenter --target 1 --mount idshift …`"
    )]
    Mount,
    /// Somebody else's filesystem.
    #[error(
        "its filesystem was mounted in another user namespace, as in a container, and only that may show it with other owners"
    )]
    OtherNamespace,
    /// A capability is missing.
    #[error(
        "this needs {0}, which this process lacks. Run idshift as root on the host, outside of containers"
    )]
    Privilege(&'static str),
    /// A user namespace cannot be made.
    #[error(
        "no user namespace can be made: {0}; is user.max_user_namespaces 0? `sysctl -w user.max_user_namespaces=100000` helps"
    )]
    UserNamespace(Errno),
    /// In a chroot, none can be made at all.
    #[error(
        "no user namespace can be made: not allowed. A chroot and some seccomp profiles forbid it: run \
        idshift on the host, outside of both"
    )]
    UserNamespaceForbidden,
    /// The map names ids that this process's user namespace does not have.
    #[error(
        "the map names ids that the user namespace of this process does not have (/proc/self/uid_map). Run idshift on the host, \
         outside of containers"
    )]
    Ids,
    /// More ranges than the kernel takes.
    #[error(
        "the map has {0} ranges, and the kernel takes 340 at most. {help}",
        help = Guidance::LeaveOutRanges
    )]
    Ranges(usize),
    /// Nothing can be mounted there.
    #[error(
        "nothing can be mounted there: it is not of the same kind (a directory needs a directory, a file \
        needs a file), was removed, or its mount belongs to another mount namespace"
    )]
    Target,
    /// Something else.
    #[error("{0}: {1}")]
    Call(&'static str, Errno),
}

fn cannot(fs_type: &str) -> String {
    match fs_type {
        "overlay" => {
            "an overlay mount cannot be idmapped, only the directories that it is made of".into()
        }
        fs_type => format!(
            "a filesystem of type {fs_type} cannot be idmapped with this kernel; ext4 and xfs can be from Linux 5.12 on, \
             btrfs from 5.15, tmpfs from 6.3"
        ),
    }
}

pub(super) fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

pub(super) fn of_clone(source: BorrowedFd<'_>, errno: Errno) -> IdmappedMountError {
    match errno {
        Errno::NOSYS => IdmappedMountError::Kernel("open_tree(2)"),
        Errno::PERM => IdmappedMountError::Privilege("CAP_SYS_ADMIN"),
        // Pipes and the like have no mount that could be bound.
        Errno::INVAL if rustix::fs::fstat(source).is_ok() => IdmappedMountError::Mount,
        errno => IdmappedMountError::Call("open_tree", errno),
    }
}

pub(super) fn of_attributes(source: BorrowedFd<'_>, error: &io::Error) -> IdmappedMountError {
    match errno(error) {
        Errno::NOSYS => IdmappedMountError::Kernel("mount_setattr(2)"),
        Errno::PERM if is_seen_idmapped(source) => IdmappedMountError::AlreadyIdmapped,
        Errno::PERM => IdmappedMountError::OtherNamespace,
        Errno::INVAL => IdmappedMountError::Filesystem(fs_type(source)),
        errno => IdmappedMountError::Call("mount_setattr", errno),
    }
}

pub(super) fn of_attaching(errno: Errno) -> IdmappedMountError {
    match errno {
        Errno::NOSYS => IdmappedMountError::Kernel("move_mount(2)"),
        Errno::PERM => IdmappedMountError::Privilege("CAP_SYS_ADMIN"),
        Errno::INVAL | Errno::NOTDIR | Errno::NOENT => IdmappedMountError::Target,
        errno => IdmappedMountError::Call("move_mount", errno),
    }
}

pub(super) fn of_namespace(errno: nix::Error) -> IdmappedMountError {
    match errno {
        nix::Error::EPERM => IdmappedMountError::UserNamespaceForbidden,
        other => IdmappedMountError::UserNamespace(Errno::from_raw_os_error(other as i32)),
    }
}

fn is_seen_idmapped(source: BorrowedFd<'_>) -> bool {
    let mounts = mountinfo::of_this_thread();
    mounts
        .and_then(|mounts| is_idmapped(source, &mounts))
        .unwrap_or(false)
}

/// As `mountinfo` has it.
fn fs_type(source: impl AsFd) -> String {
    let Ok(mounts) = mountinfo::of_this_thread() else {
        return "unknown".into();
    };
    match mount_of(source, &mounts) {
        Ok(ContainingMount::Listed(mount)) => mount.fs_type.clone(),
        Ok(ContainingMount::Unlisted { .. }) | Err(_) => "unknown".into(),
    }
}
