//! Room on a filesystem: what there is, and what a copy would take.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// An amount of a filesystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Inodes; of what is free, `u64::MAX` where the filesystem makes them as they are needed.
    pub inodes: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

/// Bytes that an inode without content takes.
pub const BARE_INODE: u64 = 1024;

/// What is free for everybody, `statvfs(3)`.
pub fn free(dir: &Path) -> io::Result<Amount> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(Amount {
        // btrfs says 0 of 0.
        inodes: match found.f_files {
            0 => u64::MAX,
            _ => found.f_favail,
        },
        bytes: found.f_bavail * found.f_frsize,
    })
}

/// What these trees take up; an inode with many names counts once.
pub fn used(trees: &[PathBuf]) -> io::Result<Amount> {
    let mut linked = HashSet::new();
    let mut amount = Amount::default();
    for tree in trees {
        for entry in walkdir::WalkDir::new(tree).same_file_system(true) {
            let entry = entry.map_err(io::Error::from)?;
            let found = entry.metadata().map_err(io::Error::from)?;
            if found.nlink() > 1 && !found.is_dir() && !linked.insert((found.dev(), found.ino())) {
                continue;
            }
            amount.inodes += 1;
            amount.bytes += found.blocks() * 512;
        }
    }
    Ok(amount)
}

/// Whether files in one directory can share their content with copies in another (`FICLONE`): tried,
/// with files that have no name.
pub fn can_reflink(from: &Path, to: &Path) -> bool {
    let nameless = |dir: &Path| {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)
    };
    let (Ok(from), Ok(to)) = (nameless(from), nameless(to)) else {
        return false;
    };
    rustix::io::write(&from, &[1; 4096]).is_ok() && rustix::fs::ioctl_ficlone(&to, &from).is_ok()
}
