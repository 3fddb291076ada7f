//! What a filesystem can keep of a layer: its limits, by its type.

use std::io;
use std::os::fd::AsFd;

/// The most that inodes may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Names of one inode.
    pub links: u64,
    /// Bytes of a symlink's target.
    pub symlink: usize,
    /// Bytes of a file, with its holes.
    pub file: u64,
    /// Minor numbers of devices, all below this.
    pub minor: u32,
    /// Bytes of the name and the value of one extended attribute.
    pub xattr: usize,
    /// Bytes of all of them.
    pub xattrs: usize,
}

const EXT4: u64 = 0xef53;
const XFS: u64 = 0x5846_5342;
const BTRFS: u64 = 0x9123_683e;

/// `PATH_MAX`, without its NUL.
pub const MAX_PATH: usize = 4095;

/// `MINORBITS` of the kernel; and what xfs keeps of them (`sysv_valid_dev`).
const MINOR: u32 = 1 << 20;
const SYSV_MINOR: u32 = 1 << 18;

/// `XATTR_SIZE_MAX`
const XATTR: usize = 65536;

impl Limits {
    /// Of the filesystem that a directory is on. Of a type that is not known, what every other one keeps.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn of(dir: impl AsFd) -> io::Result<Limits> {
        let found = rustix::fs::fstatfs(dir)?;
        let block = (found.f_bsize as u64).clamp(1024, 65536);
        // Header and end of the block that ext4 has attributes in.
        let xattrs = block as usize - 36;
        let least = Limits {
            links: 32_000,
            symlink: 1023.min(block as usize - 1),
            file: 16 << 40,
            minor: SYSV_MINOR,
            xattr: xattrs,
            xattrs,
        };
        Ok(match found.f_type as u64 {
            EXT4 => Limits {
                links: 65_000,
                symlink: MAX_PATH.min(block as usize - 1),
                file: block * u64::from(u32::MAX),
                minor: MINOR,
                ..least
            },
            XFS => Limits {
                links: 0x7fff_ffff,
                symlink: 1023,
                file: i64::MAX as u64,
                minor: SYSV_MINOR,
                xattr: XATTR,
                xattrs: usize::MAX,
            },
            // With the smallest nodes.
            BTRFS => Limits {
                links: 65_535,
                symlink: 3900,
                file: i64::MAX as u64,
                minor: MINOR,
                xattr: 3900,
                xattrs: usize::MAX,
            },
            _ => least,
        })
    }
}
