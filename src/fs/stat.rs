//! What `statx(2)` says of a pinned inode.

use std::ffi::CStr;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp};
use serde::{Deserialize, Serialize};

use super::PinnedFile;
use super::inode_time::InodeTime;
use crate::ownership::{FileType, Flags, Mode};

/// Identifies an inode of a filesystem, also after its number was used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Inode number.
    pub ino: u64,
    /// Birth time in milliseconds since 1970; 0 where the filesystem keeps none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub born: i64,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// One inode as `statx(2)` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Device of the filesystem, as `st_dev`.
    pub dev: u64,
    /// Inode number and birth.
    pub identity: Identity,
    /// Number of names.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Permission bits, set-id bits and sticky bit.
    pub mode: Mode,
    /// Kind of inode.
    pub file_type: FileType,
    /// It is the top of a mount. Kernels before 5.8 do not say; there it is false.
    pub mount_root: bool,
    /// Whether `mount_root` can be believed.
    pub knows_mounts: bool,
    /// The number of the mount that it is seen through; 0 where the kernel does not tell (before Linux 5.8). From
    /// Linux 6.8 on, none that was another mount's before.
    pub mount_id: u64,
    /// `chattr +i`: nothing of it can be changed.
    pub immutable: bool,
    /// `chattr +a`: its owner cannot be changed.
    pub append_only: bool,
    /// A character device 0:0: overlayfs marks with it that a name is removed.
    pub whiteout: bool,
    /// Its content, or a directory's names, are encrypted by the filesystem (`fscrypt`).
    pub encrypted: bool,
    /// Last change of the inode; for a directory, of its names too.
    pub changed: InodeTime,
    /// Last change of its content; for a directory, of its names.
    pub modified: InodeTime,
}

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8), and `STATX_MNT_ID` where that is not known.
const MOUNT_ID: StatxFlags = StatxFlags::MNT_ID.union(StatxFlags::from_bits_retain(0x4000));

/// `STATX_ATTR_MOUNT_ROOT` (Linux 5.8).
const MOUNT_ROOT: StatxAttributes = StatxAttributes::MOUNT_ROOT;

impl Stat {
    /// Its hard links, where it has more than one. What a filesystem counts for a directory are no names.
    pub fn hard_links(&self) -> Option<u32> {
        (self.nlink > 1 && self.file_type != FileType::Directory).then_some(self.nlink)
    }
}

impl PinnedFile {
    /// Reads the pinned inode's numbers. Triggers no automount.
    pub fn stat(&self) -> rustix::io::Result<Stat> {
        stat(self)
    }
}

/// `statx(2)` of an open handle, whichever kind of handle it is.
pub fn stat(handle: impl AsFd) -> rustix::io::Result<Stat> {
    stat_at(handle, c"", AtFlags::EMPTY_PATH)
}

/// `statx(2)` of a name in a directory.
pub fn stat_at(dir: impl AsFd, name: &CStr, flags: AtFlags) -> rustix::io::Result<Stat> {
    // Not STATX_DONT_SYNC: CephFS answers with owners that another client has changed since, and FUSE tells the creation
    // time only if somebody else has asked for it.
    let flags = flags | AtFlags::NO_AUTOMOUNT;
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | MOUNT_ID;
    rustix::fs::statx(dir, name, flags, wanted).map(|statx| Stat::from(&statx))
}

impl From<&Statx> for Stat {
    fn from(x: &Statx) -> Stat {
        let time = |time: &StatxTimestamp| InodeTime {
            seconds: time.tv_sec,
            nanoseconds: time.tv_nsec,
        };
        let has_birth = x.stx_mask & StatxFlags::BTIME.bits() != 0;
        let born = if has_birth {
            time(&x.stx_btime).as_ms()
        } else {
            0
        };
        let mode = u32::from(x.stx_mode);
        Stat {
            dev: rustix::fs::makedev(x.stx_dev_major, x.stx_dev_minor),
            identity: Identity {
                ino: x.stx_ino,
                born,
            },
            nlink: x.stx_nlink,
            uid: x.stx_uid,
            gid: x.stx_gid,
            mode: Mode::from_st_mode(mode),
            file_type: FileType::from_st_mode(mode),
            mount_root: x.stx_attributes.contains(MOUNT_ROOT),
            knows_mounts: x.stx_attributes_mask.contains(MOUNT_ROOT),
            mount_id: match x.stx_mask & MOUNT_ID.bits() {
                0 => 0,
                _ => x.stx_mnt_id,
            },
            immutable: x.stx_attributes.contains(StatxAttributes::IMMUTABLE),
            append_only: x.stx_attributes.contains(StatxAttributes::APPEND),
            whiteout: FileType::from_st_mode(mode) == FileType::CharDevice
                && (x.stx_rdev_major, x.stx_rdev_minor) == (0, 0),
            encrypted: x.stx_attributes.contains(StatxAttributes::ENCRYPTED),
            changed: time(&x.stx_ctime),
            modified: time(&x.stx_mtime),
        }
    }
}

impl Stat {
    /// Whether the inode lies on another filesystem, or another mount, than its directory.
    pub fn crosses_mount(&self, directory_dev: u64) -> bool {
        if self.knows_mounts {
            self.mount_root
        } else {
            self.dev != directory_dev
        }
    }

    /// What keeps it from being changed.
    pub fn flags(&self) -> Flags {
        Flags {
            immutable: self.immutable,
            append_only: self.append_only,
        }
    }

    /// Whether another `Stat` is of the same inode, unchanged.
    pub fn is_as(&self, other: &Stat) -> bool {
        let key = |stat: &Stat| (stat.dev, stat.identity, stat.changed, stat.nlink);
        key(self) == key(other)
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type == FileType::Directory
    }
}
