//! Whether a filesystem keeps the owners that it is given, by its type and its mount.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};
use rustix::io::Errno;

use super::UnsuitableRoot;
use super::refused_types::{Obstacle, obstacle_named, obstacle_on};
use crate::fs::mountinfo::{self, Mount};
use crate::fs::{PinnedFile, Root};

/// What helps where owners cannot be changed on a filesystem of this type, as `/proc/self/mountinfo` names it. `None`:
/// they can.
pub fn help_on_type(fs_type: &str) -> Option<&'static str> {
    obstacle_named(fs_type).map(Obstacle::help)
}

/// Refuses a root whose filesystem cannot keep the owners it is given.
///
/// Every type that is not refused by name passes: ext4, xfs, btrfs, f2fs, zfs, bcachefs and tmpfs
/// keep owners as they should, and a type nobody has thought of is more likely a disk's than
/// not. The cluster filesystems (ceph, lustre, gfs2, ocfs2, gpfs) pass, because there this machine's
/// root is root. FUSE passes too: one `f_type` covers virtiofs and mergerfs, which
/// keep owners, and sshfs, which may not. Where a chown is turned down after all the run stops at the
/// first one and undoes itself.
pub fn check_filesystem(fd: BorrowedFd<'_>, path: &Path) -> Result<(), UnsuitableRoot> {
    let unknown = |errno: rustix::io::Errno| UnsuitableRoot::Unknown {
        path: path.to_owned(),
        source: errno.into(),
    };
    // The kernel's f_type is 32 bits wide; some machines hand it over sign-extended.
    let magic = rustix::fs::fstatfs(fd).map_err(unknown)?.f_type as u32;
    if let Some((name, obstacle)) = obstacle_on(magic) {
        return Err(UnsuitableRoot::Filesystem {
            path: path.to_owned(),
            name: name.into(),
            why: obstacle.why(),
            help: obstacle.help(),
            below: false,
        });
    }
    check_writable(fd, path)
}

/// Refuses a directory that is read-only.
///
/// # Errors
/// [`UnsuitableRoot::ReadOnly`], [`UnsuitableRoot::ReadOnlySubvolume`], [`UnsuitableRoot::Unknown`]
pub fn check_writable(fd: BorrowedFd<'_>, path: &Path) -> Result<(), UnsuitableRoot> {
    let unknown = |errno: rustix::io::Errno| UnsuitableRoot::Unknown {
        path: path.to_owned(),
        source: errno.into(),
    };
    // Of the mount as much as of the filesystem: a bind mount can be read-only alone (statvfs(3)).
    let flags = rustix::fs::fstatvfs(fd).map_err(unknown)?.f_flag;
    if flags.contains(StatVfsMountFlags::RDONLY) {
        return Err(read_only(fd, path));
    }
    // A subvolume can be read-only by itself: the kernel says so before it asks who may write.
    let magic = rustix::fs::fstatfs(fd).map_err(unknown)?.f_type as u32;
    if is_btrfs(magic) && may_write(fd) == Err(Errno::ROFS) {
        return Err(UnsuitableRoot::ReadOnlySubvolume {
            path: path.to_owned(),
            subvolume: subvolume_of(path),
        });
    }
    Ok(())
}

fn may_write(fd: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let link = format!("/proc/thread-self/fd/{}", fd.as_raw_fd());
    rustix::fs::access(link, Access::WRITE_OK)
}

/// The nearest directory above that is the top of a subvolume.
fn subvolume_of(path: &Path) -> PathBuf {
    /// `BTRFS_FIRST_FREE_OBJECTID`
    const TOP: u64 = 256;
    let is_top = |dir: &&Path| dir.metadata().is_ok_and(|found| found.ino() == TOP);
    path.ancestors().find(is_top).unwrap_or(path).to_owned()
}

fn read_only(fd: BorrowedFd<'_>, path: &Path) -> UnsuitableRoot {
    let mounts = mountinfo::of_this_thread().unwrap_or_default();
    match mount_of(fd, &mounts) {
        Ok(Some(mount)) => read_only_mount(path, mount, false),
        _ => UnsuitableRoot::ReadOnly {
            path: path.to_owned(),
            point: path.to_owned(),
            remount: REMOUNT,
            below: false,
        },
    }
}

const REMOUNT: &str = "mount -o remount,rw";

/// A bind mount can be read-only while its filesystem is not.
fn read_only_mount(path: &Path, mount: &Mount, below: bool) -> UnsuitableRoot {
    UnsuitableRoot::ReadOnly {
        path: path.to_owned(),
        point: mount.point.clone(),
        remount: match mount.settings.contains_key("ro") {
            true => REMOUNT,
            false => "mount -o remount,bind,rw",
        },
        below,
    }
}

/// Refuses a root by its mount where the `f_type` does not tell: an overlay in user space, ext4 that keeps half
/// of an id. With `crossing`, also one with a mount below it that cannot be changed, unless `is_excluded` says of its
/// path, relative to the root, that it is left out.
///
/// # Errors
/// Names the root, or the mount point below it.
pub fn check_mounts(
    root: &Root,
    crossing: bool,
    is_excluded: impl Fn(&Path) -> bool,
) -> Result<(), UnsuitableRoot> {
    let unknown = |source| UnsuitableRoot::Unknown {
        path: root.path.clone(),
        source,
    };
    let mounts = mountinfo::of_this_thread().map_err(unknown)?;
    let own = mount_of(root.pin.as_fd(), &mounts).map_err(unknown)?;
    // Its own `f_type` was looked at by [`check_filesystem`].
    if let Some(mount) = own
        && let Some(obstacle) = obstacle_of(mount)
    {
        return Err(refused_mount(&root.path, mount, obstacle, false));
    }
    for mount in mounts.iter().filter(|_| crossing) {
        let Ok(below) = mount.point.strip_prefix(&root.path) else {
            continue;
        };
        let is_top = below.as_os_str().is_empty();
        let left_out = below.ancestors().any(&is_excluded);
        let is_covered = mounts
            .iter()
            .any(|other| other.parent == mount.id && other.point == mount.point);
        if is_top || left_out || is_covered {
            continue;
        }
        if let Some(obstacle) = obstacle_of(mount).or_else(|| obstacle_named(&mount.fs_type)) {
            return Err(refused_mount(&mount.point, mount, obstacle, true));
        }
        if mount.read_only {
            return Err(read_only_mount(&mount.point, mount, true));
        }
    }
    Ok(())
}

fn refused_mount(path: &Path, mount: &Mount, obstacle: Obstacle, below: bool) -> UnsuitableRoot {
    UnsuitableRoot::Filesystem {
        path: path.to_owned(),
        name: mount.fs_type.clone().into(),
        why: obstacle.why(),
        help: obstacle.help(),
        below,
    }
}

fn obstacle_of(mount: &Mount) -> Option<Obstacle> {
    let fs_type = &*mount.fs_type;
    match obstacle_named(fs_type) {
        // Over 9P2000.L the `f_type` is that of the filesystem behind.
        Some(found @ (Obstacle::CopiesUp | Obstacle::NarrowIds | Obstacle::Hypervisor)) => {
            return Some(found);
        }
        // A root's `f_type` was enough.
        Some(_) => return None,
        None => {}
    }
    if OVERLAYS.contains(&fs_type) {
        return Some(Obstacle::CopiesUp);
    }
    let has = |option: &str| mount.settings.contains_key(option);
    // jfs, hfsplus and udf have an owner of their own on the disk; in memory it is the top's alone.
    if (has("uid") || has("gid")) && !IN_MEMORY.contains(&fs_type) {
        return Some(Obstacle::NoOwners);
    }
    has_narrow_ids(mount).then_some(Obstacle::NarrowIds)
}

const IN_MEMORY: &[&str] = &["tmpfs", "ramfs", "hugetlbfs"];

/// Whether ext4 is mounted with `nouid32`. The mount table leaves it out where `tune2fs -o uid16` made it the default.
fn has_narrow_ids(mount: &Mount) -> bool {
    let name = std::fs::canonicalize(format!("/sys/dev/block/{}", mount.device)).ok();
    let name = name.as_deref().and_then(Path::file_name);
    let options = name.map(|name| {
        Path::new("/proc/fs")
            .join(&mount.fs_type)
            .join(name)
            .join("options")
    });
    let options = options.and_then(|path| std::fs::read_to_string(path).ok());
    mount.settings.contains_key("nouid32")
        || options.is_some_and(|text| text.lines().any(|option| option == "nouid32"))
}

/// Those in user space, as `proc_pid_mountinfo(5)` shows their types.
const OVERLAYS: &[&str] = &[
    "fuse.fuse-overlayfs",
    "fuse-overlayfs",
    "fuse.unionfs",
    "fuse.unionfs-fuse",
];

/// The mount that an open inode is on. A chroot whose top is no mount point does not show its own.
pub(super) fn mount_of<'a>(
    handle: BorrowedFd<'_>,
    mounts: &'a [Mount],
) -> io::Result<Option<&'a Mount>> {
    let id = mountinfo::id_of(handle)?;
    Ok(mounts.iter().find(|mount| mount.id == id))
}

/// Whether the filesystem is mounted with project quotas (`xfs(5)`, `ext4(5)`). False where that is unknown.
pub fn has_project_quotas(path: &Path) -> bool {
    let settings = || {
        let (pin, mounts) = (PinnedFile::path(path)?, mountinfo::of_this_thread()?);
        let mount = mount_of(pin.as_fd(), &mounts)?;
        io::Result::Ok(mount.map(|mount| mount.settings.clone()))
    };
    let settings = settings().ok().flatten().unwrap_or_default();
    ["prjquota", "pquota"]
        .iter()
        .any(|option| settings.contains_key(*option))
}

fn is_btrfs(magic: u32) -> bool {
    /// `linux/magic.h`, `BTRFS_SUPER_MAGIC`.
    const BTRFS: u32 = 0x9123_683e;
    magic == BTRFS
}

#[cfg(test)]
mod tests;
